/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * CPU time inside our BPF programs, by the kernel's own statistics, which are switched on for short windows
 * only: they cost each run of each program of the host two looks at the clock. What a look costs, as the
 * statistics see it, is measured with an empty program and taken off.
 */
#ifndef THREADPROF_METER_H
#define THREADPROF_METER_H

#include <stdbool.h>
#include <stdint.h>

struct meter;

/* NULL without memory. Where the kernel refuses statistics, nothing is ever measured; see meter__error(). */
struct meter *meter__new(void);
void meter__free(struct meter *meter);

/* Why nothing is measured: negative errno; 0: it is. Statistics take CAP_SYS_ADMIN, and a kernel from 5.8. */
int meter__error(const struct meter *meter);

/* One more program to be measured; @fd stays the caller's. Negative errno. */
int meter__add(struct meter *meter, int fd);

/*
 * To be called some 20 times a second: opens a window at the begin of each interval, and when the last one was
 * opened @period_ns ago. True: one has just been closed; where nothing is measured, once a period all the same.
 */
bool meter__tick(struct meter *meter, uint64_t now_ns, uint64_t period_ns);

/* Share of one CPU that the programs took in the last window. */
double meter__ratio(const struct meter *meter);

/* An interval ends: its windows, extrapolated to @duration_ns. TP_UNKNOWN if there was none. */
uint64_t meter__take(struct meter *meter, uint64_t now_ns, uint64_t duration_ns);

#endif /* THREADPROF_METER_H */
