// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/*
 * Threads on one CPU, each with a lock of its own that it takes all the time, and a real-time thread that pushes them
 * off their CPU to take one itself: where the kernel preempts a probe's program, it is preempted there.
 *
 *   pushed [--calls N]
 *
 * --calls: of each thread. No call waits, and none can have taken longer than its thread lived.
 * stdout: {"type":"ready",...}; then a line on stdin starts it; then {"type":"truth","locks":[...]}; then end of file
 * on stdin ends it.
 */
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "workload.h"

#define NR_PUSHED 3

struct own_lock {
	pthread_mutex_t mutex;
	unsigned long calls;
	uint64_t life_ns;
};

static struct own_lock locks[NR_PUSHED + 1]; /* the last one is that of the thread that pushes */
static unsigned long nr_calls = 5000;
static atomic_bool is_over;

static void take(struct own_lock *lock)
{
	pthread_mutex_lock(&lock->mutex);
	lock->calls++;
	pthread_mutex_unlock(&lock->mutex);
}

static void *be_pushed(void *arg)
{
	struct own_lock *lock = arg;
	uint64_t begin_ns = now_ns();

	while (lock->calls < nr_calls)
		take(lock);
	lock->life_ns = now_ns() - begin_ns;
	return NULL;
}

static void *push(void *arg)
{
	struct sched_param priority = { .sched_priority = 1 };
	struct own_lock *lock = arg;
	uint64_t begin_ns = now_ns();

	if (pthread_setschedparam(pthread_self(), SCHED_FIFO, &priority))
		die("no real-time priority");
	while (!atomic_load(&is_over)) {
		sleep_us(1000);
		take(lock);
	}
	lock->life_ns = now_ns() - begin_ns;
	return NULL;
}

static void print_truth(void)
{
	printf("{\"type\":\"truth\",\"locks\":[");
	for (size_t i = 0; i <= NR_PUSHED; i++)
		printf("%s{\"addr\":\"%p\",\"acquisitions\":%lu,\"life_ns\":%lu}", i ? "," : "",
		       (void *)&locks[i].mutex, locks[i].calls, (unsigned long)locks[i].life_ns);
	printf("]}\n");
	fflush(stdout);
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = { { "calls", required_argument, NULL, 'c' }, { 0 } };
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option != 'c')
			_exit(2);
		nr_calls = strtoul(optarg, NULL, 10);
	}
}

int main(int argc, char **argv)
{
	pthread_t threads[NR_PUSHED + 1];
	cpu_set_t one_cpu;

	parse(argc, argv);
	for (size_t i = 0; i <= NR_PUSHED; i++)
		pthread_mutex_init(&locks[i].mutex, NULL);
	say_ready();
	await_start();
	CPU_ZERO(&one_cpu);
	CPU_SET(0, &one_cpu);
	if (sched_setaffinity(0, sizeof(one_cpu), &one_cpu))
		die("cannot stay on one CPU");
	for (size_t i = 0; i <= NR_PUSHED; i++)
		pthread_create(&threads[i], NULL, i < NR_PUSHED ? be_pushed : push, &locks[i]);
	for (size_t i = 0; i < NR_PUSHED; i++)
		pthread_join(threads[i], NULL);
	atomic_store(&is_over, true);
	pthread_join(threads[NR_PUSHED], NULL);
	print_truth();
	while (getchar() != EOF)
		;
	return 0;
}
