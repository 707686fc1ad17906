// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/*
 * A small HTTP/1.1 server with the troubles of a real one, for `make demo`:
 *
 *   acceptor (epoll) -> queue -> 4 workers -> catalogue_lock   a mutex held while it computes
 *                                          -> journal          write + fdatasync, /order only
 *                                          -> upstream         a process that takes some ms
 *
 * usage: server DIRECTORY    prints the port it listens on; the journal goes to DIRECTORY
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WORKERS 4
#define QUEUE_SIZE 256
#define UPSTREAM_NS 3000000L
#define CATALOGUE_NS 700000L

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n";
static const char refusal[] = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/* Global symbols on purpose: a profiler can then call the locks by their names. */
pthread_mutex_t catalogue_lock = PTHREAD_MUTEX_INITIALIZER;
pthread_mutex_t journal_lock = PTHREAD_MUTEX_INITIALIZER;

static struct {
	pthread_mutex_t lock;
	pthread_cond_t filled;
	int fds[QUEUE_SIZE];
	unsigned int head, count;
} queue = { .lock = PTHREAD_MUTEX_INITIALIZER, .filled = PTHREAD_COND_INITIALIZER };

static int epoll_fd, journal_fd;
static struct sockaddr_in upstream_addr;
static volatile uint64_t catalogue;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* Listens on a free loopback port and fills in its address. */
static int listen_on_loopback(struct sockaddr_in *addr)
{
	socklen_t len = sizeof(*addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*addr = (struct sockaddr_in){ .sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	if (fd < 0 || bind(fd, (struct sockaddr *)addr, len) || listen(fd, 128) ||
	    getsockname(fd, (struct sockaddr *)addr, &len))
		die("listen");
	return fd;
}

/* Small answers must not wait for the acknowledgement of the one before. */
static void send_at_once(int fd)
{
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

/* ---- upstream: a slow neighbour, in a process of its own so that it is not profiled ---- */

static void *upstream_connection(void *arg)
{
	const struct timespec delay = { .tv_nsec = UPSTREAM_NS };
	int fd = (int)(intptr_t)arg;
	char byte;

	send_at_once(fd);
	while (read(fd, &byte, 1) == 1) {
		nanosleep(&delay, NULL);
		if (write(fd, &byte, 1) != 1)
			break;
	}
	close(fd);
	return NULL;
}

static void serve_upstream(int listen_fd)
{
	for (;;) {
		int fd = accept(listen_fd, NULL, NULL);
		pthread_t thread;

		if (fd < 0)
			continue;
		if (pthread_create(&thread, NULL, upstream_connection, (void *)(intptr_t)fd))
			close(fd);
		else
			pthread_detach(thread);
	}
}

static void start_upstream(void)
{
	int fd = listen_on_loopback(&upstream_addr);
	pid_t server = getpid();
	pid_t child = fork();

	if (child < 0)
		die("fork");
	if (child == 0) {
		/* However the server ends, its upstream goes with it. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() == server)
			serve_upstream(fd);
		_exit(0);
	}
	close(fd);
}

static int connect_upstream(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&upstream_addr, sizeof(upstream_addr)))
		die("upstream");
	send_at_once(fd);
	return fd;
}

/* ---- the queue between the acceptor and the workers ---- */

static bool queue_push(int fd)
{
	bool fits;

	pthread_mutex_lock(&queue.lock);
	fits = queue.count < QUEUE_SIZE;
	if (fits) {
		queue.fds[(queue.head + queue.count++) % QUEUE_SIZE] = fd;
		pthread_cond_signal(&queue.filled);
	}
	pthread_mutex_unlock(&queue.lock);
	return fits;
}

static int queue_pop(void)
{
	int fd;

	pthread_mutex_lock(&queue.lock);
	while (queue.count == 0)
		pthread_cond_wait(&queue.filled, &queue.lock);
	fd = queue.fds[queue.head];
	queue.head = (queue.head + 1) % QUEUE_SIZE;
	queue.count--;
	pthread_mutex_unlock(&queue.lock);
	return fd;
}

/* ---- what a request costs ---- */

/* The lock is held while it computes: with four workers on it, they wait for each other. */
static void look_up(void)
{
	uint64_t end;

	pthread_mutex_lock(&catalogue_lock);
	end = now_ns() + CATALOGUE_NS;
	while (now_ns() < end)
		catalogue = catalogue * 6364136223846793005u + 1442695040888963407u;
	pthread_mutex_unlock(&catalogue_lock);
}

static void journal(const char *text, size_t len)
{
	pthread_mutex_lock(&journal_lock);
	/* One page that is written over and over: the demo fills no disk. */
	if (pwrite(journal_fd, text, len, 0) != (ssize_t)len || fdatasync(journal_fd))
		die("journal");
	pthread_mutex_unlock(&journal_lock);
}

static void ask_upstream(int fd)
{
	char byte = '?';

	if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1)
		die("upstream");
}

/* ---- workers ---- */

/* The next request wakes one worker, once: EPOLLONESHOT. */
static void wait_for_request(int fd, int op)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLONESHOT, .data.fd = fd };

	if (epoll_ctl(epoll_fd, op, fd, &event))
		close(fd);
}

/* Returns whether the connection stays open. The clients send a request in one piece. */
static bool serve_request(int fd, int upstream)
{
	char request[1024];
	ssize_t len = recv(fd, request, sizeof(request) - 1, 0);

	if (len <= 0)
		return false;
	request[len] = '\0';
	look_up();
	if (strncmp(request, "POST /order", 11) == 0)
		journal(request, (size_t)len);
	ask_upstream(upstream);
	if (send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL) < 0)
		return false;
	return strstr(request, "Connection: close") == NULL;
}

static void *worker(void *arg)
{
	int upstream = connect_upstream();

	pthread_setname_np(pthread_self(), arg);
	for (;;) {
		int fd = queue_pop();

		if (serve_request(fd, upstream))
			wait_for_request(fd, EPOLL_CTL_MOD);
		else
			close(fd);
	}
	return NULL;
}

static void start_workers(void)
{
	static char names[WORKERS][16];
	pthread_t thread;

	for (int i = 0; i < WORKERS; i++) {
		snprintf(names[i], sizeof(names[i]), "worker-%d", i + 1);
		if (pthread_create(&thread, NULL, worker, names[i]))
			die("pthread_create");
	}
}

/* ---- acceptor ---- */

static void accept_connection(int listen_fd)
{
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd >= 0) {
		send_at_once(fd);
		wait_for_request(fd, EPOLL_CTL_ADD);
	}
}

