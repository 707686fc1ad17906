// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/*
 * A server that does nothing but answer, as fast as it goes, over unix sockets or TCP; with as many threads and
 * connections beside as wanted, which do nothing at all.
 *
 *   load [--seconds S] [--busy N] [--conns N] [--threads N] [--tcp]
 *
 * One thread of the server answers the first --busy connections, one byte for one byte; a client process asks
 * on all of these, then waits for all the answers. stdout: {"type":"ready",...}; each line on stdin starts the
 * load; after --seconds {"type":"truth",...} of that load; end of file on stdin ends it.
 */
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
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

#include "workload.h"

/* One client's address has ports for no more. */
#define CONNS_PER_ADDRESS 20000

static unsigned seconds = 2, nr_busy = 16, nr_conns = 16, nr_threads;
static bool is_tcp;
static int *server_fds, *client_fds;

union address {
	struct sockaddr any;
	struct sockaddr_un un;
	struct sockaddr_in in;
};

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

static uint64_t ask_for_a_while(void)
{
	uint64_t rounds = 0, end = now_ns() + seconds * 1000000000ULL;

	for (; now_ns() < end; rounds++)
		ask_all();
	return rounds;
}

/* From 127.0.0.2, then 127.0.0.3, … */
static int connect_to(const union address *addr, socklen_t length, unsigned number)
{
	const struct sockaddr_in from = { .sin_family = AF_INET,
					  .sin_addr = { htonl(INADDR_LOOPBACK + 1 + number / CONNS_PER_ADDRESS) } };
	int fd = socket(addr->any.sa_family, SOCK_STREAM, 0), one = 1;

	if (fd >= 0 && is_tcp &&
	    (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one)) ||
	     bind(fd, (const struct sockaddr *)&from, sizeof(from))))
		die("client: bind");
	if (fd < 0 || connect(fd, &addr->any, length))
		die("client: connect");
	return fd;
}

static void be_client(const union address *addr, socklen_t length, int go, int done)
{
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (unsigned i = 0; i < nr_conns; i++)
		client_fds[i] = connect_to(addr, length, i);
	while (read(go, &byte, 1) == 1) {
		uint64_t rounds = ask_for_a_while();

		if (write(done, &rounds, sizeof(rounds)) != sizeof(rounds))
			die("client: write");
	}
	_exit(0);
}

/* ---- the server ---- */

static int listen_on(union address *addr, socklen_t *length)
{
	int fd = socket(is_tcp ? AF_INET : AF_UNIX, SOCK_STREAM, 0);

	if (is_tcp) {
		addr->in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
		*length = sizeof(addr->in);
	} else {
		addr->un.sun_family = AF_UNIX;
		*length = sizeof(addr->un);
		snprintf(addr->un.sun_path, sizeof(addr->un.sun_path), "/tmp/threadprof-load-%d", getpid());
		unlink(addr->un.sun_path);
	}
	if (fd < 0 || bind(fd, &addr->any, *length) || listen(fd, 4096) || getsockname(fd, &addr->any, length))
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

static void run_once(int go, int done)
{
	uint64_t cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID), requests;

	if (write(go, "g", 1) != 1)
		die("go");
	requests = serve(done);
	printf("{\"type\":\"truth\",\"requests\":%llu,\"cpu_ns\":%llu,\"conns\":%u,\"threads\":%u}\n",
	       (unsigned long long)requests, (unsigned long long)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns), nr_conns,
	       nr_threads + 1);
	fflush(stdout);
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seconds", required_argument, NULL, 's' },
		{ "busy", required_argument, NULL, 'b' },
		{ "conns", required_argument, NULL, 'c' },
		{ "threads", required_argument, NULL, 't' },
		{ "tcp", no_argument, NULL, 'T' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		unsigned *number = option == 's' ? &seconds :
				   option == 'b' ? &nr_busy :
				   option == 'c' ? &nr_conns :
				   option == 't' ? &nr_threads :
						   NULL;

		if (option == 'T')
			is_tcp = true;
		else if (number)
			*number = strtoul(optarg, NULL, 10);
		else
			_exit(2);
	}
	if (nr_conns < nr_busy)
		nr_conns = nr_busy;
}

int main(int argc, char **argv)
{
	union address addr = { 0 };
	int listener, go[2], done[2];
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
	if (!is_tcp)
		unlink(addr.un.sun_path);
	start_threads();
	say_ready();
	while (fgets(line, sizeof(line), stdin))
		run_once(go[1], done[0]);
	kill(client, SIGKILL);
	waitpid(client, NULL, 0);
	_exit(0);
}
