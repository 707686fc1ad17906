/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * Reducer of requests and connections: from the kernel side's records to the counts and latencies of an
 * interval. Knows no kernel: the same records give the same report.
 */
#ifndef THREADPROF_REQUEST_H
#define THREADPROF_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "report.h"
#include "threadprof.h"

struct requests;

struct requests_config {
	uint64_t slow_ns;  /* list every request that took at least this long; 0: none but the slowest */
	size_t nr_slowest; /* how many of the slowest to list in any case */
	uint64_t quiet_ns; /* a response is complete when nothing followed its last write for so long */
};

/* The most requests listed one by one in an interval. */
#define REQUESTS_MAX_SLOW 1000

/* NULL when there is no memory. */
struct requests *requests__new(const struct requests_config *config);
void requests__free(struct requests *requests);

/* A finished request, a connection that ended: -ENOMEM, or 0. */
int requests__on_request(struct requests *requests, const struct tp_request *request);
int requests__on_conn(struct requests *requests, const struct tp_rec_conn *conn);

/*
 * A connection that is live at the end of the interval, which is at @now_ns. If its last request was
 * answered and nothing has followed for a while (or nothing can follow any more: @final), the request is
 * counted now, and not again when the kernel side sends it. The walk over all live connections begins
 * with requests__begin_live().
 */
void requests__begin_live(struct requests *requests);
int requests__on_live(struct requests *requests, const struct tp_conn *conn, uint64_t now_ns, bool final);

/* The queue's counters at the end of the interval; the first call sets where counting begins. */
void requests__on_queue(struct requests *requests, const struct tp_queue *queue, uint64_t now_ns);

struct requests_mean {
	uint64_t count;
	uint64_t sum_ns;
};

/*
 * Requests that were in hand at some time from @from_ns to @to_ns, and those that ended in the @around_ns
 * before it or started in the @around_ns after it; to a tenth of a second, of the last hundred seconds.
 */
void requests__compare(const struct requests *requests, uint64_t from_ns, uint64_t to_ns, uint64_t around_ns,
		       struct requests_mean *inside, struct requests_mean *outside);

/* Fills what the report says of requests, connections and the queue; valid until requests__next(). */
void requests__report(struct requests *requests, struct report *report);

/* The slow requests of that report, for whoever adds names and wall-clock times. */
struct report_request *requests__slow(struct requests *requests, size_t *count);

/* Forgets the interval; what lives on is kept. */
void requests__next(struct requests *requests);

#endif /* THREADPROF_REQUEST_H */