static void refuse(int fd)
{
	(void)!send(fd, refusal, sizeof(refusal) - 1, MSG_NOSIGNAL);
	close(fd);
}

static void *acceptor(void *arg)
{
	int listen_fd = (int)(intptr_t)arg;
	struct epoll_event events[64];

	pthread_setname_np(pthread_self(), "acceptor");
	for (;;) {
		int n = epoll_wait(epoll_fd, events, 64, -1);

		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;

			if (fd == listen_fd)
				accept_connection(fd);
			else if (!queue_push(fd))
				refuse(fd);
		}
	}
	return NULL;
}

static void start_acceptor(int listen_fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = listen_fd };
	pthread_t thread;

	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &event) ||
	    pthread_create(&thread, NULL, acceptor, (void *)(intptr_t)listen_fd))
		die("acceptor");
}

int main(int argc, char **argv)
{
	struct sockaddr_in addr;
	char path[4096];
	int listen_fd;

	if (argc != 2) {
		fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
		return 2;
	}
	snprintf(path, sizeof(path), "%s/journal", argv[1]);
	journal_fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	if (journal_fd < 0)
		die(path);
	start_upstream();
	listen_fd = listen_on_loopback(&addr);
	start_acceptor(listen_fd);
	start_workers();
	printf("%d\n", ntohs(addr.sin_port));
	fflush(stdout);
	for (;;)
		pause();
}
