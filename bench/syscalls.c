// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/* Reads nothing from a file, one system call after the other; prints how often in each 100 ms. */
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static unsigned long long now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

int main(void)
{
	int fd = open("/dev/null", O_RDONLY);
	char byte;

	if (fd < 0)
		return 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (;;) {
		unsigned long long calls = 0, end = now_ns() + 100000000ULL;

		for (; now_ns() < end; calls += 100) {
			for (int i = 0; i < 100; i++) {
				if (read(fd, &byte, 1))
					return 1;
			}
		}
		printf("%llu\n", calls);
	}
}
