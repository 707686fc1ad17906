/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * Of breakdown.c: the steps of a request, and how long each has blocked the worker.
 *
 * What a step that blocks took is its wall time less the CPU time used and the time spent runnable in it.
 */
#ifndef BREAKDOWN_STEPS_H
#define BREAKDOWN_STEPS_H

#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/prctl.h>

#include "breakdown_client.h"
#include "breakdown_others.h"
#include "workload.h"

#define MS 1000000ull
/*
 * Few long waits: the CPU clock stops some microseconds before each switch, while the kernel looks for
 * other work, and of many short waits that would be a share to see.
 */
#define DISK_BYTES (4u << 20)

enum state { CPU, RUNQ, LOCK, WAIT, DISK, NET, IDLE, SLEEP, OTHER, HANDOFF, NR_STATES };
static const char *const state_names[] = { "cpu", "runq", "lock",  "wait",  "disk",
					   "net", "idle", "sleep", "other", "handoff" };

struct request {
	unsigned port, seq;
	char steps[STEPS_SIZE];
	pid_t read_tid, write_tid;
	struct range read_at, pushed_at;
	struct range latency, state[NR_STATES];
	struct range ready;	 /* cpu and runq */
	struct range not_asleep; /* and hand-off */
	/* free_ns: for how long of the hand-off the thread that answers was free. */
	int64_t free_ns;
	/* Whether the one that answers was woken for it, or had another request before. */
	bool is_taking_up_known;
};

struct worker {
	pthread_t thread, helper_thread;
	int cpu;
	pid_t tid;
	struct request *request;
	struct range taken_at; /* when this thread took up the request, or last became free */
	struct span taken;     /* its clocks then */
	struct upstream_fds *upstreams;

	/* The helper holds the mutex, or makes the condition true, after so many milliseconds. */
	sem_t wanted;
	char what;
	unsigned ms;
	atomic_bool held, tries;
	pthread_mutex_t mutex, cond_mutex;
	pthread_cond_t cond;
	bool ready;
	unsigned cond_waits;
	struct range cond_wait;
};

static int disk_fd = -1;
static char *disk_data;
static struct range disk_wait;
static pthread_mutex_t totals_mutex = PTHREAD_MUTEX_INITIALIZER;

/* Returns the time blocked since @begin, and adds it to the request in hand. */
static struct range charge(struct worker *w, struct span begin, enum state state)
{
	struct range blocked = blocked_between(begin, snapshot());

	range__add(&w->request->state[state], blocked);
	return blocked;
}

/* As charge(); many workers add to @total. */
static struct range charge_total(struct worker *w, struct span begin, enum state state, struct range *total)
{
	struct range blocked = charge(w, begin, state);

	pthread_mutex_lock(&totals_mutex);
	range__add(total, blocked);
	pthread_mutex_unlock(&totals_mutex);
	return blocked;
}

static void spin_step(unsigned ms)
{
	uint64_t end = clock_ns(CLOCK_THREAD_CPUTIME_ID) + ms * MS;

	while (clock_ns(CLOCK_THREAD_CPUTIME_ID) < end)
		;
}

/* This thread and the competitor share the CPU until this one has waited long enough for it. */
static void compete_step(struct worker *w, unsigned ms)
{
	uint64_t end = run_delay_ns() + ms * MS, limit = now_ns() + 2000 * MS;

	competitor->cpu = w->cpu;
	competitor->spins = true;
	if (write(competitor_pipe[1], "g", 1) != 1)
		die("competitor");
	while (run_delay_ns() < end && now_ns() < limit)
		;
	competitor->spins = false;
}

static void ask_helper(struct worker *w, char what, unsigned ms)
{
	w->what = what;
	w->ms = ms;
	sem_post(&w->wanted);
}

static void lock_step(struct worker *w, unsigned ms)
{
	struct span begin;

	ask_helper(w, 'l', ms);
	/* Not by waiting: that would be a wait for another thread, and not for the lock. */
	while (!w->held)
		;
	begin = snapshot();
	w->tries = true;
	pthread_mutex_lock(&w->mutex);
	charge(w, begin, LOCK);
	pthread_mutex_unlock(&w->mutex);
}

