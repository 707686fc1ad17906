// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/*
 * Waits for locks of every kind, as long as they are told, and says how long they were and who held the lock.
 *
 *   lockwait SCENE…    is ready, waits for a line, plays each scene, prints the truth, waits for its input's end
 *
 * In each scene one thread, the holder, has the lock for a scripted time again and again, and the waiters come while
 * it has it. wait_ns is what the waiters' own clocks saw, less the time that the kernel says they waited for a CPU.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lock_play.h"
#include "workload.h"

#define ROUNDS 20
#define HOLD_NS 8000000
#define NR_WAITERS 2

typedef int (*lock_fn)(void *lock);

pthread_mutex_t plain_lock = PTHREAD_MUTEX_INITIALIZER;
pthread_mutex_t limited_lock = PTHREAD_MUTEX_INITIALIZER;
pthread_mutex_t recursive_lock, errorcheck_lock, pi_lock, robust_lock;
pthread_rwlock_t read_lock = PTHREAD_RWLOCK_INITIALIZER, write_lock = PTHREAD_RWLOCK_INITIALIZER;
sem_t permit, permits;
pthread_cond_t news = PTHREAD_COND_INITIALIZER;
static pthread_mutex_t *heap_lock;

struct scene {
	const char *name;
	const char *lock_name;
	void *lock;
	lock_fn take;
	lock_fn release;
	int (*wait)(void *lock); /* how the waiters take it */
	int (*end)(void *lock);	 /* and let it go */
	bool sleeps;		 /* the holder sleeps, or else computes */
	bool serves;		 /* the waiters have a request in hand meanwhile */
	bool signals;		 /* the waiters get a signal in the middle */
};

struct waiter {
	const struct scene *scene;
	uint64_t wait_ns;
	uint64_t run_delay_ns;
	unsigned int waits; /* over 50 us */
	unsigned int timeouts;
	unsigned int interruptions;
};

static pthread_barrier_t held, done;
static pthread_t waiting[NR_WAITERS];
static pthread_mutex_t news_lock = PTHREAD_MUTEX_INITIALIZER;
static bool printed; /* the news */
static __thread unsigned int timeouts, interruptions;

static void hold(bool sleeps)
{
	uint64_t end = now_ns() + HOLD_NS;

	if (sleeps) {
		sleep_until(end);
		return;
	}
	while (now_ns() < end)
		;
}

/* --- one function for each way to wait, which is what a report should name --- */

#define NOT_INLINED __attribute__((noinline))

static NOT_INLINED int wait_for_mutex(void *lock)
{
	int err = pthread_mutex_lock(lock);

	__asm__ volatile("" ::: "memory"); /* no tail call: the frame stays */
	return err;
}

static NOT_INLINED int wait_to_read(void *lock)
{
	int err = pthread_rwlock_rdlock(lock);

	__asm__ volatile("" ::: "memory");
	return err;
}

static NOT_INLINED int wait_to_write(void *lock)
{
	int err = pthread_rwlock_wrlock(lock);

	__asm__ volatile("" ::: "memory");
	return err;
}

static NOT_INLINED int wait_for_permit(void *lock)
{
	while (sem_wait(lock))
		interruptions++;
	return 0;
}

static NOT_INLINED int wait_for_news(void *lock)
{
	pthread_mutex_lock(&news_lock);
	while (!printed)
		pthread_cond_wait(lock, &news_lock);
	pthread_mutex_unlock(&news_lock);
	return 0;
}

static NOT_INLINED int wait_with_limits(void *lock)
{
	struct timespec until;

	for (;; timeouts++) {
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += HOLD_NS / 2;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		if (!pthread_mutex_timedlock(lock, &until))
			return 0;
	}
}

static int clear_news(void *lock)
{
	(void)lock;
	printed = false;
	return 0;
}

static int spread_news(void *lock)
{
	pthread_mutex_lock(&news_lock);
	printed = true;
	pthread_cond_broadcast(lock);
	return pthread_mutex_unlock(&news_lock);
}

static int do_nothing(void *lock)
{
	(void)lock;
	return 0;
}

static int post_permits(void *lock)
{
	for (int i = 0; i < NR_WAITERS; i++)
		sem_post(lock);
	return 0;
}

static int unlock_mutex(void *lock)
{
	return pthread_mutex_unlock(lock);
}

static int unlock_rwlock(void *lock)
{
	return pthread_rwlock_unlock(lock);
}

static int take_rwlock(void *lock)
{
	return pthread_rwlock_wrlock(lock);
}

static int take_mutex(void *lock)
{
	return pthread_mutex_lock(lock);
}

/* A connection with oneself: [0] the client's end, [1] the server's. */
static void connect_to_oneself(int ends[2])
{
	struct sockaddr_storage name = { .ss_family = AF_UNIX };
	socklen_t length = sizeof(name);
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);

	ends[0] = socket(AF_UNIX, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&name, sizeof(sa_family_t)) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&name, &length) ||
	    connect(ends[0], (struct sockaddr *)&name, length))
		die("cannot connect to oneself");
	ends[1] = accept(listener, NULL, NULL);
	close(listener);
}

static void pass_byte(int from, int to)
{
	char byte = 'x';

	if (write(from, &byte, 1) != 1 || read(to, &byte, 1) != 1)
		die("cannot pass a byte");
}

