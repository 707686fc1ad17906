// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/* Reads nothing from a file, one system call after the other; prints how often in each 100 ms. */
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "../src/clock.h"

int main(void)
{
	int fd = open("/dev/null", O_RDONLY);
	char byte;

	if (fd < 0)
		return 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (;;) {
		unsigned long long calls = 0, end = clock__ns(CLOCK_MONOTONIC) + 100000000ULL;

		for (; clock__ns(CLOCK_MONOTONIC) < end; calls += 100) {
			for (int i = 0; i < 100; i++) {
				if (read(fd, &byte, 1))
					return 1;
			}
		}
		printf("%llu\n", calls);
	}
}
