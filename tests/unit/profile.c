// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "profile.h"

#define MS 1000000ULL
#define SEC (1000 * MS)

static void init(struct profile *profile)
{
	const struct requests_config config = { .nr_slowest = 5 };

	assert_int_equal(profile__init(profile, &config), 0);
}

static struct report report_of(struct profile *profile)
{
	struct report report = { 0 };

	assert_int_equal(profile__report(profile, &report), 0);
	return report;
}

static struct tp_rec_request request_of(uint64_t conn_id, uint32_t seq)
{
	return (struct tp_rec_request){
		.h = { .kind = TP_REC_REQUEST, .size = sizeof(struct tp_rec_request) },
		.r = {
			.conn_id = conn_id,
			.seq = seq,
			.start_ns = 1 * SEC,
			.end_ns = 1 * SEC + 5 * MS,
			.queue_wait_ns = TP_NO_QUEUE_WAIT,
		},
	};
}

static struct tp_conn conn_of(uint64_t conn_id, uint32_t seq, uint16_t phase)
{
	return (struct tp_conn){ .open_ns = 1 * SEC, .phase = phase, .r = request_of(conn_id, seq).r };
}

static void test_freed_twice(void **state)
{
	struct profile profile;

	(void)state;
	init(&profile);
	profile__free(&profile);
	profile__free(&profile);
}

static void test_each_record_finds_its_reducer(void **state)
{
	const struct tp_rec_request request = request_of(1, 1);
	const struct tp_rec_conn conn = {
		.h = { .kind = TP_REC_CONN, .size = sizeof(conn) }, .conn_id = 1, .open_ns = SEC, .end_ns = 2 * SEC,
	};
	const struct tp_rec_thread thread = {
		.h = { .kind = TP_REC_THREAD, .size = sizeof(thread), .ts_ns = 10 * SEC },
		.tid = 5,
		.start_ns = 9 * SEC,
		.birth_ns = 9 * SEC,
		.state_ns = { [TP_LOCK] = 1 * SEC },
		.lock_addr = 0x1000,
		.lock_since = 9 * SEC,
	};
	const struct tp_rec_process process = { .h = { .kind = TP_REC_PROCESS, .size = sizeof(process) } };
	const struct tp_rec unknown = { .kind = 999, .size = sizeof(unknown) };
	struct profile profile;
	struct report report;

	(void)state;
	init(&profile);
	profile__on_record(&profile, &request.h);
	profile__on_record(&profile, &conn.h);
	profile__on_record(&profile, &thread.h);
	profile__on_record(&profile, &process.h);
	profile__on_record(&profile, &unknown);
	report = report_of(&profile);
	assert_int_equal(report.latency->count, 1);
	assert_int_equal(report.closed, 1);
	assert_int_equal(report.nr_threads, 1);
	assert_int_equal(report.nr_locks, 1);
	assert_int_equal(report.locks[0].wait_ns, 1 * SEC);
	assert_true(report.have_requests && report.have_threads && report.have_locks && report.have_peers &&
		    report.have_thieves);
	profile__next(&profile);
	report = report_of(&profile);
	assert_int_equal(report.latency->count, 0);
	assert_int_equal(report.closed, 0);
	assert_int_equal(report.nr_threads, 0);
	assert_int_equal(report.nr_locks, 0);
	profile__free(&profile);
}

/* --- connections that are found to be gone --- */

static struct report after_gone(const struct tp_conn *conn)
{
	static struct histogram latency;
	struct profile profile;
	struct report report;

	init(&profile);
	profile__on_gone_conn(&profile, conn, 3 * SEC);
	report = report_of(&profile);
	assert_int_equal(report.closed, 1);
	/* only the count is needed after the profile is gone */
	latency.count = report.latency->count;
	report.latency = &latency;
	profile__free(&profile);
	return report;
}

static void test_gone_with_its_last_request_answered(void **state)
{
	const struct tp_conn conn = conn_of(1, 4, TP_CONN_ANSWERED);
	struct report report = after_gone(&conn);

	(void)state;
	assert_int_equal(report.latency->count, 1);
	assert_int_equal(report.unanswered, 0);
}

static void test_gone_with_a_request_in_hand(void **state)
{
	const struct tp_conn conn = conn_of(1, 4, TP_CONN_OPEN);
	struct report report = after_gone(&conn);

	(void)state;
	assert_int_equal(report.latency->count, 0);
	assert_int_equal(report.unanswered, 1);
}

