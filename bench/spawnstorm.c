// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/*
 * Starts /bin/true again and again, one at a time; prints how often in each 100 ms.
 *
 *   spawnstorm [COUNT PER_SECOND]     as fast as it goes and for ever, or so many at this pace
 */
#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

#include "../src/clock.h"

extern char **environ;
static char name[] = "true";

static void sleep_until(unsigned long long ns)
{
	const struct timespec when = { .tv_sec = ns / NS_PER_SEC, .tv_nsec = ns % NS_PER_SEC };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL) == EINTR)
		;
}

int main(int argc, char **argv)
{
	unsigned long long count = argc > 2 ? strtoull(argv[1], NULL, 10) : ULLONG_MAX;
	unsigned long long gap_ns = argc > 2 ? NS_PER_SEC / strtoull(argv[2], NULL, 10) : 0;
	unsigned long long begin = clock__ns(CLOCK_MONOTONIC), next_line = begin + NS_PER_SEC / 10, spawned = 0;
	char *child_argv[] = { name, NULL };

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (unsigned long long i = 0; i < count; i++) {
		pid_t pid;

		if (gap_ns)
			sleep_until(begin + i * gap_ns);
		if (posix_spawn(&pid, "/bin/true", NULL, NULL, child_argv, environ) || waitpid(pid, NULL, 0) < 0)
			return 1;
		spawned++;
		if (clock__ns(CLOCK_MONOTONIC) >= next_line) {
			printf("%llu\n", spawned);
			spawned = 0;
			next_line = clock__ns(CLOCK_MONOTONIC) + NS_PER_SEC / 10;
		}
	}
	return 0;
}
