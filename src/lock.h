/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* Reducer of lock waits: from the sums per lock, and the waits that are still open, to an interval's locks. */
#ifndef THREADPROF_LOCK_H
#define THREADPROF_LOCK_H

#include <stddef.h>
#include <stdint.h>

#include "report.h"
#include "threadprof.h"

/* Locks listed in a report, those with the longest waits. */
#define LOCKS_MAX_LISTED 100

struct locks;

struct locks *locks__new(void); /* NULL when there is no memory */
void locks__free(struct locks *locks);

/* The waits for one lock that ended in this interval. -ENOMEM, or 0. */
int locks__on_sum(struct locks *locks, const struct tp_lock_key *key, const struct tp_lock *sum);

/* A thread at the end of the interval, which may be waiting for a lock right now. -ENOMEM, or 0. */
int locks__on_thread(struct locks *locks, const struct tp_rec_thread *rec);

/*
 * Fills report->locks, without names. A wait that goes over several intervals counts in each with the time
 * it took there, and as a wait where it ends. Valid until locks__next(). -ENOMEM, or 0.
 */
int locks__report(struct locks *locks, struct report *report);

/* The same list, for whoever names the addresses. */
struct report_lock *locks__list(struct locks *locks, size_t *count);

void locks__next(struct locks *locks);

#endif /* THREADPROF_LOCK_H */
