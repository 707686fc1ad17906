// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/*
 * What breaks a table of file descriptors: threads by the ten thousand, fd numbers that are closed
 * in one thread and given out again in another, duplicates, connections that end in every way there
 * is, fork, exec, and very large fd numbers.
 *
 *   churn [--count N] MODE                (churn --list names the modes)
 *
 * stdout: {"type":"ready",...}; a line on stdin starts it; then {"type":"truth",...} with what
 * really happened; then end of file on stdin ends it. A connection counts as closed when it was
 * shut down for writing, or when no fd of the target's processes refers to it any more.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "churn_clients.h"
#include "loopback.h"
#include "workload.h"

#define MAX_COUNT 100000
#define FIRST_HIGH_FD 5000
#define MOVED_FD 12000
#define SERVER_THREADS 4
#define EXEC_CONNS 20

static int null_fd = -1, max_fd;
static atomic_uint accepted, closed, requests, threads;
static char **program_args;

static int handed_over[MAX_COUNT];
static unsigned handed_head, handed_tail;
static pthread_mutex_t hand_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t hand_cond = PTHREAD_COND_INITIALIZER;

static void start_thread(void *(*run)(void *), void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 65536);
	if ((errno = pthread_create(&thread, &attr, run, arg)))
		die("pthread_create");
	pthread_attr_destroy(&attr);
	atomic_fetch_add(&threads, 1);
}

static void wait_for(atomic_uint *counter, unsigned want)
{
	for (unsigned tries = 0; tries < 40000 && *counter < want; tries++)
		sleep_ms(1);
	if (*counter < want)
		fprintf(stderr, "churn: %u of %u after 40 s\n", *counter, want);
}

/* ---- serving one connection ---- */

static int take(void)
{
	int fd = accept4(listen_fd, NULL, NULL, 0);

	if (fd < 0)
		die("accept4");
	atomic_fetch_add(&accepted, 1);
	if (fd > max_fd)
		max_fd = fd;
	return fd;
}

static void receive(int fd)
{
	char byte;

	if (recv(fd, &byte, 1, 0) != 1)
		die("recv on fd %d", fd);
}

/* The client asks again after '+' and waits for the end after '.'. */
static void respond(int fd, char reply)
{
	if (send(fd, &reply, 1, MSG_NOSIGNAL) != 1)
		die("send on fd %d", fd);
	atomic_fetch_add(&requests, 1);
}

static void answer(int fd, char reply)
{
	receive(fd);
	respond(fd, reply);
}

static void end(int fd)
{
	close(fd);
	atomic_fetch_add(&closed, 1);
}

static void serve(int fd)
{
	answer(fd, '.');
	end(fd);
}

/* ---- the modes ---- */

static void *serve_thread(void *arg)
{
	serve((int)(intptr_t)arg);
	return NULL;
}

static void *nothing_thread(void *arg)
{
	return arg;
}

static void mode_threads(void)
{
	for (unsigned i = 0; i < count; i++) {
		start_thread(serve_thread, (void *)(intptr_t)take());
		start_thread(nothing_thread, NULL);
	}
	wait_for(&closed, count);
}

static void *accept_and_serve(void *arg)
{
	for (unsigned i = *(unsigned *)arg; i < count; i += SERVER_THREADS)
		serve(take());
	return NULL;
}

/* Every close frees a number that another thread's accept may get before the close has returned. */
static void mode_race(void)
{
	static unsigned numbers[SERVER_THREADS];

	for (unsigned i = 0; i < SERVER_THREADS; i++) {
		numbers[i] = i;
		start_thread(accept_and_serve, &numbers[i]);
	}
	wait_for(&closed, count);
}

static int take_handed(void)
{
	int fd = -1;

	pthread_mutex_lock(&hand_mutex);
	while (handed_head == handed_tail && handed_tail < count)
		pthread_cond_wait(&hand_cond, &hand_mutex);
	if (handed_head < handed_tail)
		fd = handed_over[handed_head++];
	pthread_mutex_unlock(&hand_mutex);
	return fd;
}

static void *serve_handed(void *arg)
{
	int fd;

	while ((fd = take_handed()) >= 0)
		serve(fd);
	return arg;
}

/* Accepted here, read and closed there, while the next accept already wants the number. */
static void mode_handover(void)
{
	for (unsigned i = 0; i < SERVER_THREADS; i++)
		start_thread(serve_handed, NULL);
	for (unsigned i = 0; i < count; i++) {
		int fd = take();

		pthread_mutex_lock(&hand_mutex);
		handed_over[handed_tail++] = fd;
		/* The last one sets all of them free. */
		if (handed_tail == count)
			pthread_cond_broadcast(&hand_cond);
		pthread_mutex_unlock(&hand_mutex);
		pthread_cond_signal(&hand_cond);
	}
	wait_for(&closed, count);
}

static void dup_then_close_original(int fd)
{
	int copy = dup(fd);

	close(fd);
	serve(copy);
}

