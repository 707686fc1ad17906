/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * Of known.c: the scripted client, a process of its own: its threads and waits are not the target's.
 *
 * A request is an operation, 'k'eep-alive or 'c'lose, and milliseconds.
 */
#ifndef KNOWN_CLIENT_H
#define KNOWN_CLIENT_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/prctl.h>

#include "known_calls.h"
#include "loopback.h"
#include "workload.h"

/* Text, and at the end when it was to be sent: see format_request(). */
#define MSG_SIZE 24
#define TEXT_SIZE 16
#define MAX_WORKERS 16
#define HOLD_MS 700

/* Written by the client's process, so that the server can compare its own count with it. */
struct client_count {
	atomic_uint connections, answered, unanswered;
};

static const char *script = "plain";
static unsigned nr_workers = 4;
static struct sockaddr_in server_addr;
static struct client_count *client_count;

static void count_client(void)
{
	client_count = mmap(NULL, sizeof(*client_count), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (client_count == MAP_FAILED)
		die("mmap");
}

static int dial(void)
{
	int fd = connect_to(&server_addr);

	atomic_fetch_add(&client_count->connections, 1);
	return fd;
}

static void send_all(int fd, const char *buf, size_t len)
{
	if (send(fd, buf, len, MSG_NOSIGNAL) != (ssize_t)len)
		die("send of a request");
}

static void format_request(char *msg, char op, bool keep, unsigned ms)
{
	uint64_t now = now_ns();

	memset(msg, '.', TEXT_SIZE);
	memcpy(msg + TEXT_SIZE, &now, sizeof(now));
	msg[0] = op;
	msg[1] = keep ? 'k' : 'c';
	msg[snprintf(msg + 2, TEXT_SIZE - 2, "%u", ms) + 2] = ' ';
}

static void await_answer(int fd)
{
	char reply[MSG_SIZE];

	if (recv(fd, reply, MSG_SIZE, MSG_WAITALL) != MSG_SIZE)
		die("no answer");
	atomic_fetch_add(&client_count->answered, 1);
}

static void hang_up(int fd)
{
	char byte;

	/* The server ends first, so that the end it measures is its own doing. */
	while (recv(fd, &byte, 1, 0) > 0)
		;
	close(fd);
}

static void ask(int fd, char op, bool keep, unsigned ms)
{
	char msg[MSG_SIZE];

	format_request(msg, op, keep, ms);
	send_all(fd, msg, MSG_SIZE);
	await_answer(fd);
}

static void one_shot(char op, unsigned ms)
{
	int fd = dial();

	ask(fd, op, false, ms);
	hang_up(fd);
}

static void late_shot(char op, unsigned ms)
{
	int fd = dial();

	sleep_ms(10);
	ask(fd, op, false, ms);
	hang_up(fd);
}

struct task {
	pthread_t thread;
	char op;
	unsigned ms, repeat;
};

static void *task_main(void *arg)
{
	struct task *task = arg;
	unsigned i;
	int fd = dial();

	for (i = 1; i < task->repeat; i++) {
		ask(fd, task->op, true, task->ms);
		sleep_ms(4);
	}
	ask(fd, task->op, false, task->ms);
	hang_up(fd);
	return NULL;
}

static void start_tasks(struct task *tasks, unsigned nr, char op, unsigned ms, unsigned repeat)
{
	unsigned i;

	for (i = 0; i < nr; i++) {
		tasks[i] = (struct task){ .op = op, .ms = ms, .repeat = repeat };
		if (pthread_create(&tasks[i].thread, NULL, task_main, &tasks[i]))
			die("pthread_create");
	}
}

static void join_tasks(struct task *tasks, unsigned nr)
{
	while (nr--)
		pthread_join(tasks[nr].thread, NULL);
}

static void at_once(unsigned nr, char op, unsigned ms, unsigned repeat)
{
	struct task tasks[32];

	start_tasks(tasks, nr, op, ms, repeat);
	join_tasks(tasks, nr);
	sleep_ms(5);
}

/* Every worker is busy long before the burst comes, so the queue's maximum has no race in it. */
static void burst(unsigned nr, unsigned busy_ms, unsigned ms)
{
	struct task first[MAX_WORKERS], rest[32];

	start_tasks(first, nr_workers, 'S', busy_ms, 1);
	sleep_ms(busy_ms / 4);
	start_tasks(rest, nr, 'S', ms, 1);
	join_tasks(first, nr_workers);
	join_tasks(rest, nr);
	sleep_ms(5);
}

static void run_plain(void)
{
	unsigned i;

	for (i = 0; i < 5; i++) {
		one_shot('S', 20);
		late_shot('S', 20);
	}
	burst(8, 60, 30);
	at_once(4, 'S', 5, 5);
	for (i = 0; i < 3; i++)
		at_once(nr_workers, 'L', 10, 1);
	at_once(2, 'M', 15, 1);
	one_shot('C', 10);
	one_shot('C', 10);
}

static void odd_unanswered(void)
{
	char msg[MSG_SIZE];
	int fd = dial();

	format_request(msg, 'N', false, 0);
	send_all(fd, msg, MSG_SIZE);
	atomic_fetch_add(&client_count->unanswered, 1);
	hang_up(fd);
}

static void odd_silent(void)
{
	int fd = dial();

	sleep_ms(3);
	close(fd);
}

static void odd_in_two_pieces(void)
{
	char msg[MSG_SIZE];
	int fd = dial();

	format_request(msg, 'S', false, 5);
	send_all(fd, msg, MSG_SIZE / 2);
	sleep_ms(10);
	send_all(fd, msg + MSG_SIZE / 2, MSG_SIZE / 2);
	await_answer(fd);
	hang_up(fd);
}

static void odd_pipelined(void)
{
	char msg[2 * MSG_SIZE];
	int fd = dial();

	format_request(msg, 'S', true, 5);
	format_request(msg + MSG_SIZE, 'S', false, 5);
	send_all(fd, msg, sizeof(msg));
	await_answer(fd);
	await_answer(fd);
	hang_up(fd);
}

static void odd_half_closed(void)
{
	char msg[MSG_SIZE];
	int fd = dial();

	format_request(msg, 'S', true, 5);
	send_all(fd, msg, MSG_SIZE);
	shutdown(fd, SHUT_WR);
	await_answer(fd);
	hang_up(fd);
}

static void run_odd(void)
{
	unsigned i;

	for (i = 0; i < 4; i++) {
		one_shot('W', 10);
		one_shot('G', 20);
		odd_unanswered();
		odd_silent();
		odd_in_two_pieces();
		odd_pipelined();
		odd_half_closed();
	}
}

static void run_calls(void)
{
	unsigned i;

	/*
	 * 5 and 7 have no common factor: 35 connections in a row meet every pair of read and write
	 * call.
	 */
	for (i = 0; i < NR_READERS * NR_WRITERS; i++)
		one_shot('S', 1);
}

static void run_hold(void)
{
	burst(5, HOLD_MS, 1);
}

static void run_backlog(void)
{
	at_once(7, 'S', 1, 1);
}

static const struct {
	const char *name;
	void (*run)(void);
} scripts[] = {
	{ "plain", run_plain }, { "odd", run_odd },	    { "calls", run_calls },
	{ "hold", run_hold },	{ "backlog", run_backlog },
};

static void client_main(int go_fd)
{
	unsigned i;
	char byte;

	prctl(PR_SET_NAME, "known-client");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (read(go_fd, &byte, 1) != 1)
		_exit(0);
	for (i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++)
		if (!strcmp(script, scripts[i].name))
			scripts[i].run();
	_exit(0);
}

#endif
