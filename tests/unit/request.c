// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "request.h"

#define MS 1000000ULL
#define SEC (1000 * MS)

static struct requests *new_requests(uint64_t slow_ns, size_t nr_slowest)
{
	const struct requests_config config = { .slow_ns = slow_ns, .nr_slowest = nr_slowest, .quiet_ns = 1 * SEC };
	struct requests *requests = requests__new(&config);

	assert_non_null(requests);
	return requests;
}

static struct tp_request request_of(uint64_t conn_id, uint32_t seq, uint64_t start_ns, uint64_t latency_ns)
{
	return (struct tp_request){
		.conn_id = conn_id,
		.seq = seq,
		.start_ns = start_ns,
		.end_ns = start_ns + latency_ns,
		.queue_wait_ns = TP_NO_QUEUE_WAIT,
	};
}

static struct tp_conn conn_of(const struct tp_request *request, uint16_t phase)
{
	return (struct tp_conn){ .phase = phase, .r = *request };
}

/* The kernel side sends a request: it has ended for sure. */
static void send(struct requests *requests, const struct tp_request *request)
{
	assert_int_equal(requests__on_request(requests, request), 0);
}

static void look(struct requests *requests, const struct tp_request *request, uint16_t phase, uint64_t now_ns,
		 bool final)
{
	const struct tp_conn conn = conn_of(request, phase);

	assert_int_equal(requests__on_live(requests, &conn, now_ns, final), 0);
}

static void end_conn(struct requests *requests, uint64_t conn_id, uint32_t unanswered, uint16_t flags)
{
	const struct tp_rec_conn conn = {
		.conn_id = conn_id,
		.open_ns = 1 * SEC,
		.end_ns = 3 * SEC,
		.unanswered = unanswered,
		.flags = flags,
	};

	assert_int_equal(requests__on_conn(requests, &conn), 0);
}

static struct report report_of(struct requests *requests)
{
	struct report report = { 0 };

	requests__report(requests, &report);
	assert_true(report.have_requests);
	return report;
}

static uint64_t count_of(struct requests *requests)
{
	return report_of(requests).latency->count;
}

/* --- counting --- */

static void test_nothing_happened(void **state)
{
	struct requests *requests = new_requests(0, 5);
	struct report report = report_of(requests);

	(void)state;
	assert_int_equal(report.latency->count, 0);
	assert_int_equal(report.queue_wait->count, 0);
	assert_int_equal(report.conn_latency->count, 0);
	assert_int_equal(report.nr_slow, 0);
	assert_int_equal(report.accepted, 0);
	assert_int_equal(report.queue_now, 0);
	assert_true(report.queue_avg == 0);
	requests__next(requests);
	assert_int_equal(count_of(requests), 0);
	requests__free(requests);
	requests__free(NULL);
}

static void test_latency_and_parts_add_up(void **state)
{
	struct requests *requests = new_requests(0, 5);
	struct tp_request a = request_of(1, 1, 10 * MS, 30 * MS), b = request_of(2, 1, 20 * MS, 50 * MS);
	struct report report;

	(void)state;
	a.part_ns[TP_CPU] = 10 * MS;
	a.part_ns[TP_LOCK] = 20 * MS;
	b.part_ns[TP_CPU] = 40 * MS;
	b.part_ns[TP_HANDOFF] = 10 * MS;
	send(requests, &a);
	send(requests, &b);
	report = report_of(requests);
	assert_int_equal(report.latency->count, 2);
	assert_int_equal(report.latency->min, 30 * MS);
	assert_int_equal(report.latency->max, 50 * MS);
	assert_int_equal(report.part_ns[TP_CPU], 50 * MS);
	assert_int_equal(report.part_ns[TP_LOCK], 20 * MS);
	assert_int_equal(report.part_ns[TP_HANDOFF], 10 * MS);
	requests__next(requests);
	report = report_of(requests);
	assert_int_equal(report.latency->count, 0);
	assert_int_equal(report.part_ns[TP_CPU], 0);
	assert_int_equal(report.part_ns[TP_HANDOFF], 0);
	requests__free(requests);
}

