/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* Reducer of single lock waits: what the sums per lock don't tell. Lengths, how waits ended, who held the lock. */
#ifndef THREADPROF_LOCK_WAITS_H
#define THREADPROF_LOCK_WAITS_H

#include "report.h"
#include "threadprof.h"

/* Locks and, for each, holders known in an interval; what comes above has no details. */
#define LOCK_WAITS_MAX 1024
#define LOCK_WAITS_MAX_HOLDERS 64

struct lock_waits;

struct lock_waits *lock_waits__new(void); /* NULL when there is no memory */
void lock_waits__free(struct lock_waits *waits);

/* A wait that has ended. -ENOMEM, or 0. */
int lock_waits__on_record(struct lock_waits *waits, const struct tp_rec_lock *rec);

/*
 * Fills in the details of the lock that @lock names by its process, kind and address, but no comm. Leaves it as it
 * is where nothing is known. Valid until lock_waits__next().
 */
void lock_waits__fill(const struct lock_waits *waits, struct report_lock *lock);

void lock_waits__next(struct lock_waits *waits);

#endif /* THREADPROF_LOCK_WAITS_H */
