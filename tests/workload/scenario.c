// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/*
 * A server with one trouble, under the load that shows it: prints a "ready" line with its pid, and goes on
 * until its input ends. Clients, and whoever else is needed, are processes of their own.
 *
 *	scenario MODE [DIRECTORY]
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "loopback.h"
#include "workload.h"

#define REQUEST_BYTES 64
#define MAX_CHILDREN 16
#define BIG_BYTES (8 * 1024 * 1024) /* more than a socket's buffers take (net.ipv4.tcp_wmem) */
#define POOL_THREADS 64

struct scenario {
	const char *name;
	int threads;
	int clients;
	int pause_ms; /* of a client, between two requests */
	bool closing; /* a connection for each request */
	int backlog;
	void (*handle)(int worker);
	void (*prepare)(void);
	void *(*server)(void *arg); /* NULL: serve() */
	size_t response_bytes;
	int piece_pause_ms; /* the client sends its request in two pieces */
	int read_pause_ms;  /* … and reads the response in small ones */
	int answer_ms; /* what the backend takes for an answer */
	bool stopped; /* the clients wait for a SIGCONT before they begin */
};

static const struct scenario *scenario;
static pid_t children[MAX_CHILDREN];
static int nr_children, listener, file = -1;
static struct sockaddr_in server_addr, backend_addr, feed_addr;
static const char *directory = ".";
static char response[BIG_BYTES];

/* Computes for so much CPU time, however long that takes. */
static void compute_us(unsigned us)
{
	uint64_t end_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) + us * 1000ull;

	while (clock_ns(CLOCK_THREAD_CPUTIME_ID) < end_ns)
		;
}

/* In a process of its own, which ends with this one. */
static bool in_child(const char *name)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		die("fork");
	if (pid) {
		children[nr_children++] = pid;
		return false;
	}
	nr_children = 0;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	prctl(PR_SET_NAME, name);
	return true;
}

static pthread_t start_thread(void *(*run)(void *), void *arg)
{
	pthread_t thread;

	errno = pthread_create(&thread, NULL, run, arg);
	if (errno)
		die("pthread_create");
	return thread;
}

/* --- sockets --- */

static int try_to_connect(const struct sockaddr_in *addr)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, small = 65536;

	if (scenario->read_pause_ms)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	if (fd < 0 || connect(fd, (const struct sockaddr *)addr, sizeof(*addr)))
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static bool send_all(int fd, const char *data, size_t size)
{
	while (size) {
		ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);

		if (sent <= 0)
			return false;
		data += sent;
		size -= sent;
	}
	return true;
}

static bool receive_all(int fd, size_t size, int pause_ms)
{
	char buffer[32768];

	while (size) {
		ssize_t got = recv(fd, buffer, size < sizeof(buffer) ? size : sizeof(buffer), 0);

		if (got <= 0)
			return false;
		size -= got;
		if (pause_ms)
			sleep_ms(pause_ms);
	}
	return true;
}

/* --- clients --- */

static bool ask(int fd)
{
	char request[REQUEST_BYTES] = "please";
	size_t half = REQUEST_BYTES / 2;

	if (!send_all(fd, request, half))
		return false;
	if (scenario->piece_pause_ms)
		sleep_ms(scenario->piece_pause_ms);
	return send_all(fd, request + half, REQUEST_BYTES - half) &&
	       receive_all(fd, scenario->response_bytes, scenario->read_pause_ms);
}

static void *client(void *arg)
{
	int fd = -1;

	for (;;) {
		if (fd < 0)
			fd = try_to_connect(&server_addr);
		if (fd >= 0 && (!ask(fd) || scenario->closing)) {
			close(fd);
			fd = -1;
		}
		if (scenario->pause_ms)
			sleep_ms(scenario->pause_ms);
	}
	return arg;
}

static void start_clients(void)
{
	if (!in_child("client"))
		return;
	close(listener);
	if (scenario->stopped)
		raise(SIGSTOP);
	for (int i = 1; i < scenario->clients; i++)
		start_thread(client, NULL);
	client(NULL);
}

/* --- the server --- */

static void serve_connection(int fd, int worker)
{
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	while (receive_all(fd, REQUEST_BYTES, 0)) {
		scenario->handle(worker);
		if (!send_all(fd, response, scenario->response_bytes))
			break;
	}
	close(fd);
}

static void *serve(void *arg)
{
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd >= 0)
			serve_connection(fd, (int)(intptr_t)arg);
	}
	return NULL;
}

/* --- what the handlers do --- */

static void handle_light(int worker)
{
	(void)worker;
	compute_us(200);
}

static void handle_at_once(int worker)
{
	(void)worker;
}

static void handle_heavy(int worker)
{
	(void)worker;
	compute_us(4000);
}

