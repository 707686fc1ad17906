// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/*
 * Takes and releases a free lock as fast as it goes, and notes how fast that was: pairs for each slice of time,
 * with the CPU time that the slice took, so that a CPU lost to others does not look like a slower lock.
 *
 * stdout: {"type":"ready",...}; a line on stdin starts it; the next one ends it, and {"type":"truth",...} has the
 * slices as [begin (CLOCK_MONOTONIC, ns), CPU ns, pairs].
 */
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "workload.h"

#define SLICE_NS 10000000ull
#define MAX_SLICES 6000 /* a minute */
#define PAIRS_AT_ONCE 1000

pthread_mutex_t flooded_lock = PTHREAD_MUTEX_INITIALIZER;

static struct slice {
	uint64_t begin_ns, cpu_ns, pairs;
} slices[MAX_SLICES];

static void run_slice(struct slice *slice)
{
	uint64_t cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);

	slice->begin_ns = now_ns();
	do {
		for (int i = 0; i < PAIRS_AT_ONCE; i++) {
			pthread_mutex_lock(&flooded_lock);
			pthread_mutex_unlock(&flooded_lock);
		}
		slice->pairs += PAIRS_AT_ONCE;
	} while (now_ns() < slice->begin_ns + SLICE_NS);
	slice->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
}

/* With a second thread glibc's locks are those of a server. */
static void *do_nothing(void *arg)
{
	pause();
	return arg;
}

int main(void)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	pthread_t thread;
	char line[16];
	unsigned nr;

	if (pthread_create(&thread, NULL, do_nothing, NULL))
		return 1;
	say_ready();
	if (read(STDIN_FILENO, line, sizeof(line)) <= 0)
		return 0;
	for (nr = 0; nr < MAX_SLICES && !poll(&input, 1, 0); nr++)
		run_slice(&slices[nr]);
	printf("{\"type\":\"truth\",\"slices\":[");
	for (unsigned i = 0; i < nr; i++)
		printf("%s[%lu,%lu,%lu]", i ? "," : "", slices[i].begin_ns, slices[i].cpu_ns, slices[i].pairs);
	printf("]}\n");
	fflush(stdout);
	while (read(STDIN_FILENO, line, sizeof(line)) > 0)
		;
	return 0;
}
