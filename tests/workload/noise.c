// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/*
 * Says in one line of JSON whether a program has this machine for itself.
 *
 * The kernel's own account cannot tell: a hypervisor need not report the time that it took, and a wake-up
 * that comes late because the other CPU was not there looks like idle time. So it is measured:
 *
 * gaps    a thread on each CPU, all at the same time, reads the clock without end. What lies between two
 *         reads that are further apart than GAP_NS went to others: processes, interrupts, other guests.
 * wakes   a thread sleeps in read() on another CPU until a byte comes through a pipe; the time from before
 *         write() to after read(). Some time is left between them, for the CPU to fall asleep.
 *
 * usage: noise [MILLISECONDS]     half of them for each (250)
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "workload.h"

#define GAP_NS 30000
#define PAUSE_US 400
#define MAX_WAKES 4096

/*
 * Limits of a quiet machine: too strict rather than too loose, because a noisy one only costs a failing
 * test its further tries. 20 runs on a guest with 2 CPUs and nothing else in it: gaps 2-42 permille, half of
 * the wake-ups within 26-45 us, nine of ten within 33-81 us; 7 of the 20 counted as quiet. With a compiler
 * beside it: gaps 276-389 permille. On the machine that spoilt our tests half of the wake-ups took over 80 us.
 */
#define QUIET_GAP_PERMILLE 10
#define QUIET_WAKE_P50_NS 50000
#define QUIET_WAKE_P90_NS 100000

struct spinner {
	pthread_t thread;
	int cpu;
	uint64_t until_ns;
	uint64_t wall_ns, gap_ns, longest_ns;
	long gaps;
};

struct sleeper {
	pthread_t thread;
	int cpu;
	int pipe;
	uint64_t sent_ns; /* written before the byte, read after it */
	int64_t wake_ns[MAX_WAKES];
	int wakes;
};

static void stay_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("sched_setaffinity");
}

static void start(pthread_t *thread, void *(*body)(void *), void *argument)
{
	errno = pthread_create(thread, NULL, body, argument);
	if (errno)
		die("pthread_create");
}

static void *spin(void *argument)
{
	struct spinner *s = argument;
	uint64_t begin, last, now;

	stay_on(s->cpu);
	begin = last = now_ns();
	while (last < s->until_ns) {
		now = now_ns();
		if (now - last > GAP_NS) {
			s->gaps++;
			s->gap_ns += now - last;
			if (now - last > s->longest_ns)
				s->longest_ns = now - last;
		}
		last = now;
	}
	s->wall_ns = last - begin;
	return NULL;
}

static struct spinner spin_on(const int *cpus, int count, uint64_t ns)
{
	struct spinner *spinners = calloc(count, sizeof(*spinners)), sum = { 0 };
	uint64_t until_ns = now_ns() + ns;
	int i;

	if (!spinners)
		die("calloc");
	for (i = 0; i < count; i++) {
		spinners[i].cpu = cpus[i];
		spinners[i].until_ns = until_ns;
		start(&spinners[i].thread, spin, &spinners[i]);
	}
	for (i = 0; i < count; i++) {
		pthread_join(spinners[i].thread, NULL);
		sum.wall_ns += spinners[i].wall_ns;
		sum.gap_ns += spinners[i].gap_ns;
		sum.gaps += spinners[i].gaps;
		if (spinners[i].longest_ns > sum.longest_ns)
			sum.longest_ns = spinners[i].longest_ns;
	}
	free(spinners);
	return sum;
}

static void *sleep_and_wake(void *argument)
{
	struct sleeper *s = argument;
	char byte;

	stay_on(s->cpu);
	while (read(s->pipe, &byte, 1) == 1)
		s->wake_ns[s->wakes++] = now_ns() - __atomic_load_n(&s->sent_ns, __ATOMIC_ACQUIRE);
	return NULL;
}

static int compare(const void *a, const void *b)
{
	int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

	return (left > right) - (left < right);
}

/* A late waker does not matter: the clock starts when it writes. */
static void wake_for(struct sleeper *s, int waker_cpu, uint64_t ns)
{
	uint64_t until_ns = now_ns() + ns;
	int ends[2], i;

	if (pipe(ends))
		die("pipe");
	s->pipe = ends[0];
	stay_on(waker_cpu);
	prctl(PR_SET_TIMERSLACK, 1);
	start(&s->thread, sleep_and_wake, s);
	for (i = 0; i < MAX_WAKES && (!i || now_ns() < until_ns); i++) {
		sleep_us(PAUSE_US);
		__atomic_store_n(&s->sent_ns, now_ns(), __ATOMIC_RELEASE);
		if (write(ends[1], "", 1) != 1)
			die("write");
	}
	close(ends[1]);
	pthread_join(s->thread, NULL);
	close(ends[0]);
	qsort(s->wake_ns, s->wakes, sizeof(s->wake_ns[0]), compare);
}

int main(int argc, char **argv)
{
	static struct sleeper sleeper;
	static int cpus[CPU_SETSIZE];
	int64_t half_ns = (argc > 1 ? atoi(argv[1]) : 250) * 500000LL, p50, p90;
	struct spinner spun;
	cpu_set_t allowed;
	int count = 0, cpu;
	double permille;
	bool is_quiet;

	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		die("sched_getaffinity");
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &allowed))
			cpus[count++] = cpu;
	spun = spin_on(cpus, count, half_ns);
	sleeper.cpu = cpus[count - 1];
	wake_for(&sleeper, cpus[0], half_ns);
	p50 = sleeper.wake_ns[sleeper.wakes / 2];
	p90 = sleeper.wake_ns[sleeper.wakes * 9 / 10];
	permille = 1000.0 * spun.gap_ns / spun.wall_ns;
	is_quiet = permille <= QUIET_GAP_PERMILLE && p50 <= QUIET_WAKE_P50_NS && p90 <= QUIET_WAKE_P90_NS;
	printf("{\"is_quiet\": %s, \"cpus\": %d, \"gaps_per_s\": %.0f, \"gap_permille\": %.1f, "
	       "\"longest_gap_us\": %.0f, \"wake_p50_us\": %.1f, \"wake_p90_us\": %.1f}\n",
	       is_quiet ? "true" : "false", count, spun.gaps * 1e9 / spun.wall_ns, permille,
	       spun.longest_ns / 1e3, p50 / 1e3, p90 / 1e3);
	return 0;
}
