// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/* Locks and unlocks an uncontended mutex as fast as it goes; prints how often in each 100 ms. */
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "../src/clock.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (;;) {
		unsigned long long pairs = 0, end = clock__ns(CLOCK_MONOTONIC) + 100000000ULL;

		while (clock__ns(CLOCK_MONOTONIC) < end) {
			for (int i = 0; i < 1000; i++) {
				pthread_mutex_lock(&lock);
				pthread_mutex_unlock(&lock);
			}
			pairs += 1000;
		}
		printf("%llu\n", pairs);
	}
}