static void test_a_clock_that_went_back_is_no_latency(void **state)
{
	struct requests *requests = new_requests(0, 5);
	struct tp_request request = request_of(1, 1, 10 * MS, 0);

	(void)state;
	request.end_ns = 9 * MS;
	send(requests, &request);
	assert_int_equal(report_of(requests).latency->max, 0);
	assert_int_equal(count_of(requests), 1);
	requests__free(requests);
}

static void test_only_seen_accepts_have_a_queue_wait(void **state)
{
	struct requests *requests = new_requests(0, 5);
	struct tp_request request = request_of(1, 1, 10 * MS, MS);
	struct report report;

	(void)state;
	send(requests, &request);
	request.conn_id = 2;
	request.queue_wait_ns = 0; /* read at once: a wait of 0 is a wait that was measured */
	send(requests, &request);
	request.conn_id = 3;
	request.queue_wait_ns = 4 * MS;
	send(requests, &request);
	report = report_of(requests);
	assert_int_equal(report.latency->count, 3);
	assert_int_equal(report.queue_wait->count, 2);
	assert_int_equal(report.queue_wait->min, 0);
	assert_int_equal(report.queue_wait->max, 4 * MS);
	requests__free(requests);
}

/* --- counted early --- */

static void test_counted_early_and_sent_later_is_once(void **state)
{
	struct requests *requests = new_requests(0, 5);
	const struct tp_request request = request_of(7, 3, 1 * SEC, 20 * MS);

	(void)state;
	look(requests, &request, TP_CONN_ANSWERED, 10 * SEC, false);
	assert_int_equal(count_of(requests), 1);
	requests__next(requests);
	/* still idle at the next interval's end, and the one after */
	look(requests, &request, TP_CONN_ANSWERED, 20 * SEC, false);
	look(requests, &request, TP_CONN_ANSWERED, 30 * SEC, false);
	assert_int_equal(count_of(requests), 0);
	send(requests, &request);
	assert_int_equal(count_of(requests), 0);
	requests__free(requests);
}

static void test_the_next_request_counts_again(void **state)
{
	struct requests *requests = new_requests(0, 5);
	struct tp_request request = request_of(7, 1, 1 * SEC, MS);

	(void)state;
	look(requests, &request, TP_CONN_ANSWERED, 10 * SEC, false);
	send(requests, &request);
	assert_int_equal(count_of(requests), 1);
	for (uint32_t seq = 2; seq <= 4; seq++) {
		request = request_of(7, seq, seq * 20 * SEC, MS);
		look(requests, &request, TP_CONN_ANSWERED, seq * 20 * SEC + 10 * SEC, false);
		send(requests, &request);
		assert_int_equal(count_of(requests), seq);
	}
	requests__free(requests);
}

/* The record of the request between was lost: what is found live must count all the same. */
static void test_a_later_request_is_not_taken_for_the_early_one(void **state)
{
	struct requests *requests = new_requests(0, 5);
	const struct tp_request first = request_of(7, 1, 1 * SEC, MS), second = request_of(7, 2, 5 * SEC, MS);

	(void)state;
	look(requests, &first, TP_CONN_ANSWERED, 4 * SEC, false);
	look(requests, &second, TP_CONN_ANSWERED, 9 * SEC, false);
	assert_int_equal(count_of(requests), 2);
	send(requests, &second);
	assert_int_equal(count_of(requests), 2);
	requests__free(requests);
}

/* Sent before the look at the live connections, and read after it. */
static void test_an_older_record_that_comes_late(void **state)
{
	struct requests *requests = new_requests(0, 5);
	const struct tp_request first = request_of(7, 1, 1 * SEC, MS), second = request_of(7, 2, 2 * SEC, MS);

	(void)state;
	look(requests, &second, TP_CONN_ANSWERED, 9 * SEC, false);
	send(requests, &first);
	assert_int_equal(count_of(requests), 2);
	send(requests, &second);
	assert_int_equal(count_of(requests), 2);
	requests__free(requests);
}

