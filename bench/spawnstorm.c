// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/* Starts /bin/true again and again, one at a time; prints how often in each 100 ms. */
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static unsigned long long now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

int main(void)
{
	char *argv[] = { "true", NULL };

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (;;) {
		unsigned long long spawned = 0, end = now_ns() + 100000000ULL;

		for (; now_ns() < end; spawned++) {
			pid_t pid;

			if (posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ) || waitpid(pid, NULL, 0) < 0)
				return 1;
		}
		printf("%llu\n", spawned);
	}
}
