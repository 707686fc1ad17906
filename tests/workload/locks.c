// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/*
 * Threads and locks of several kinds with a script that leaves nothing to chance: a round's holder takes the
 * lock, and lets it go only some time after every other thread is seen asleep in its call. So each call of
 * theirs waits once, and how long the thread measures itself.
 *
 *   locks [--threads N] [--rounds N] [--hold-ms N] [--limit-ms N] [--quick N]
 *
 * --limit-ms: of the calls with a time limit. --quick: uncontended calls of each thread on each lock beside.
 * stdout: {"type":"ready",...}; then a line on stdin starts it; then {"type":"truth","locks":[...]}; then end
 * of file on stdin ends it. Exit code 1 when a count that the locks protect is wrong.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lock_play.h"
#include "workload.h"

enum kind { MUTEX, WRITE_LOCK, READ_LOCK };

/* External linkage: a profiler that names lock addresses by symbol has a name to find. */
pthread_mutex_t plain_lock = PTHREAD_MUTEX_INITIALIZER;
pthread_mutex_t recursive_lock, errorcheck_lock, pi_lock, robust_lock;
pthread_rwlock_t write_lock = PTHREAD_RWLOCK_INITIALIZER;
pthread_rwlock_t read_lock = PTHREAD_RWLOCK_INITIALIZER;

struct scripted_lock {
	const char *name;
	void *lock;
	enum kind kind; /* of the waiters' calls; the holder's are for writing */
	unsigned long counter; /* the lock protects it */
	atomic_ulong acquisitions, failed, waits, wait_ns, run_delay_ns;
};

static struct scripted_lock locks[] = {
	{ .name = "plain_lock", .lock = &plain_lock, .kind = MUTEX },
	{ .name = "recursive_lock", .lock = &recursive_lock, .kind = MUTEX },
	{ .name = "errorcheck_lock", .lock = &errorcheck_lock, .kind = MUTEX },
	{ .name = "pi_lock", .lock = &pi_lock, .kind = MUTEX },
	{ .name = "robust_lock", .lock = &robust_lock, .kind = MUTEX },
	{ .name = "write_lock", .lock = &write_lock, .kind = WRITE_LOCK },
	{ .name = "read_lock", .lock = &read_lock, .kind = READ_LOCK },
};

#define NR_LOCKS (sizeof(locks) / sizeof(locks[0]))

static unsigned nr_threads = 4, nr_rounds = 10, hold_ms = 15, limit_ms = 6, nr_quick = 50;
static atomic_int tids[MAX_PLAYERS];

static int take(struct scripted_lock *lock, bool as_holder)
{
	if (lock->kind == MUTEX)
		return pthread_mutex_lock(lock->lock);
	if (lock->kind == READ_LOCK && !as_holder)
		return pthread_rwlock_rdlock(lock->lock);
	return pthread_rwlock_wrlock(lock->lock);
}

static int try_to_take(struct scripted_lock *lock)
{
	if (lock->kind == MUTEX)
		return pthread_mutex_trylock(lock->lock);
	return lock->kind == READ_LOCK ? pthread_rwlock_tryrdlock(lock->lock) : pthread_rwlock_trywrlock(lock->lock);
}

static int take_until_soon(struct scripted_lock *lock)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += limit_ms * 1000000l;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	if (lock->kind == MUTEX)
		return pthread_mutex_timedlock(lock->lock, &until);
	return lock->kind == READ_LOCK ? pthread_rwlock_timedrdlock(lock->lock, &until)
				       : pthread_rwlock_timedwrlock(lock->lock, &until);
}

static void release(struct scripted_lock *lock)
{
	if (lock->kind == MUTEX)
		pthread_mutex_unlock(lock->lock);
	else
		pthread_rwlock_unlock(lock->lock);
}

/* Does the thread sleep in futex(2)? */
static bool is_in_futex(int tid)
{
	char path[64], text[32] = "";
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (len < 0)
		die("cannot see what a thread sleeps in");
	close(fd);
	return text[0] >= '0' && text[0] <= '9' && atoi(text) == SYS_futex;
}

static void hold(struct scripted_lock *lock, unsigned self)
{
	if (take(lock, true))
		die("the holder did not get its lock");
	atomic_fetch_add(&lock->acquisitions, 1);
	lock->counter++;
	meet(); /* now the others try, and run out of time */
	meet(); /* now they wait */
	for (unsigned i = 0; i < nr_threads; i++) {
		while (i != self && !is_in_futex(atomic_load(&tids[i])))
			sleep_us(100);
	}
	sleep_us(hold_ms * 1000);
	release(lock);
}

/* How often this thread has slept. */
static long nr_sleeps(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw;
}

/* A call of a lock function that should have to wait. */
struct timed_call {
	uint64_t delay_ns;
	long sleeps;
	uint64_t begin_ns;
};