static void test_a_reused_connection_id_begins_anew(void **state)
{
	struct requests *requests = new_requests(0, 5);
	const struct tp_request request = request_of(7, 1, 1 * SEC, MS);

	(void)state;
	look(requests, &request, TP_CONN_ANSWERED, 10 * SEC, false);
	end_conn(requests, 7, 0, 0);
	send(requests, &request);
	assert_int_equal(count_of(requests), 2);
	requests__free(requests);
}

static void test_an_answer_that_may_go_on_waits(void **state)
{
	struct requests *requests = new_requests(0, 5);
	const struct tp_request request = request_of(7, 1, 1 * SEC, MS);

	(void)state;
	look(requests, &request, TP_CONN_ANSWERED, 1 * SEC + 2 * MS, false);
	assert_int_equal(count_of(requests), 0);
	look(requests, &request, TP_CONN_ANSWERED, 1 * SEC + 2 * MS, true);
	assert_int_equal(count_of(requests), 1);
	requests__free(requests);
}

static void test_how_long_is_quiet(void **state)
{
	const struct requests_config config = { .quiet_ns = 10 * MS };
	const struct tp_request request = request_of(7, 1, 1 * SEC, MS);
	struct requests *requests = requests__new(&config);

	(void)state;
	assert_non_null(requests);
	look(requests, &request, TP_CONN_ANSWERED, request.end_ns + 10 * MS - 1, false);
	assert_int_equal(count_of(requests), 0);
	look(requests, &request, TP_CONN_ANSWERED, request.end_ns + 10 * MS, false);
	assert_int_equal(count_of(requests), 1);
	requests__free(requests);
}

static void test_what_is_not_answered_never_counts(void **state)
{
	struct requests *requests = new_requests(0, 5);
	const struct tp_request request = request_of(7, 1, 1 * SEC, 0);

	(void)state;
	look(requests, &request, TP_CONN_OPEN, 10 * SEC, true);
	look(requests, &request, TP_CONN_QUEUED, 10 * SEC, true);
	look(requests, &request, TP_CONN_IDLE, 10 * SEC, true);
	assert_int_equal(count_of(requests), 0);
	requests__free(requests);
}

/* Many connections at once: the memory of what was counted early must not mix them up. */
static void test_early_requests_of_many_connections(void **state)
{
	enum { CONNS = 3000 };
	struct requests *requests = new_requests(0, 5);

	(void)state;
	for (uint64_t id = 0; id < CONNS; id++) {
		const struct tp_request request = request_of(id * 7919 % CONNS, 1, 1 * SEC, MS);

		look(requests, &request, TP_CONN_ANSWERED, 10 * SEC, false);
	}
	assert_int_equal(count_of(requests), CONNS);
	for (uint64_t id = 0; id < CONNS; id++) {
		const struct tp_request request = request_of(id, 1, 1 * SEC, MS);

		send(requests, &request);
	}
	assert_int_equal(count_of(requests), CONNS);
	requests__free(requests);
}

/* --- connections --- */

static void test_connections(void **state)
{
	struct requests *requests = new_requests(0, 5);
	struct report report;

	(void)state;
	end_conn(requests, 1, 0, 0);
	end_conn(requests, 2, 3, 0);
	end_conn(requests, 3, 1, TP_CONN_PREEXISTING);
	report = report_of(requests);
	assert_int_equal(report.closed, 3);
	assert_int_equal(report.unanswered, 4);
	/* nobody knows when the pre-existing one began */
	assert_int_equal(report.conn_latency->count, 2);
	assert_int_equal(report.conn_latency->max, 2 * SEC);
	requests__next(requests);
	report = report_of(requests);
	assert_int_equal(report.closed, 0);
	assert_int_equal(report.unanswered, 0);
	assert_int_equal(report.conn_latency->count, 0);
	requests__free(requests);
}

