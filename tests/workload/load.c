// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/*
 * A server that does nothing but answer, as fast as it goes, over unix sockets; with as many threads and
 * connections beside as wanted, which do nothing at all.
 *
 *   load [--seconds S] [--busy N] [--conns N] [--threads N]
 *
 * One thread of the server answers the first --busy connections, one byte for one byte; a client process asks
 * on all of these, then waits for all the answers. stdout: {"type":"ready",...}; a line on stdin starts the
 * load; after --seconds {"type":"truth",...}; end of file on stdin ends it.
 */
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static unsigned seconds = 2, nr_busy = 16, nr_conns = 16, nr_threads;
static int *server_fds, *client_fds;

__attribute__((noreturn)) static void die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	_exit(1);
}

static uint64_t now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/* ---- the client, a process of its own ---- */

static void ask_all(void)
{
	char byte = '?';

	for (unsigned i = 0; i < nr_busy; i++) {
		if (send(client_fds[i], &byte, 1, MSG_NOSIGNAL) != 1)
			die("client: send");
	}
	for (unsigned i = 0; i < nr_busy; i++) {
		if (recv(client_fds[i], &byte, 1, 0) != 1)
			die("client: recv");
	}
}

static void be_client(const struct sockaddr_un *addr, socklen_t length, int go, int done)
{
	uint64_t end, rounds = 0;
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (unsigned i = 0; i < nr_conns; i++) {
		client_fds[i] = socket(AF_UNIX, SOCK_STREAM, 0);
		if (client_fds[i] < 0 || connect(client_fds[i], (const struct sockaddr *)addr, length))
			die("client: connect");
	}
	if (read(go, &byte, 1) != 1)
		_exit(0);
	end = now_ns(CLOCK_MONOTONIC) + seconds * 1000000000ULL;
	for (; now_ns(CLOCK_MONOTONIC) < end; rounds++)
		ask_all();
	if (write(done, &rounds, sizeof(rounds)) != sizeof(rounds))
		die("client: write");
	pause();
	_exit(0);
}

/* ---- the server ---- */

static int listen_on(struct sockaddr_un *addr, socklen_t *length)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	addr->sun_family = AF_UNIX;
	*length = sizeof(*addr);
	snprintf(addr->sun_path, sizeof(addr->sun_path), "/tmp/threadprof-load-%d", getpid());
	unlink(addr->sun_path);
	if (fd < 0 || bind(fd, (struct sockaddr *)addr, *length) || listen(fd, 4096))
		die("listen");
	return fd;
}

static void *do_nothing(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return NULL;
}

static void start_threads(void)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (unsigned i = 0; i < nr_threads; i++) {
		if ((errno = pthread_create(&thread, &attr, do_nothing, NULL)))
			die("pthread_create");
	}
}

/* Answers until the client says how many rounds there were and all of them are answered. */
static uint64_t serve(int done)
{
	int epoll_fd = epoll_create1(0);
	uint64_t answered = 0, rounds = 0;
	bool told = false;

	for (unsigned i = 0; i <= nr_busy; i++) {
		int fd = i < nr_busy ? server_fds[i] : done;
		struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

		if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event))
			die("epoll_ctl");
	}
	while (!told || answered < rounds * nr_busy) {
		struct epoll_event events[64];
		int count = epoll_wait(epoll_fd, events, 64, -1);
		char byte;

		for (int i = 0; i < count; i++) {
			if (events[i].data.fd == done) {
				told = read(done, &rounds, sizeof(rounds)) == sizeof(rounds);
				if (!told)
					die("the client is gone");
				continue;
			}
			if (recv(events[i].data.fd, &byte, 1, 0) != 1 ||
			    send(events[i].data.fd, &byte, 1, MSG_NOSIGNAL) != 1)
				die("serve");
			answered++;
		}
	}
	close(epoll_fd);
	return answered;
}

static void allow_many_files(void)
{
	struct rlimit limit = { .rlim_cur = nr_conns + 1000, .rlim_max = nr_conns + 1000 };

	if (nr_conns > 500 && setrlimit(RLIMIT_NOFILE, &limit))
		die("setrlimit");
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seconds", required_argument, NULL, 's' },
		{ "busy", required_argument, NULL, 'b' },
		{ "conns", required_argument, NULL, 'c' },
		{ "threads", required_argument, NULL, 't' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		unsigned *number = option == 's' ? &seconds :
				   option == 'b' ? &nr_busy :
				   option == 'c' ? &nr_conns :
				   option == 't' ? &nr_threads :
						   NULL;

		if (!number)
			_exit(2);
		*number = strtoul(optarg, NULL, 10);
	}
	if (nr_conns < nr_busy)
		nr_conns = nr_busy;
}

int main(int argc, char **argv)
{
	struct sockaddr_un addr = { 0 };
	int listener, go[2], done[2];
	uint64_t requests, cpu_ns;
	socklen_t length;
	char line[64];
	pid_t client;

	parse(argc, argv);
	allow_many_files();
	server_fds = calloc(nr_conns, sizeof(int));
	client_fds = calloc(nr_conns, sizeof(int));
	if (!server_fds || !client_fds || pipe(go) || pipe(done))
		die("set-up");
	listener = listen_on(&addr, &length);
	client = fork();
	if (!client)
		be_client(&addr, length, go[0], done[1]);
	for (unsigned i = 0; i < nr_conns; i++) {
		server_fds[i] = accept(listener, NULL, NULL);
		if (server_fds[i] < 0)
			die("accept");
	}
	unlink(addr.sun_path);
	start_threads();
	printf("{\"type\":\"ready\",\"pid\":%d}\n", getpid());
	fflush(stdout);
	if (fgets(line, sizeof(line), stdin)) {
		cpu_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID);
		if (write(go[1], "g", 1) != 1)
			die("go");
		requests = serve(done[0]);
		printf("{\"type\":\"truth\",\"requests\":%llu,\"cpu_ns\":%llu,\"conns\":%u,\"threads\":%u}\n",
		       (unsigned long long)requests, (unsigned long long)(now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns),
		       nr_conns, nr_threads + 1);
		fflush(stdout);
		while (fgets(line, sizeof(line), stdin))
			;
	}
	kill(client, SIGKILL);
	waitpid(client, NULL, 0);
	_exit(0);
}