static void handle_sleeping(int worker)
{
	(void)worker;
	sleep_ms(20);
}

pthread_mutex_t the_big_lock = PTHREAD_MUTEX_INITIALIZER;

static void handle_locking(int worker)
{
	(void)worker;
	pthread_mutex_lock(&the_big_lock);
	sleep_ms(5);
	pthread_mutex_unlock(&the_big_lock);
	sleep_us(200); /* or else it takes the lock again before the others are awake */
}

static __thread int backend = -1;

static void handle_asking(int worker)
{
	char byte = 'q';

	(void)worker;
	if (backend < 0)
		backend = try_to_connect(&backend_addr);
	if (!send_all(backend, &byte, 1) || !receive_all(backend, 1, 0))
		backend = -1; /* it ends when the scenario does */
}

static void handle_writing(int worker)
{
	static char block[65536];

	for (int i = 0; i < 4; i++) {
		if (pwrite(file, block, sizeof(block), worker * (off_t)sizeof(block)) < 0 || fsync(file))
			die("write");
	}
}

static void *answer_slowly(void *arg)
{
	int fd = (int)(intptr_t)arg;

	while (receive_all(fd, 1, 0)) {
		sleep_ms(scenario->answer_ms);
		if (!send_all(fd, "a", 1))
			break;
	}
	close(fd);
	return NULL;
}

/* Has something to tell all the time, to whoever asks again each time. */
static void *answer_later(void *arg)
{
	int fd = (int)(intptr_t)arg;

	while (receive_all(fd, 1, 0)) {
		sleep_ms(3);
		if (!send_all(fd, "a", 1))
			break;
	}
	close(fd);
	return NULL;
}

static void start_peer(struct sockaddr_in *addr, void *(*answer)(void *arg))
{
	int fd = listen_on_loopback(addr, 128);

	if (!in_child("backend")) {
		close(fd);
		return;
	}
	close(listener);
	for (;;)
		start_thread(answer, (void *)(intptr_t)accept(fd, NULL, NULL));
}

static void start_backend(void)
{
	start_peer(&backend_addr, answer_slowly);
}

static void start_backend_and_feed(void)
{
	start_peer(&backend_addr, answer_slowly);
	start_peer(&feed_addr, answer_later);
}

static void start_hogs(void)
{
	for (int i = 0; i < 6; i++) {
		if (!in_child("hog"))
			continue;
		for (;;)
			compute_us(1000000);
	}
}

static void open_file(void)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/scenario-journal", directory);
	file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (file < 0)
		die("%s", path);
}

static void open_ring(void)
{
	struct io_uring_params params = { 0 };

	if (syscall(__NR_io_uring_setup, 8, &params) < 0) {
		printf("{\"type\":\"refused\",\"pid\":%d}\n", getpid());
		fflush(stdout);
		exit(0);
	}
}

/* --- servers of other kinds --- */

/* Takes what has come now and then only: too late for a short accept queue. */
static void *serve_late(void *arg)
{
	fcntl(listener, F_SETFL, O_NONBLOCK);
	for (;;) {
		int fd;

		sleep_ms(200);
		while ((fd = accept(listener, NULL, NULL)) >= 0)
			serve_connection(fd, 0);
	}
	return arg;
}

static struct {
	pthread_mutex_t mutex;
	int idle[POOL_THREADS]; /* a stack: the last to become idle is the first to get work */
	int nr_idle;
	int fd[POOL_THREADS];
	sem_t wake[POOL_THREADS];
} pool = { .mutex = PTHREAD_MUTEX_INITIALIZER };

static void *pool_worker(void *arg)
{
	int worker = (int)(intptr_t)arg;

	for (;;) {
		pthread_mutex_lock(&pool.mutex);
		pool.idle[pool.nr_idle++] = worker;
		pthread_mutex_unlock(&pool.mutex);
		while (sem_wait(&pool.wake[worker]))
			;
		serve_connection(pool.fd[worker], worker);
	}
	return NULL;
}

static void *serve_by_pool(void *arg)
{
	for (intptr_t i = 0; i < POOL_THREADS; i++) {
		sem_init(&pool.wake[i], 0, 0);
		start_thread(pool_worker, (void *)i);
	}
	sleep_ms(100);
	for (;;) {
		int fd = accept(listener, NULL, NULL), worker = -1;

		pthread_mutex_lock(&pool.mutex);
		if (fd >= 0 && pool.nr_idle)
			worker = pool.idle[--pool.nr_idle];
		pthread_mutex_unlock(&pool.mutex);
		if (worker < 0) {
			close(fd);
			continue;
		}
		pool.fd[worker] = fd;
		sem_post(&pool.wake[worker]);
	}
	return arg;
}

