/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * Reducer of thread pools: threads whose names differ in digits only, some of which serve requests. Tells
 * which of them never had a request since they were first seen.
 */
#ifndef THREADPROF_POOL_H
#define THREADPROF_POOL_H

#include <stddef.h>
#include <stdint.h>

#include "report.h"
#include "threadprof.h"

struct pools;

struct pools *pools__new(void); /* NULL when there is no memory */
void pools__free(struct pools *pools);

/* A thread that lives at the interval's end. -ENOMEM, or 0. */
int pools__on_thread(struct pools *pools, const struct tp_rec_thread *rec);

/* Fills report->pool with the pool that has most threads without a request. */
void pools__report(struct pools *pools, struct report *report);

/* User stack pointers of those threads, for whoever measures their stacks; valid until pools__next(). */
const uint64_t *pools__unused_stacks(const struct pools *pools, size_t *count);

void pools__next(struct pools *pools);

#endif /* THREADPROF_POOL_H */
