/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * Reducer of what clients keep waiting: responses that they do not take, requests that they do not send to
 * the end. A wait that is still open at the interval's end counts with its time so far.
 */
#ifndef THREADPROF_CLIENT_H
#define THREADPROF_CLIENT_H

#include "report.h"
#include "threadprof.h"

struct clients {
	struct tp_clients before;
	uint64_t ended_ns[TP_NR_CLIENT_WAITS];
	uint64_t open_ns[TP_NR_CLIENT_WAITS];
	uint64_t open_before_ns[TP_NR_CLIENT_WAITS];
};

/* The kernel side's totals since the start, at the interval's end. */
void clients__on_totals(struct clients *clients, const struct tp_clients *totals);

/* A thread as it is at the interval's end. */
void clients__on_thread(struct clients *clients, const struct tp_rec_thread *rec);

/* Fills report->client_…. */
void clients__report(const struct clients *clients, struct report *report);
void clients__next(struct clients *clients);

#endif /* THREADPROF_CLIENT_H */