/* An event loop that asks the backend for each request, and has a long poll open that belongs to none. */
#define MAX_FDS 64

static struct {
	int epoll;
	int partner[MAX_FDS]; /* the backend's connection of a client's, and the other way round; -1: none */
	bool is_client[MAX_FDS];
} loop;

static int watch(int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	if (fd < 0 || fd >= MAX_FDS || epoll_ctl(loop.epoll, EPOLL_CTL_ADD, fd, &event))
		die("watch");
	loop.partner[fd] = -1;
	return fd;
}

static void pass_on(int fd)
{
	int *partner = &loop.partner[fd];

	if (!receive_all(fd, loop.is_client[fd] ? REQUEST_BYTES : 1, 0)) {
		close(fd);
		return;
	}
	if (loop.is_client[fd] && *partner < 0) {
		*partner = watch(try_to_connect(&backend_addr));
		loop.partner[*partner] = fd;
	}
	if (*partner < 0)
		send_all(fd, "q", 1); /* the long poll goes on */
	else if (loop.is_client[fd])
		send_all(*partner, "q", 1);
	else
		send_all(*partner, response, scenario->response_bytes);
}

static void *serve_by_loop(void *arg)
{
	struct epoll_event events[8];

	loop.epoll = epoll_create1(EPOLL_CLOEXEC);
	watch(listener);
	send_all(watch(try_to_connect(&feed_addr)), "q", 1);
	for (;;) {
		int nr = epoll_wait(loop.epoll, events, 8, -1);

		for (int i = 0; i < nr; i++) {
			if (events[i].data.fd == listener)
				loop.is_client[watch(accept(listener, NULL, NULL))] = true;
			else
				pass_on(events[i].data.fd);
		}
	}
	return arg;
}

/* --- --- */

#define PLAIN .backlog = 128, .response_bytes = 64

static const struct scenario scenarios[] = {
	{ "light", 4, 2, 20, .handle = handle_light, PLAIN },
	{ "quick", 4, 4, 1, .handle = handle_at_once, PLAIN },
	{ "lock", 6, 6, 0, .handle = handle_locking, PLAIN },
	{ "saturated", 8, 8, 0, .handle = handle_heavy, PLAIN },
	{ "stolen", 2, 2, 5, .handle = handle_heavy, .prepare = start_hogs, PLAIN },
	{ "small", 2, 8, 0, .closing = true, .handle = handle_sleeping, PLAIN },
	{ "large", 1, 2, 10, .closing = true, .handle = handle_light, .server = serve_by_pool, PLAIN },
	{ "peer", 4, 3, 0, .handle = handle_asking, .prepare = start_backend, .answer_ms = 20, PLAIN },
	{ "loop", 1, 3, 0, .server = serve_by_loop, .prepare = start_backend_and_feed, .answer_ms = 20, PLAIN },
	{ "stuck", 1, 3, 0, .server = serve_by_loop, .prepare = start_backend_and_feed, .answer_ms = 600000,
	  .stopped = true, PLAIN },
	{ "disk", 3, 2, 0, .handle = handle_writing, .prepare = open_file, PLAIN },
	{ "overflow", 1, 24, 0, .closing = true, .handle = handle_light, .server = serve_late, .backlog = 4,
	  .response_bytes = 64 },
	{ "slow_reader", 3, 2, 0, .handle = handle_light, .backlog = 128, .response_bytes = BIG_BYTES,
	  .read_pause_ms = 1 },
	{ "slow_sender", 3, 2, 5, .handle = handle_light, .piece_pause_ms = 30, PLAIN },
	{ "uring", 4, 2, 20, .handle = handle_light, .prepare = open_ring, PLAIN },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
		if (!strcmp(argv[1], scenarios[i].name))
			scenario = &scenarios[i];
	}
	if (!scenario) {
		fprintf(stderr, "scenario: what?\n");
		return 2;
	}
	if (argc > 2)
		directory = argv[2];
	listener = listen_on_loopback(&server_addr, scenario->backlog);
	if (scenario->prepare)
		scenario->prepare();
	start_clients();
	for (intptr_t i = 0; i < scenario->threads; i++)
		start_thread(scenario->server ? scenario->server : serve, (void *)i);
	printf("{\"type\":\"ready\",\"pid\":%d,\"backend\":%d,\"feed\":%d}\n", getpid(), ntohs(backend_addr.sin_port),
	       ntohs(feed_addr.sin_port));
	fflush(stdout);
	await_end_of_input();
	for (int i = 0; i < nr_children; i++)
		kill(children[i], SIGKILL);
	for (int i = 0; i < nr_children; i++)
		waitpid(children[i], NULL, 0);
	return 0;
}
