// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "request.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "histogram.h"

/* A request that was counted before the kernel side sent it. */
struct early {
	uint64_t conn_id;
	uint32_t seq;
};

/* Latencies over time, for what lasts shorter or longer than an interval. */
#define TIMELINE_STEP_NS 100000000ULL
#define TIMELINE_STEPS 1024

struct timeline_step {
	uint64_t number; /* of the step since the clock's begin */
	struct requests_mean started;
	struct requests_mean ended;
};

struct requests {
	struct requests_config config;
	struct timeline_step timeline[TIMELINE_STEPS]; /* a ring */
	struct histogram latency;
	struct histogram queue_wait;
	struct histogram conn_latency;
	uint64_t unanswered;
	uint64_t part_ns[TP_NR_PARTS];
	uint64_t nr_without_parts;
	uint64_t closed;
	uint64_t open;
	void *early; /* tsearch tree of struct early */

	struct report_request *slow; /* a heap, the fastest of them on top, while it collects */
	size_t nr_slow;
	size_t slow_capacity;

	struct tp_queue queue_before;
	uint64_t queue_before_ns; /* 0: not begun */
	struct tp_queue queue;
	uint64_t queue_ns;
};

struct requests *requests__new(const struct requests_config *config)
{
	struct requests *requests = calloc(1, sizeof(*requests));

	if (requests)
		requests->config = *config;
	return requests;
}

void requests__free(struct requests *requests)
{
	if (!requests)
		return;
	histogram__free(&requests->latency);
	histogram__free(&requests->queue_wait);
	histogram__free(&requests->conn_latency);
	tdestroy(requests->early, free);
	free(requests->slow);
	free(requests);
}

/* --- the slow ones --- */

static uint64_t request__latency(const struct tp_request *r)
{
	return r->end_ns > r->start_ns ? r->end_ns - r->start_ns : 0;
}

static int slowest_first(const void *a, const void *b)
{
	uint64_t la = request__latency(&((const struct report_request *)a)->r);
	uint64_t lb = request__latency(&((const struct report_request *)b)->r);

	return la < lb ? 1 : la > lb ? -1 : 0;
}

static struct report_request *slow__append(struct requests *requests)
{
	struct report_request *grown =
		array__grow(requests->slow, requests->nr_slow, &requests->slow_capacity, sizeof(*grown));

	if (!grown)
		return NULL;
	requests->slow = grown;
	return &requests->slow[requests->nr_slow++];
}

/* The fastest of the listed ones: it gives way to a slower one when the list is full. */
static struct report_request *slow__fastest(struct requests *requests)
{
	struct report_request *fastest = &requests->slow[0];

	for (size_t i = 1; i < requests->nr_slow; i++) {
		if (slowest_first(&requests->slow[i], fastest) > 0)
			fastest = &requests->slow[i];
	}
	return fastest;
}

static int slow__consider(struct requests *requests, const struct tp_request *r)
{
	uint64_t latency = request__latency(r);
	bool over = requests->config.slow_ns && latency >= requests->config.slow_ns;
	size_t limit = over ? REQUESTS_MAX_SLOW : requests->config.nr_slowest;
	struct report_request *place;

	if (!limit)
		return 0;
	if (requests->nr_slow < limit) {
		place = slow__append(requests);
		if (!place)
			return -ENOMEM;
	} else {
		place = slow__fastest(requests);
		if (request__latency(&place->r) >= latency)
			return 0;
	}
	memset(place, 0, sizeof(*place));
	place->r = *r;
	return 0;
}

/* --- requests --- */

static int compare_early(const void *a, const void *b)
{
	const struct early *x = a, *y = b;

	return x->conn_id < y->conn_id ? -1 : x->conn_id > y->conn_id;
}

static struct early *early__find(struct requests *requests, uint64_t conn_id)
{
	struct early key = { .conn_id = conn_id };
	struct early **found = tfind(&key, &requests->early, compare_early);

	return found ? *found : NULL;
}

static void early__forget(struct requests *requests, struct early *early)
{
	tdelete(early, &requests->early, compare_early);
	free(early);
}

static int early__remember(struct requests *requests, uint64_t conn_id, uint32_t seq)
{
	struct early *early = early__find(requests, conn_id);

	if (early) {
		early->seq = seq;
		return 0;
	}
	early = malloc(sizeof(*early));
	if (!early)
		return -ENOMEM;
	early->conn_id = conn_id;
	early->seq = seq;
	if (!tsearch(early, &requests->early, compare_early)) {
		free(early);
		return -ENOMEM;
	}
	return 0;
}

/* NULL: its place is taken by a later one. */
static struct timeline_step *timeline__step(struct requests *requests, uint64_t time_ns)
{
	uint64_t number = time_ns / TIMELINE_STEP_NS;
	struct timeline_step *step = &requests->timeline[number % TIMELINE_STEPS];

	if (step->number > number)
		return NULL;
	if (step->number < number)
		*step = (struct timeline_step){ .number = number };
	return step;
}

static void mean__add(struct requests_mean *mean, uint64_t count, uint64_t sum_ns)
{
	mean->count += count;
	mean->sum_ns += sum_ns;
}

static void timeline__add(struct requests *requests, const struct tp_request *r)
{
	struct timeline_step *start = timeline__step(requests, r->start_ns);
	struct timeline_step *end = timeline__step(requests, r->end_ns);

	if (start)
		mean__add(&start->started, 1, request__latency(r));
	if (end)
		mean__add(&end->ended, 1, request__latency(r));
}

void requests__compare(const struct requests *requests, uint64_t from_ns, uint64_t to_ns, uint64_t around_ns,
		       struct requests_mean *inside, struct requests_mean *outside)
{
	uint64_t from = from_ns / TIMELINE_STEP_NS, to = to_ns / TIMELINE_STEP_NS + 1;
	uint64_t around = around_ns / TIMELINE_STEP_NS;

