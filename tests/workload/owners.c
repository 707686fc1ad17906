// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/*
 * Three threads and many locks of every kind that has an owner, and a log of who held which lock when: the truth
 * about each wait is in the log, whatever the order in which the threads get the lock.
 *
 *   owners         is ready, waits for a line, plays, prints the truth, waits for its input's end
 *
 * The threads meet at one lock after the other, and each takes it a few times, after pauses and for times that are
 * drawn from a fixed series. The truth has, as numbers of the monotonic clock:
 *   calls   [lock, tid, begin, got, released, sleeps, preemptions]: sleeps inside the call by the kernel's count
 *   naps    [tid, begin, end]: when a thread slept by itself, in a pause or with the lock
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lock_play.h"
#include "workload.h"

#define NR_THREADS 3
#define NR_KINDS 7
#define NR_LOCKS (13 * NR_KINDS)
#define NR_TURNS 3
#define PAUSE_US 1500
#define HOLD_US 1000 /* and up to three times as long */
#define NR_CALLS (NR_LOCKS * NR_TURNS)

enum kind { PLAIN, RECURSIVE, ERRORCHECK, PI, ROBUST, TIMED, WRITER };

static const char *const kind_names[NR_KINDS] = { "plain", "recursive", "errorcheck", "pi",
						  "robust", "timed", "writer" };

static union {
	pthread_mutex_t mutex;
	pthread_rwlock_t rwlock;
} locks[NR_LOCKS];

struct call {
	unsigned lock;
	uint64_t begin_ns, got_ns, released_ns;
	long sleeps, preemptions;
};

static struct thread {
	int tid;
	uint64_t series;
	struct call calls[NR_CALLS];
	unsigned nr_calls;
	uint64_t naps[2 * NR_CALLS][2];
	unsigned nr_naps;
} threads[NR_THREADS];

static void nap(struct thread *t, unsigned us)
{
	uint64_t *nap = t->naps[t->nr_naps++];

	nap[0] = now_ns();
	sleep_us(us);
	nap[1] = now_ns();
}

static void compute(unsigned us)
{
	uint64_t end_ns = now_ns() + us * 1000ull;

	while (now_ns() < end_ns)
		;
}

/* Of a fixed series: less than @limit. */
static unsigned draw(struct thread *t, unsigned limit)
{
	t->series = t->series * 6364136223846793005ull + 1442695040888963407ull;
	return (t->series >> 33) % limit;
}

static int take(unsigned lock)
{
	struct timespec until;

	switch (lock % NR_KINDS) {
	case WRITER:
		return pthread_rwlock_wrlock(&locks[lock].rwlock);
	case TIMED:
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += 60;
		return pthread_mutex_timedlock(&locks[lock].mutex, &until);
	default:
		return pthread_mutex_lock(&locks[lock].mutex);
	}
}

static void release(unsigned lock)
{
	if (lock % NR_KINDS == WRITER)
		pthread_rwlock_unlock(&locks[lock].rwlock);
	else
		pthread_mutex_unlock(&locks[lock].mutex);
}

static void take_turn(struct thread *t, unsigned lock)
{
	struct call *call = &t->calls[t->nr_calls++];
	struct rusage before, after;
	unsigned hold_us;

	nap(t, draw(t, PAUSE_US) + 1);
	hold_us = HOLD_US + draw(t, 2 * HOLD_US);
	call->lock = lock;
	getrusage(RUSAGE_THREAD, &before);
	call->begin_ns = now_ns();
	if (take(lock))
		die("a lock was not taken");
	call->got_ns = now_ns();
	getrusage(RUSAGE_THREAD, &after);
	call->sleeps = after.ru_nvcsw - before.ru_nvcsw;
	call->preemptions = after.ru_nivcsw - before.ru_nivcsw;
	if (lock % 2)
		compute(hold_us);
	else
		nap(t, hold_us);
	call->released_ns = now_ns();
	release(lock);
}

static void *run(void *arg)
{
	struct thread *t = &threads[(uintptr_t)arg];

	t->tid = (int)syscall(SYS_gettid);
	t->series = 0x5eed + (t - threads);
	begin_play();
	for (unsigned lock = 0; lock < NR_LOCKS; lock++) {
		meet();
		for (unsigned turn = 0; turn < NR_TURNS; turn++)
			take_turn(t, lock);
	}
	return NULL;
}

static void make_lock(unsigned lock)
{
	pthread_mutex_t *mutex = &locks[lock].mutex;
	enum kind kind = lock % NR_KINDS;
	int type = kind == RECURSIVE	? PTHREAD_MUTEX_RECURSIVE
		   : kind == ERRORCHECK ? PTHREAD_MUTEX_ERRORCHECK
					: PTHREAD_MUTEX_DEFAULT;

	if (kind == WRITER)
		pthread_rwlock_init(&locks[lock].rwlock, NULL);
	else
		make_mutex(mutex, type, kind == PI ? PTHREAD_PRIO_INHERIT : PTHREAD_PRIO_NONE,
			   kind == ROBUST ? PTHREAD_MUTEX_ROBUST : PTHREAD_MUTEX_STALLED);
}

static void print_truth(void)
{
	printf("{\"type\":\"truth\",\"locks\":[");
	for (unsigned i = 0; i < NR_LOCKS; i++)
		printf("%s{\"addr\":\"%p\",\"kind\":\"%s\"}", i ? "," : "", (void *)&locks[i], kind_names[i % NR_KINDS]);
	printf("],\"calls\":[");
	for (const struct thread *t = threads; t < threads + NR_THREADS; t++) {
		for (const struct call *c = t->calls; c < t->calls + t->nr_calls; c++) {
			printf("%s[%u,%d,%lu,%lu,%lu,%ld,%ld]", t == threads && c == t->calls ? "" : ",", c->lock, t->tid,
			       c->begin_ns, c->got_ns, c->released_ns, c->sleeps, c->preemptions);
		}
	}
	printf("],\"naps\":[");
	for (const struct thread *t = threads; t < threads + NR_THREADS; t++) {
		for (unsigned i = 0; i < t->nr_naps; i++)
			printf("%s[%d,%lu,%lu]", t == threads && !i ? "" : ",", t->tid, t->naps[i][0], t->naps[i][1]);
	}
	printf("]}\n");
	fflush(stdout);
}

int main(void)
{
	for (unsigned i = 0; i < NR_LOCKS; i++)
		make_lock(i);
	play(NR_THREADS, run, print_truth);
	return 0;
}
