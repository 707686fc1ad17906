/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * All reducers of a profile together: records and sums go in, a report comes out at each interval's end.
 * Pure: fed with the same input it gives the same report, whether the input comes from a kernel or not.
 */
#ifndef THREADPROF_PROFILE_H
#define THREADPROF_PROFILE_H

#include "client.h"
#include "lock.h"
#include "lock_waits.h"
#include "pool.h"
#include "lock_call.h"
#include "report.h"
#include "request.h"
#include "steal.h"
#include "thread.h"
#include "wait.h"

struct profile {
	struct requests *requests;
	struct threads *threads;
	struct locks *locks;
	struct lock_calls *lock_calls;
	struct waits *waits;
	struct lock_waits *lock_waits;
	struct steals *steals;
	struct pools *pools;
	struct clients clients;
	uint64_t losses_before[TP_NR_LOSSES];
	uint64_t events_before;
	uint64_t out_of_memory; /* records that we had no memory for */
};

/* -ENOMEM, or 0. */
int profile__init(struct profile *profile, const struct requests_config *config);
void profile__free(struct profile *profile);

/* A record of a request, a connection or a thread; others are ignored. */
void profile__on_record(struct profile *profile, const struct tp_rec *rec);

/* A connection that is live at the interval's end; see requests__on_live(). */
void profile__on_live_conn(struct profile *profile, const struct tp_conn *conn, uint64_t now_ns, bool final);

/* A connection that turned out to be gone: its last request, if it was answered, and its end. */
void profile__on_gone_conn(struct profile *profile, const struct tp_conn *conn, uint64_t now_ns);

/* Counters since the start, of which the report takes what this interval added. */
void profile__on_counters(struct profile *profile, const uint64_t losses[TP_NR_LOSSES], uint64_t events,
			  struct report *report);

/* Fills the report with what the reducers hold. -ENOMEM, or 0. Valid until profile__next(). */
int profile__report(struct profile *profile, struct report *report);

/* The locks of that report, for whoever adds names and places. */
struct report_lock *profile__locks(const struct profile *profile, size_t *count);

/* The next interval begins. */
void profile__next(struct profile *profile);

#endif /* THREADPROF_PROFILE_H */