static void wait_step(struct worker *w, unsigned ms)
{
	struct span begin;

	ask_helper(w, 'w', ms);
	begin = snapshot();
	pthread_mutex_lock(&w->cond_mutex);
	while (!w->ready)
		pthread_cond_wait(&w->cond, &w->cond_mutex);
	w->ready = false;
	pthread_mutex_unlock(&w->cond_mutex);
	range__add(&w->cond_wait, charge(w, begin, WAIT));
	w->cond_waits++;
}

static void *helper_main(void *arg)
{
	struct worker *w = arg;

	prctl(PR_SET_NAME, "helper");
	prctl(PR_SET_TIMERSLACK, 1);
	pin_to(nth_cpu(1));
	for (;;) {
		while (sem_wait(&w->wanted))
			;
		if (w->what == 'l') {
			pthread_mutex_lock(&w->mutex);
			w->held = true;
			/* On a busy CPU it may take the worker long to see it. */
			while (!w->tries)
				;
			w->held = w->tries = false;
			sleep_ms(w->ms);
			pthread_mutex_unlock(&w->mutex);
			continue;
		}
		sleep_ms(w->ms);
		pthread_mutex_lock(&w->cond_mutex);
		w->ready = true;
		pthread_mutex_unlock(&w->cond_mutex);
		/* After the unlock: the woken thread must not wait for a lock as well. */
		pthread_cond_signal(&w->cond);
	}
	return NULL;
}

/* How long a disk takes is its own affair: again until it was long enough. */
static void disk_step(struct worker *w, unsigned ms, bool reads)
{
	uint64_t blocked = 0, limit = now_ns() + 2000 * MS;

	while (blocked < ms * MS && now_ns() < limit) {
		struct span begin = snapshot();

		if (reads) {
			if (pread(disk_fd, disk_data, DISK_BYTES, 0) != DISK_BYTES)
				die("direct read");
		} else if (pwrite(disk_fd, disk_data, DISK_BYTES, 0) != DISK_BYTES ||
			   fdatasync(disk_fd)) {
			die("write or fdatasync");
		}
		blocked += charge_total(w, begin, DISK, &disk_wait).lo_ns;
	}
}

static void upstream_step(struct worker *w, enum upstream kind, bool polls, unsigned ms)
{
	struct pollfd pollfd = { .fd = w->upstreams->in[kind], .events = POLLIN };
	unsigned char byte = ms;
	struct span begin;

	if (write(w->upstreams->out[kind], &byte, 1) != 1)
		die("upstream");
	begin = snapshot();
	if (polls && poll(&pollfd, 1, 5000) != 1)
		die("poll");
	if (read(w->upstreams->in[kind], &byte, 1) != 1)
		die("upstream");
	charge_total(w, begin, kind == UP_PIPE ? OTHER : NET, &upstream_totals[kind].wait);
	__atomic_fetch_add(&upstream_totals[kind].waits, 1, __ATOMIC_RELAXED);
}

static void sleep_step(struct worker *w, unsigned ms)
{
	struct span begin = snapshot();

	sleep_ms(ms);
	charge(w, begin, SLEEP);
}

static void run_step(struct worker *w, char op, unsigned ms)
{
	switch (op) {
	case 'c': /* use the CPU */
		return spin_step(ms);
	case 'q': /* wait for the CPU */
		return compete_step(w, ms);
	case 'l': /* a mutex that another thread holds */
		return lock_step(w, ms);
	case 'w': /* a condition that another thread makes true */
		return wait_step(w, ms);
	case 'd': /* direct writes and fdatasync */
		return disk_step(w, ms, false);
	case 'r': /* direct reads */
		return disk_step(w, ms, true);
	case 't': /* an upstream: TCP, TCP over IPv6, unix; in capitals with poll() first */
	case 'T':
		return upstream_step(w, UP_V4, op == 'T', ms);
	case 'v':
	case 'V':
		return upstream_step(w, UP_V6, op == 'V', ms);
	case 'u':
	case 'U':
		return upstream_step(w, UP_UNIX, op == 'U', ms);
	case 'p': /* a pipe */
		return upstream_step(w, UP_PIPE, false, ms);
	case 's':
		return sleep_step(w, ms);
	}
	/* n: a long answer to a client that reads slowly. h: the reader keeps the request back. */
}

static void run_steps(struct worker *w)
{
	const char *at = w->request->steps;

	for (; *at; at++) {
		if ((*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z'))
			run_step(w, *at, atoi(at + 1));
	}
}

#endif