	*inside = *outside = (struct requests_mean){ 0 };
	for (size_t i = 0; i < TIMELINE_STEPS; i++) {
		const struct timeline_step *step = &requests->timeline[i];

		/* In hand meanwhile: ended since its begin, less those that started after its end. */
		if (step->number >= from)
			mean__add(inside, step->ended.count, step->ended.sum_ns);
		else if (step->number + around >= from)
			mean__add(outside, step->ended.count, step->ended.sum_ns);
		if (step->number < to)
			continue;
		mean__add(inside, -step->started.count, -step->started.sum_ns);
		if (step->number < to + around)
			mean__add(outside, step->started.count, step->started.sum_ns);
	}
}

static int count_request(struct requests *requests, const struct tp_request *r)
{
	int err = histogram__add(&requests->latency, request__latency(r));

	if (!err && r->queue_wait_ns != TP_NO_QUEUE_WAIT)
		err = histogram__add(&requests->queue_wait, r->queue_wait_ns);
	for (int i = 0; i < TP_NR_PARTS && !r->no_parts; i++)
		requests->part_ns[i] += r->part_ns[i];
	requests->nr_without_parts += r->no_parts != 0;
	timeline__add(requests, r);
	return err ? err : slow__consider(requests, r);
}

int requests__on_request(struct requests *requests, const struct tp_request *r)
{
	struct early *early = early__find(requests, r->conn_id);
	bool counted = early && early->seq == r->seq;

	/* An older request that is sent late says nothing of one that was counted early. */
	if (early && early->seq <= r->seq)
		early__forget(requests, early);
	return counted ? 0 : count_request(requests, r);
}

int requests__on_conn(struct requests *requests, const struct tp_rec_conn *conn)
{
	struct early *early = early__find(requests, conn->conn_id);

	if (early)
		early__forget(requests, early);
	requests->closed++;
	requests->unanswered += conn->unanswered;
	if (conn->flags & TP_CONN_PREEXISTING)
		return 0; /* its begin is not known */
	return histogram__add(&requests->conn_latency, conn->end_ns - conn->open_ns);
}

void requests__begin_live(struct requests *requests)
{
	requests->open = 0;
}

int requests__on_live(struct requests *requests, const struct tp_conn *conn, uint64_t now_ns, bool final)
{
	const struct tp_request *r = &conn->r;
	struct early *early;
	int err;

	requests->open++;
	if (conn->phase != TP_CONN_ANSWERED || (!final && r->end_ns + requests->config.quiet_ns > now_ns))
		return 0;
	early = early__find(requests, r->conn_id);
	if (early && early->seq == r->seq)
		return 0;
	err = early__remember(requests, r->conn_id, r->seq);
	return err ? err : count_request(requests, r);
}

/* --- the queue --- */

void requests__on_queue(struct requests *requests, const struct tp_queue *queue, uint64_t now_ns)
{
	if (!requests->queue_before_ns) {
		requests->queue_before = *queue;
		requests->queue_before_ns = now_ns;
	}
	requests->queue = *queue;
	requests->queue_ns = now_ns;
}

/* Connection-nanoseconds spent in the queue up to @now_ns; see struct tp_queue. */
static uint64_t queue__integral(const struct tp_queue *queue, uint64_t now_ns)
{
	return (queue->accepted - queue->dequeued) * now_ns + queue->dequeued_ts_sum - queue->accepted_ts_sum;
}

static void report_queue(const struct requests *requests, struct report *report)
{
	const struct tp_queue *queue = &requests->queue;
	uint64_t elapsed = requests->queue_ns - requests->queue_before_ns;
	uint64_t integral = queue__integral(queue, requests->queue_ns) -
			    queue__integral(&requests->queue_before, requests->queue_before_ns);

	report->accepted = queue->accepted - requests->queue_before.accepted;
	/* A look between the two counters of one event may see less than nothing. */
	report->queue_now = (int64_t)(queue->accepted - queue->dequeued) > 0 ? queue->accepted - queue->dequeued : 0;
	report->queue_max = queue->max > report->queue_now ? queue->max : report->queue_now;
	report->accept_avg = elapsed ? (double)(queue->backlog_ns - requests->queue_before.backlog_ns) / elapsed : 0;
	report->queue_avg = elapsed && (int64_t)integral > 0 ? (double)integral / elapsed : 0;
}

void requests__report(struct requests *requests, struct report *report)
{
	array__sort(requests->slow, requests->nr_slow, sizeof(*requests->slow), slowest_first);
	report->have_requests = true;
	report->latency = &requests->latency;
	report->queue_wait = &requests->queue_wait;
	report->conn_latency = &requests->conn_latency;
	report->unanswered = requests->unanswered;
	memcpy(report->part_ns, requests->part_ns, sizeof(report->part_ns));
	report->have_parts = !requests->nr_without_parts;
	report->closed = requests->closed;
	report->open = requests->open;
	report->slow = requests->slow;
	report->nr_slow = requests->nr_slow;
	report_queue(requests, report);
}

struct report_request *requests__slow(struct requests *requests, size_t *count)
{
	*count = requests->nr_slow;
	return requests->slow;
}

void requests__next(struct requests *requests)
{
	histogram__reset(&requests->latency);
	histogram__reset(&requests->queue_wait);
	histogram__reset(&requests->conn_latency);
	memset(requests->part_ns, 0, sizeof(requests->part_ns));
	requests->nr_without_parts = 0;
	requests->unanswered = 0;
	requests->closed = 0;
	requests->nr_slow = 0;
	requests->queue_before = requests->queue;
	requests->queue_before_ns = requests->queue_ns;
}
