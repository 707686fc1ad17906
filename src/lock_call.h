/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * Reducer of calls of lock functions, which are known only while there are probes on these: adds to an
 * interval's locks what their calls tell, and the locks that were never waited for.
 */
#ifndef THREADPROF_LOCK_CALL_H
#define THREADPROF_LOCK_CALL_H

#include <stddef.h>

#include "report.h"
#include "threadprof.h"

struct lock_calls;

struct lock_calls *lock_calls__new(void); /* NULL when there is no memory */
void lock_calls__free(struct lock_calls *calls);

/* The calls for one lock that ended in this interval. -ENOMEM, or 0. */
int lock_calls__on_sum(struct lock_calls *calls, const struct tp_lock_key *key, const struct tp_lock_calls *sum);

/* How many of them took about so long. -ENOMEM, or 0. */
int lock_calls__on_length(struct lock_calls *calls, const struct tp_lock_length_key *key, uint64_t count);

/*
 * Completes report->locks, which locks__report() has filled: where calls were seen, waits and their time are
 * those of the calls (from begin to return), beside waits outside of any call. Without calls it leaves the
 * report alone. What it makes is valid until lock_calls__next(). -ENOMEM, or 0.
 */
int lock_calls__report(struct lock_calls *calls, struct report *report);

/* The list that lock_calls__report() made, for whoever names the addresses; NULL if it left the report alone. */
struct report_lock *lock_calls__list(struct lock_calls *calls, size_t *count);

void lock_calls__next(struct lock_calls *calls);

#endif /* THREADPROF_LOCK_CALL_H */