static void *waiter(void *context)
{
	struct waiter *w = context;
	const struct scene *scene = w->scene;
	int ends[2] = { -1, -1 };

	if (scene->serves)
		connect_to_oneself(ends);
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t begin, delay, ns;

		pthread_barrier_wait(&held);
		if (scene->serves)
			pass_byte(ends[0], ends[1]);
		delay = run_delay_ns();
		begin = now_ns();
		scene->wait(scene->lock);
		ns = now_ns() - begin;
		scene->end(scene->lock);
		delay = run_delay_ns() - delay;
		ns -= delay < ns ? delay : ns;
		w->wait_ns += ns;
		w->run_delay_ns += delay;
		w->waits += ns > 50000;
		if (scene->serves)
			pass_byte(ends[1], ends[0]);
		pthread_barrier_wait(&done);
	}
	w->timeouts = timeouts;
	w->interruptions = interruptions;
	return NULL;
}

static void *holder(void *context)
{
	const struct scene *scene = context;
	pid_t tid = (pid_t)syscall(SYS_gettid);

	for (int i = 0; i < ROUNDS; i++) {
		scene->take(scene->lock);
		pthread_barrier_wait(&held);
		hold(scene->sleeps);
		for (int j = 0; j < NR_WAITERS && scene->signals; j++)
			pthread_kill(waiting[j], SIGUSR1);
		if (scene->signals)
			hold(scene->sleeps);
		scene->release(scene->lock);
		pthread_barrier_wait(&done);
	}
	return (void *)(intptr_t)tid;
}

static void play_scene(const struct scene *scene)
{
	struct waiter waiters[NR_WAITERS] = { 0 };
	unsigned int all_timeouts = 0, all_interruptions = 0;
	pthread_t holding;
	uint64_t wait_ns = 0, delay_ns = 0;
	unsigned int waits = 0;
	void *tid;

	pthread_barrier_init(&held, NULL, NR_WAITERS + 1);
	pthread_barrier_init(&done, NULL, NR_WAITERS + 1);
	for (int i = 0; i < NR_WAITERS; i++) {
		waiters[i].scene = scene;
		pthread_create(&waiting[i], NULL, waiter, &waiters[i]);
	}
	pthread_create(&holding, NULL, holder, (void *)scene);
	for (int i = 0; i < NR_WAITERS; i++) {
		pthread_join(waiting[i], NULL);
		wait_ns += waiters[i].wait_ns;
		delay_ns += waiters[i].run_delay_ns;
		waits += waiters[i].waits;
		all_timeouts += waiters[i].timeouts;
		all_interruptions += waiters[i].interruptions;
	}
	pthread_join(holding, &tid);
	printf("{\"scene\": \"%s\", \"lock\": \"%s\", \"waits\": %u, \"wait_ns\": %llu, \"run_delay_ns\": %llu, ",
	       scene->name, scene->lock_name, waits, (unsigned long long)wait_ns, (unsigned long long)delay_ns);
	printf("\"holder\": %d, \"timeouts\": %u, \"interruptions\": %u}", (int)(intptr_t)tid, all_timeouts,
	       all_interruptions);
}

#define MUTEX_SCENE(name, lock, sleeps) \
	{ name, #lock, &(lock), take_mutex, unlock_mutex, wait_for_mutex, unlock_mutex, sleeps, false, false }

#define SERVED_SCENE(name, lock, take, release, wait, signals) \
	{ name, #lock, &(lock), take, release, wait, do_nothing, true, true, signals }

static struct scene scenes[] = {
	MUTEX_SCENE("plain", plain_lock, true),
	MUTEX_SCENE("recursive", recursive_lock, false),
	MUTEX_SCENE("errorcheck", errorcheck_lock, true),
	MUTEX_SCENE("pi", pi_lock, true),
	MUTEX_SCENE("robust", robust_lock, true),
	{ "heap", "-", NULL, take_mutex, unlock_mutex, wait_for_mutex, unlock_mutex, true, false, false },
	{ "reader", "read_lock", &read_lock, take_rwlock, unlock_rwlock, wait_to_read, unlock_rwlock, true, false, false },
	{ "writer", "write_lock", &write_lock, take_rwlock, unlock_rwlock, wait_to_write, unlock_rwlock, true, false,
	  false },
	{ "limited", "limited_lock", &limited_lock, take_mutex, unlock_mutex, wait_with_limits, unlock_mutex, true, false,
	  false },
	SERVED_SCENE("semaphore", permit, do_nothing, post_permits, wait_for_permit, false),
	SERVED_SCENE("signalled", permits, do_nothing, post_permits, wait_for_permit, true),
	SERVED_SCENE("condvar", news, clear_news, spread_news, wait_for_news, false),
};

static const struct scene *find_scene(const char *name)
{
	for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++) {
		if (!strcmp(scenes[i].name, name))
			return &scenes[i];
	}
	fprintf(stderr, "no scene %s\n", name);
	exit(2);
}

static void make_locks(void)
{
	make_mutex(&recursive_lock, PTHREAD_MUTEX_RECURSIVE, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_STALLED);
	make_mutex(&errorcheck_lock, PTHREAD_MUTEX_ERRORCHECK, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_STALLED);
	make_mutex(&pi_lock, PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_INHERIT, PTHREAD_MUTEX_STALLED);
	make_mutex(&robust_lock, PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_NONE, PTHREAD_MUTEX_ROBUST);
	heap_lock = calloc(1, sizeof(*heap_lock));
	pthread_mutex_init(heap_lock, NULL);
	for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++) {
		if (!scenes[i].lock)
			scenes[i].lock = heap_lock;
	}
}

static void on_signal(int number)
{
	(void)number;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	make_locks();
	sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = on_signal }, NULL); /* ends calls, none is restarted */
	say_ready();
	await_start();
	printf("{\"type\": \"truth\", \"scenes\": [");
	for (int i = 1; i < argc; i++) {
		printf(i > 1 ? ", " : "");
		play_scene(find_scene(argv[i]));
	}
	printf("]}\n");
	await_end_of_input();
	return 0;
}