static void test_open_is_what_the_last_walk_saw(void **state)
{
	struct requests *requests = new_requests(0, 5);
	const struct tp_request request = request_of(7, 1, 1 * SEC, 0);

	(void)state;
	for (int walk = 0; walk < 3; walk++) {
		requests__begin_live(requests);
		for (int i = 0; i < 4 - walk; i++)
			look(requests, &request, TP_CONN_IDLE, 10 * SEC, false);
		assert_int_equal(report_of(requests).open, 4 - walk);
	}
	requests__free(requests);
}

/* --- the slow ones --- */

static void assert_slow(struct requests *requests, const uint64_t *latencies, size_t count)
{
	struct report report = report_of(requests);

	assert_int_equal(report.nr_slow, count);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(report.slow[i].r.end_ns - report.slow[i].r.start_ns, latencies[i]);
}

static void test_the_slowest_come_first(void **state)
{
	static const uint64_t slowest[] = { 900, 800, 700 };
	struct requests *requests = new_requests(0, 3);

	(void)state;
	for (uint64_t i = 0; i < 9; i++) {
		const struct tp_request request = request_of(i, 1, SEC, 100 * (i * 5 % 9 + 1));

		send(requests, &request);
	}
	assert_slow(requests, slowest, 3);
	requests__next(requests);
	assert_slow(requests, NULL, 0);
	requests__free(requests);
}

static void test_fewer_than_the_limit(void **state)
{
	static const uint64_t both[] = { 20, 10 };
	struct requests *requests = new_requests(0, 5);
	const struct tp_request fast = request_of(1, 1, SEC, 10), slow = request_of(2, 1, SEC, 20);

	(void)state;
	send(requests, &fast);
	send(requests, &slow);
	assert_slow(requests, both, 2);
	requests__free(requests);
}

static void test_no_list_is_asked_for(void **state)
{
	struct requests *requests = new_requests(0, 0);
	const struct tp_request request = request_of(1, 1, SEC, SEC);

	(void)state;
	send(requests, &request);
	assert_slow(requests, NULL, 0);
	assert_int_equal(count_of(requests), 1);
	requests__free(requests);
}

/* All that take at least the limit, and those below it only while the list of the slowest has room. */
static void test_every_request_over_the_limit_is_listed(void **state)
{
	struct requests *requests = new_requests(10 * MS, 2);
	static const uint64_t expected[] = { 14 * MS, 13 * MS, 12 * MS, 11 * MS, 10 * MS };

	(void)state;
	/* the one that takes exactly so long comes when the list of the slowest is full */
	for (uint64_t ms = 14; ms >= 10; ms--) {
		const struct tp_request request = request_of(ms, 1, SEC, ms * MS);

		send(requests, &request);
	}
	for (uint64_t ms = 1; ms < 10; ms++) {
		const struct tp_request request = request_of(ms, 1, SEC, ms * MS);

		send(requests, &request);
	}
	assert_slow(requests, expected, 5);
	requests__free(requests);
}

static void test_the_list_is_bounded_and_keeps_the_slowest(void **state)
{
	struct requests *requests = new_requests(1, 5);
	const size_t total = REQUESTS_MAX_SLOW + 500;
	struct report report;
	size_t count;

	(void)state;
	for (uint64_t i = 1; i <= total; i++) {
		const struct tp_request request = request_of(i, 1, SEC, i);

		send(requests, &request);
	}
	report = report_of(requests);
	assert_int_equal(report.nr_slow, REQUESTS_MAX_SLOW);
	for (size_t i = 0; i < report.nr_slow; i++)
		assert_int_equal(report.slow[i].r.end_ns - report.slow[i].r.start_ns, total - i);
	assert_ptr_equal(requests__slow(requests, &count), report.slow);
	assert_int_equal(count, REQUESTS_MAX_SLOW);
	requests__free(requests);
}

/* --- the queue --- */

