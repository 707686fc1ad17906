/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * Reducer of threads: from each thread's counters since its beginning to what it did in an interval.
 */
#ifndef THREADPROF_THREAD_H
#define THREADPROF_THREAD_H

#include <stddef.h>
#include <stdint.h>

#include "report.h"
#include "threadprof.h"

/* Threads listed one by one in a report; what the others did is summed up. */
#define THREADS_MAX_LISTED 1024

struct threads;

struct threads *threads__new(void); /* NULL when there is no memory */
void threads__free(struct threads *threads);

/*
 * A thread's counters: of a living one at the end of the interval, or the last ones of a thread that has
 * ended (TP_THREAD_EXITED). At most one of each kind in an interval. -ENOMEM, or 0.
 */
int threads__on_record(struct threads *threads, const struct tp_rec_thread *rec);

/* Fills what the report says of threads, and the state_ns sums; valid until threads__next(). */
void threads__report(struct threads *threads, struct report *report);

/* Forgets the interval, and threads that were not seen in it nor in the one before. */
void threads__next(struct threads *threads);

/*
 * The id, as threadprof sees it, of the thread that calls itself @own_tid in its own PID namespace, which
 * that of process @tgid is; 0: it is not known.
 */
uint32_t threads__tid_of(const struct threads *threads, uint32_t tgid, uint32_t own_tid);

/* The name of a thread that was seen in this interval or the one before; NULL if it was not. */
const char *threads__comm(const struct threads *threads, uint32_t tid);

#endif /* THREADPROF_THREAD_H */