static void test_gone_unread_or_idle(void **state)
{
	const struct tp_conn queued = conn_of(1, 0, TP_CONN_QUEUED), idle = conn_of(1, 4, TP_CONN_IDLE);

	(void)state;
	assert_int_equal(after_gone(&queued).latency->count, 0);
	assert_int_equal(after_gone(&queued).unanswered, 0);
	assert_int_equal(after_gone(&idle).latency->count, 0);
	assert_int_equal(after_gone(&idle).unanswered, 0);
}

static void test_counted_live_then_gone_is_once(void **state)
{
	const struct tp_conn conn = conn_of(1, 4, TP_CONN_ANSWERED);
	struct profile profile;

	(void)state;
	init(&profile);
	profile__on_live_conn(&profile, &conn, 10 * SEC, false);
	assert_int_equal(report_of(&profile).latency->count, 1);
	profile__on_gone_conn(&profile, &conn, 12 * SEC);
	assert_int_equal(report_of(&profile).latency->count, 1);
	assert_int_equal(report_of(&profile).conn_latency->max, 11 * SEC);
	profile__free(&profile);
}

/* --- counters --- */

static void test_counters_are_of_the_interval(void **state)
{
	uint64_t losses[TP_NR_LOSSES];
	struct profile profile;
	struct report report = { 0 };

	(void)state;
	init(&profile);
	for (int i = 0; i < TP_NR_LOSSES; i++)
		losses[i] = 10 * i;
	profile__on_counters(&profile, losses, 500, &report);
	for (int i = 0; i < TP_NR_LOSSES; i++)
		assert_int_equal(report.lost[i], 10 * i);
	assert_int_equal(report.events, 500);
	for (int i = 0; i < TP_NR_LOSSES; i++)
		losses[i] += i;
	report = (struct report){ 0 };
	profile__on_counters(&profile, losses, 730, &report);
	for (int i = 0; i < TP_NR_LOSSES; i++)
		assert_int_equal(report.lost[i], i);
	assert_int_equal(report.events, 230);
	/* what a reducer had to leave out is not forgotten */
	report = (struct report){ .lost[TP_LOSS_LOCK_CALL] = 3 };
	profile__on_counters(&profile, losses, 730, &report);
	for (int i = 0; i < TP_NR_LOSSES; i++)
		assert_int_equal(report.lost[i], i == TP_LOSS_LOCK_CALL ? 3 : 0);
	assert_int_equal(report.events, 0);
	profile__free(&profile);
}

/* A report that lacks what there was no memory for would look complete. */
static void test_out_of_memory_fails_the_report(void **state)
{
	struct profile profile;
	struct report report = { 0 };

	(void)state;
	init(&profile);
	profile.out_of_memory = 1;
	assert_int_equal(profile__report(&profile, &report), -ENOMEM);
	profile__free(&profile);
}

/* The same records give the same report. */
static void test_a_replay_gives_the_same(void **state)
{
	struct profile first, second;

	(void)state;
	init(&first);
	init(&second);
	for (uint64_t i = 0; i < 500; i++) {
		struct tp_rec_request request = request_of(i % 17, (uint32_t)i);

		request.r.end_ns += i * i;
		profile__on_record(&first, &request.h);
		profile__on_record(&second, &request.h);
	}
	assert_int_equal(report_of(&first).latency->sum, report_of(&second).latency->sum);
	assert_memory_equal(report_of(&first).slow, report_of(&second).slow, 5 * sizeof(struct report_request));
	profile__free(&first);
	profile__free(&second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_freed_twice),
		cmocka_unit_test(test_each_record_finds_its_reducer),
		cmocka_unit_test(test_gone_with_its_last_request_answered),
		cmocka_unit_test(test_gone_with_a_request_in_hand),
		cmocka_unit_test(test_gone_unread_or_idle),
		cmocka_unit_test(test_counted_live_then_gone_is_once),
		cmocka_unit_test(test_counters_are_of_the_interval),
		cmocka_unit_test(test_out_of_memory_fails_the_report),
		cmocka_unit_test(test_a_replay_gives_the_same),
	};

	return cmocka_run_group_tests_name("profile", tests, NULL, NULL);
}