static void dup2_then_close_original(int fd)
{
	if (dup2(fd, 300) != 300)
		die("dup2");
	close(fd);
	serve(300);
}

static void dup3_between_requests(int fd)
{
	if (dup3(fd, 301, O_CLOEXEC) != 301)
		die("dup3");
	answer(fd, '+');
	close(fd);
	serve(301);
}

static void read_here_write_there(int fd)
{
	int copy = fcntl(fd, F_DUPFD, 400);

	receive(fd);
	respond(copy, '.');
	close(copy);
	end(fd);
}

static void copy_closed_first(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 400);

	close(copy);
	answer(fd, '+');
	serve(fd);
}

static void closed_by_dup2(int fd)
{
	answer(fd, '.');
	if (dup2(null_fd, fd) != fd)
		die("dup2");
	atomic_fetch_add(&closed, 1);
	close(fd);
}

static void closed_by_close_range(int fd)
{
	answer(fd, '.');
	if (close_range(fd, fd, 0))
		die("close_range");
	atomic_fetch_add(&closed, 1);
}

static void mode_dup(void)
{
	static void (*const ways[])(int) = {
		dup_then_close_original, dup2_then_close_original, dup3_between_requests,
		read_here_write_there,	 copy_closed_first,	   closed_by_dup2,
	};

	for (unsigned i = 0; i < count; i++)
		ways[i % (sizeof(ways) / sizeof(ways[0]))](take());
}

static void mode_close_range(void)
{
	for (unsigned i = 0; i < count; i++)
		closed_by_close_range(take());
}

/* dup2 onto a live connection closes that one and lets its number live on as the other. */
static void mode_dup2_over(void)
{
	for (unsigned i = 0; i < count; i += 2) {
		int kept = take(), lost = take();

		if (dup2(kept, lost) != lost)
			die("dup2");
		atomic_fetch_add(&closed, 1);
		close(kept);
		serve(lost);
	}
}

static void mode_close_only(void)
{
	for (unsigned i = 0; i < count; i++)
		serve(take());
}

/* Shut down and never closed: closed all the same, and the fd stays taken until the end. */
static void mode_shutdown_only(void)
{
	for (unsigned i = 0; i < count; i++) {
		int fd = take();

		answer(fd, '.');
		shutdown(fd, i % 2 ? SHUT_WR : SHUT_RDWR);
		atomic_fetch_add(&closed, 1);
	}
}

/* Shut down for reading only is still a connection that can answer. */
static void mode_shutdown_read(void)
{
	for (unsigned i = 0; i < count; i++) {
		int fd = take();

		receive(fd);
		shutdown(fd, SHUT_RD);
		respond(fd, '.');
		end(fd);
	}
}

static void mode_silent(void)
{
	for (unsigned i = 0; i < count; i++)
		end(take());
}

static void mode_open(void)
{
	for (unsigned i = 0; i < count; i++)
		answer(take(), '+');
}

/* The child answers and ends; the parent's close right after fork is not the connection's end. */
static void mode_fork(void)
{
	for (unsigned i = 0; i < count; i++) {
		int fd = take();
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (!pid) {
			answer(fd, '.');
			if (i % 2)
				close(fd);
			_exit(0);
		}
		close(fd);
		if (waitpid(pid, NULL, 0) != pid)
			die("waitpid");
		atomic_fetch_add(&requests, 1);
		atomic_fetch_add(&closed, 1);
	}
}

/*
 * A server started without a standard input is given 0 by its first accept: a number like any
 * other.
 */
static void mode_fd_zero(void)
{
	int saved = fcntl(0, F_DUPFD, 50);

	close(0);
	for (unsigned i = 0; i < count; i++) {
		int fd = take();

		if (fd)
			die("fd %d where 0 was free", fd);
		serve(fd);
	}
	dup2(saved, 0);
	close(saved);
}

static void fill_fds_below(int first)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		die("setrlimit");
	while (dup(null_fd) < first - 1)
		;
}

static void mode_high_fd(void)
{
	unsigned i;

	fill_fds_below(FIRST_HIGH_FD);
	for (i = 0; i < count; i++)
		handed_over[i] = take();
	for (i = 0; i < count; i += 2)
		serve(handed_over[i]);
	for (i = 1; i < count; i += 2) {
		int moved = fcntl(handed_over[i], F_DUPFD, MOVED_FD);

		if (moved < 0)
			die("F_DUPFD");
		if (moved > max_fd)
			max_fd = moved;
		close(handed_over[i]);
		serve(moved);
	}
}

/* ---- exec of itself: close-on-exec ends there, the rest keeps its number and goes on ---- */