/* Adds an accept, or the first read of one, at @when, as the kernel side does. */
/* A request that a burst starves ends after it: it was in hand all the while, so it counts as inside. */
static void test_latencies_inside_and_around_a_burst(void **state)
{
	struct requests *requests = new_requests(0, 0);
	const struct tp_request all[] = {
		request_of(1, 1, 10 * SEC, 1 * MS), /* too long ago */
		request_of(1, 2, 48 * SEC, 2 * MS),
		request_of(1, 3, 49900 * MS, 300 * MS), /* started before the burst, ended in it */
		request_of(1, 4, 50200 * MS, 3 * SEC),	/* starved */
		request_of(2, 1, 49500 * MS, 5 * SEC),	/* from before it to after it */
		request_of(1, 5, 53500 * MS, 4 * MS),
		request_of(1, 6, 90 * SEC, 1 * MS), /* too late */
	};
	struct requests_mean inside, outside;

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		send(requests, &all[i]);
	requests__compare(requests, 50 * SEC, 51 * SEC, 30 * SEC, &inside, &outside);
	assert_int_equal(inside.count, 3);
	assert_int_equal(inside.sum_ns, 8300 * MS);
	assert_int_equal(outside.count, 2);
	assert_int_equal(outside.sum_ns, 6 * MS);
	requests__free(requests);
}

static void queue_accept(struct tp_queue *queue, uint64_t when)
{
	queue->accepted++;
	queue->accepted_ts_sum += when;
	if (queue->accepted - queue->dequeued > queue->max)
		queue->max = queue->accepted - queue->dequeued;
}

static void queue_dequeue(struct tp_queue *queue, uint64_t when)
{
	queue->dequeued++;
	queue->dequeued_ts_sum += when;
}

static void assert_average(double got, double want)
{
	assert_true(got > want - 1e-9);
	assert_true(got < want + 1e-9);
}

static void test_queue_over_intervals(void **state)
{
	struct requests *requests = new_requests(0, 5);
	struct tp_queue queue = { 0 };
	struct report report;

	(void)state;
	requests__on_queue(requests, &queue, 100 * SEC);
	/* one waits for 2 s, another for 1 s of a 10 s interval */
	queue_accept(&queue, 101 * SEC);
	queue_accept(&queue, 102 * SEC);
	queue_dequeue(&queue, 103 * SEC);
	queue_dequeue(&queue, 103 * SEC);
	/* and a third is there from 108 s on */
	queue_accept(&queue, 108 * SEC);
	requests__on_queue(requests, &queue, 110 * SEC);
	report = report_of(requests);
	assert_int_equal(report.accepted, 3);
	assert_int_equal(report.queue_now, 1);
	assert_int_equal(report.queue_max, 2);
	assert_average(report.queue_avg, 0.5);
	requests__next(requests);

	/* it waits for 5 s of the next interval; the highest depth begins anew with it */
	queue.max = 1;
	queue_dequeue(&queue, 115 * SEC);
	requests__on_queue(requests, &queue, 120 * SEC);
	report = report_of(requests);
	assert_int_equal(report.accepted, 0);
	assert_int_equal(report.queue_now, 0);
	assert_int_equal(report.queue_max, 1);
	assert_average(report.queue_avg, 0.5);
	requests__next(requests);

	queue.max = 0;
	requests__on_queue(requests, &queue, 130 * SEC);
	report = report_of(requests);
	assert_int_equal(report.queue_max, 0);
	assert_average(report.queue_avg, 0);
	requests__free(requests);
}

static void test_queue_that_was_there_before_us(void **state)
{
	struct requests *requests = new_requests(0, 5);
	struct tp_queue queue = { .accepted = 1000, .dequeued = 997, .accepted_ts_sum = 77 };
	struct report report;

	(void)state;
	requests__on_queue(requests, &queue, 100 * SEC);
	requests__on_queue(requests, &queue, 110 * SEC);
	report = report_of(requests);
	assert_int_equal(report.accepted, 0);
	assert_int_equal(report.queue_now, 3);
	assert_int_equal(report.queue_max, 3); /* although nothing came that raised it */
	assert_average(report.queue_avg, 3);
	requests__free(requests);
}