static void call__begin(struct timed_call *call)
{
	call->delay_ns = run_delay_ns();
	call->sleeps = nr_sleeps();
	call->begin_ns = now_ns();
}

/* Who got its CPU so late that its time was up at once has not waited. */
static void call__end(const struct timed_call *call, struct scripted_lock *lock)
{
	uint64_t wait_ns = now_ns() - call->begin_ns;

	if (nr_sleeps() == call->sleeps)
		return;
	atomic_fetch_add(&lock->wait_ns, wait_ns);
	atomic_fetch_add(&lock->run_delay_ns, run_delay_ns() - call->delay_ns);
	atomic_fetch_add(&lock->waits, 1);
}

static void wait_for(struct scripted_lock *lock)
{
	struct timed_call call;

	meet();
	if (!try_to_take(lock))
		die("a lock that is held was taken");
	call__begin(&call);
	if (take_until_soon(lock) != ETIMEDOUT)
		die("a lock that is held was taken in time");
	call__end(&call, lock);
	atomic_fetch_add(&lock->failed, 2);
	meet();
	call__begin(&call);
	if (take(lock, false))
		die("a waiter did not get its lock");
	call__end(&call, lock);
	atomic_fetch_add(&lock->acquisitions, 1);
	if (lock->kind != READ_LOCK)
		lock->counter++;
	release(lock);
}

/* One thread after the other, so that none is in another's way. */
static void take_quickly(struct scripted_lock *lock, unsigned self)
{
	for (unsigned turn = 0; turn < nr_threads; turn++) {
		for (unsigned i = 0; turn == self && i < nr_quick; i++) {
			if (take(lock, true))
				die("a free lock was not taken");
			lock->counter++;
			release(lock);
		}
		meet();
	}
	atomic_fetch_add(&lock->acquisitions, nr_quick);
}

static void *run(void *arg)
{
	unsigned self = (unsigned)(uintptr_t)arg;

	atomic_store(&tids[self], (int)syscall(SYS_gettid));
	begin_play();
	for (unsigned round = 0; round < nr_rounds; round++) {
		for (unsigned i = 0; i < NR_LOCKS; i++) {
			meet();
			if (round % nr_threads == self)
				hold(&locks[i], self);
			else
				wait_for(&locks[i]);
			meet();
		}
	}
	for (unsigned i = 0; i < NR_LOCKS; i++)
		take_quickly(&locks[i], self);
	return NULL;
}

/* The holder and the quick ones count always, waiters only where one is alone with the lock. */
static void check_counter(const struct scripted_lock *lock)
{
	unsigned long waiters = lock->kind == READ_LOCK ? 0 : (unsigned long)nr_rounds * (nr_threads - 1);

	if (lock->counter != nr_rounds + waiters + (unsigned long)nr_threads * nr_quick)
		die("what a lock protects was changed by two threads at once");
}

static void print_truth(void)
{
	printf("{\"type\":\"truth\",\"locks\":[");
	for (unsigned i = 0; i < NR_LOCKS; i++) {
		check_counter(&locks[i]);
		printf("%s{\"name\":\"%s\",\"addr\":\"%p\",\"kind\":\"%s\",\"acquisitions\":%lu,\"failed\":%lu,"
		       "\"waits\":%lu,\"wait_ns\":%lu,\"run_delay_ns\":%lu}", i ? "," : "", locks[i].name, locks[i].lock,
		       locks[i].kind == MUTEX ? "mutex" : "rwlock", locks[i].acquisitions, locks[i].failed,
		       locks[i].waits, locks[i].wait_ns, locks[i].run_delay_ns);
	}
	printf("]}\n");
	fflush(stdout);
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "threads", required_argument, NULL, 't' }, { "rounds", required_argument, NULL, 'r' },
		{ "hold-ms", required_argument, NULL, 'h' }, { "quick", required_argument, NULL, 'q' },
		{ "limit-ms", required_argument, NULL, 'l' }, { 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		unsigned *value = option == 't'	  ? &nr_threads
				  : option == 'r' ? &nr_rounds
				  : option == 'h' ? &hold_ms
				  : option == 'q' ? &nr_quick
				  : option == 'l' ? &limit_ms
						  : NULL;

		if (!value)
			_exit(2);
		*value = atoi(optarg);
	}
	if (nr_threads < 2 || nr_threads > MAX_PLAYERS)
		_exit(2);
}

int main(int argc, char **argv)
{
	parse(argc, argv);
	make_mutex(&recursive_lock, PTHREAD_MUTEX_RECURSIVE, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_STALLED);
	make_mutex(&errorcheck_lock, PTHREAD_MUTEX_ERRORCHECK, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_STALLED);
	make_mutex(&pi_lock, PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_INHERIT, PTHREAD_MUTEX_STALLED);
	make_mutex(&robust_lock, PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_ROBUST);
	play(nr_threads, run, print_truth);
	return 0;
}
