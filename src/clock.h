/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* Clocks, in nanoseconds. */
#ifndef THREADPROF_CLOCK_H
#define THREADPROF_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_SEC 1000000000ULL
#define NS_PER_MS 1000000ULL

static inline uint64_t clock__ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * NS_PER_SEC + now.tv_nsec;
}

/*
 * The clock of all times in records and reports but the one of the day: the kernel's, which is CLOCK_MONOTONIC without what
 * a time namespace adds to that.
 */
uint64_t clock__now_ns(void);

/* What a namespace adds to it, from the text of /proc/PID/timens_offsets; 0 if it does not say. */
int64_t clock__offset_ns(const char *timens_offsets);

#endif /* THREADPROF_CLOCK_H */