/* The sums of many timestamps wrap round; only their differences count. */
static void test_queue_sums_may_wrap(void **state)
{
	struct requests *requests = new_requests(0, 5);
	struct tp_queue queue = {
		.accepted = 5, .dequeued = 5, .accepted_ts_sum = UINT64_MAX - 10, .dequeued_ts_sum = UINT64_MAX - 10,
	};
	struct report report;

	(void)state;
	requests__on_queue(requests, &queue, 100 * SEC);
	queue_accept(&queue, 101 * SEC);
	queue_dequeue(&queue, 103 * SEC);
	requests__on_queue(requests, &queue, 104 * SEC);
	report = report_of(requests);
	assert_average(report.queue_avg, 0.5);
	requests__free(requests);
}

static void test_an_interval_of_no_length_has_no_average(void **state)
{
	struct requests *requests = new_requests(0, 5);
	const struct tp_queue queue = { .accepted = 1, .accepted_ts_sum = 100 * SEC, .max = 1 };
	struct report report;

	(void)state;
	requests__on_queue(requests, &queue, 100 * SEC);
	requests__on_queue(requests, &queue, 100 * SEC);
	report = report_of(requests);
	assert_int_equal(report.queue_now, 1);
	assert_average(report.queue_avg, 0);
	requests__free(requests);
}

/* The counters are read one after the other while servers run: a read may be seen without its accept. */
static void test_a_torn_look_at_the_queue_is_an_empty_one(void **state)
{
	struct requests *requests = new_requests(0, 5);
	struct tp_queue queue = { 0 };
	struct report report;

	(void)state;
	requests__on_queue(requests, &queue, 100 * SEC);
	queue_dequeue(&queue, 105 * SEC);
	requests__on_queue(requests, &queue, 110 * SEC);
	report = report_of(requests);
	assert_int_equal(report.queue_now, 0);
	assert_int_equal(report.queue_max, 0);
	requests__free(requests);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_happened),
		cmocka_unit_test(test_latency_and_parts_add_up),
		cmocka_unit_test(test_a_clock_that_went_back_is_no_latency),
		cmocka_unit_test(test_only_seen_accepts_have_a_queue_wait),
		cmocka_unit_test(test_counted_early_and_sent_later_is_once),
		cmocka_unit_test(test_the_next_request_counts_again),
		cmocka_unit_test(test_a_later_request_is_not_taken_for_the_early_one),
		cmocka_unit_test(test_an_older_record_that_comes_late),
		cmocka_unit_test(test_a_reused_connection_id_begins_anew),
		cmocka_unit_test(test_an_answer_that_may_go_on_waits),
		cmocka_unit_test(test_how_long_is_quiet),
		cmocka_unit_test(test_what_is_not_answered_never_counts),
		cmocka_unit_test(test_early_requests_of_many_connections),
		cmocka_unit_test(test_connections),
		cmocka_unit_test(test_open_is_what_the_last_walk_saw),
		cmocka_unit_test(test_the_slowest_come_first),
		cmocka_unit_test(test_fewer_than_the_limit),
		cmocka_unit_test(test_no_list_is_asked_for),
		cmocka_unit_test(test_every_request_over_the_limit_is_listed),
		cmocka_unit_test(test_the_list_is_bounded_and_keeps_the_slowest),
		cmocka_unit_test(test_latencies_inside_and_around_a_burst),
		cmocka_unit_test(test_queue_over_intervals),
		cmocka_unit_test(test_queue_that_was_there_before_us),
		cmocka_unit_test(test_queue_sums_may_wrap),
		cmocka_unit_test(test_an_interval_of_no_length_has_no_average),
		cmocka_unit_test(test_a_torn_look_at_the_queue_is_an_empty_one),
	};

	return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}
