// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/* Two processes on one CPU hand a byte to and fro: two context switches a round. Prints rounds in each 100 ms. */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "../src/clock.h"

static void echo(int from, int to)
{
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(from, &byte, 1) == 1 && write(to, &byte, 1) == 1)
		;
	_exit(0);
}

int main(void)
{
	int there[2], back[2];
	cpu_set_t one;
	char byte = 0;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	sched_setaffinity(0, sizeof(one), &one);
	if (pipe(there) || pipe(back))
		return 1;
	if (!fork())
		echo(there[0], back[1]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (;;) {
		unsigned long long rounds = 0, end = clock__ns(CLOCK_MONOTONIC) + 100000000ULL;

		for (; clock__ns(CLOCK_MONOTONIC) < end; rounds++) {
			if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
				return 1;
		}
		printf("%llu\n", rounds);
	}
}