static void exec_self(const int *fds)
{
	static char numbers[EXEC_CONNS * 8], resume_option[] = "--resume";
	char state[96], *args[] = { program_args[0], resume_option, state, numbers, NULL };
	size_t len = 0;
	unsigned i;

	for (i = 1; i < count; i += 2)
		len += snprintf(numbers + len, sizeof(numbers) - len, "%d,", fds[i]);
	snprintf(state, sizeof(state), "%u,%u,%u,%u,%d", accepted, closed + (count + 1) / 2,
		 requests, threads, client_pid);
	execv("/proc/self/exe", args);
	die("execv");
}

static void *exec_thread(void *arg)
{
	exec_self(arg);
	return NULL;
}

static void take_for_exec(int *fds)
{
	for (unsigned i = 0; i < count; i++) {
		fds[i] = take();
		fcntl(fds[i], F_SETFD, i % 2 ? 0 : FD_CLOEXEC);
	}
	for (unsigned i = 0; i < count; i++)
		answer(fds[i], '+');
}

static void mode_exec(void)
{
	int fds[EXEC_CONNS];

	take_for_exec(fds);
	exec_self(fds);
}

/*
 * From another thread than the first: its thread id becomes the process id, and every other thread
 * is gone.
 */
static void mode_exec_thread(void)
{
	static int fds[EXEC_CONNS];

	take_for_exec(fds);
	start_thread(nothing_thread, NULL);
	start_thread(exec_thread, fds);
	for (;;)
		pause();
}

static const struct mode {
	const char *name;
	void (*server)(void);
	void (*client)(void);
	unsigned count;
} modes[] = {
	{ "threads", mode_threads, many_clients, 10000 },
	{ "race", mode_race, many_clients, 8000 },
	{ "handover", mode_handover, many_clients, 8000 },
	{ "dup", mode_dup, many_clients, 600 },
	{ "dup2-over", mode_dup2_over, client_pairs, 100 },
	{ "close-range", mode_close_range, many_clients, 200 },
	{ "close-only", mode_close_only, many_clients, 500 },
	{ "shutdown-only", mode_shutdown_only, many_clients, 200 },
	{ "shutdown-read", mode_shutdown_read, many_clients, 200 },
	{ "silent", mode_silent, silent_clients, 500 },
	{ "open", mode_open, clients_that_stay, 50 },
	{ "fork", mode_fork, many_clients, 200 },
	{ "fd-zero", mode_fd_zero, many_clients, 100 },
	{ "high-fd", mode_high_fd, clients_at_once, 200 },
	{ "exec", mode_exec, clients_at_once, EXEC_CONNS },
	{ "exec-thread", mode_exec_thread, clients_at_once, EXEC_CONNS },
};

/* ---- main ---- */

static void finish(void)
{
	printf("{\"type\":\"truth\",\"accepted\":%u,\"closed\":%u,\"open\":%u,"
	       "\"requests\":%u,\"threads\":%u,\"max_fd\":%d}\n",
	       accepted, closed, accepted - closed, requests, threads, max_fd);
	fflush(stdout);
	await_end_of_input();
	kill(client_pid, SIGKILL);
	waitpid(client_pid, NULL, 0);
	exit(0);
}

static void resume(const char *state, char *numbers)
{
	unsigned a, c, r, t;
	char *next;

	if (sscanf(state, "%u,%u,%u,%u,%d", &a, &c, &r, &t, &client_pid) != 5)
		exit(2);
	accepted = a;
	closed = c;
	requests = r;
	threads = t;
	for (next = strtok(numbers, ","); next; next = strtok(NULL, ","))
		serve(atoi(next));
	finish();
}

static const struct mode *find_mode(const char *name)
{
	for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (!strcmp(modes[i].name, name))
			return &modes[i];
	fprintf(stderr, "churn: no mode '%s'\n", name);
	exit(2);
}

static const struct mode *parse_arguments(int argc, char **argv)
{
	const struct mode *mode = NULL;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--count") && i + 1 < argc) {
			count = strtoul(argv[++i], NULL, 10);
		} else if (!strcmp(argv[i], "--list")) {
			for (unsigned k = 0; k < sizeof(modes) / sizeof(modes[0]); k++)
				printf("%s\n", modes[k].name);
			exit(0);
		} else {
			mode = find_mode(argv[i]);
		}
	}
	if (!mode || count > MAX_COUNT) {
		fprintf(stderr, "usage: churn [--count 1..%d] MODE | --list\n", MAX_COUNT);
		exit(2);
	}
	if (!count || (mode->count == EXEC_CONNS && count > EXEC_CONNS))
		count = mode->count;
	return mode;
}

int main(int argc, char **argv)
{
	const struct mode *mode;
	int go_fd;

	program_args = argv;
	signal(SIGPIPE, SIG_IGN);
	if (argc == 4 && !strcmp(argv[1], "--resume"))
		resume(argv[2], argv[3]);
	mode = parse_arguments(argc, argv);
	listen_fd = listen_on_loopback(&server_addr, 512);
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	go_fd = fork_clients(mode->client);
	say_ready_at(&server_addr);
	await_start();
	if (write(go_fd, "g", 1) != 1)
		die("client");
	mode->server();
	finish();
}
