// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "thread.h"

#define SEC 1000000000ULL
#define TGID 100

static struct threads *new_threads(void)
{
	struct threads *threads = threads__new();

	assert_non_null(threads);
	return threads;
}

/* A thread that began at @start_ns and was accounted from then on, on its CPU until @now_ns. */
static struct tp_rec_thread thread_of(uint32_t tid, uint64_t start_ns, uint64_t now_ns)
{
	struct tp_rec_thread rec = {
		.h = { .kind = TP_REC_THREAD, .size = sizeof(rec), .ts_ns = now_ns },
		.tgid = TGID,
		.tid = tid,
		.start_ns = start_ns,
		.birth_ns = start_ns,
	};

	rec.state_ns[TP_CPU] = now_ns - start_ns;
	snprintf(rec.comm, sizeof(rec.comm), "t%u", tid);
	return rec;
}

static void on_record(struct threads *threads, const struct tp_rec_thread *rec)
{
	assert_int_equal(threads__on_record(threads, rec), 0);
}

static uint64_t sum_of(const uint64_t state_ns[TP_NR_STATES])
{
	uint64_t sum = 0;

	for (int i = 0; i < TP_NR_STATES; i++)
		sum += state_ns[i];
	return sum;
}

/* What holds in every report, whatever the records were. */
static void assert_sane(const struct report *report)
{
	uint64_t listed[TP_NR_STATES] = { 0 };

	for (size_t i = 0; i < report->nr_listed; i++) {
		const struct report_thread *thread = &report->threads[i];

		assert_int_equal(sum_of(thread->state_ns), thread->wall_ns);
		assert_true(thread->busy_ns <= thread->wall_ns);
		for (int j = 0; j < TP_NR_STATES; j++)
			listed[j] += thread->state_ns[j];
	}
	for (int j = 0; j < TP_NR_STATES; j++)
		assert_int_equal(listed[j] + report->rest_state_ns[j], report->state_ns[j]);
	assert_int_equal(sum_of(report->state_ns), report->wall_ns);
	assert_int_equal(report->nr_listed + report->rest_threads, report->nr_threads + report->nr_exited);
	assert_true(report->active <= report->nr_threads + report->nr_exited);
}

static struct report report_of(struct threads *threads)
{
	struct report report = { 0 };

	threads__report(threads, &report);
	assert_true(report.have_threads);
	assert_sane(&report);
	return report;
}

static const struct report_thread *find(const struct report *report, uint32_t tid, bool exited)
{
	for (size_t i = 0; i < report->nr_listed; i++) {
		if (report->threads[i].tid == tid && report->threads[i].exited == exited)
			return &report->threads[i];
	}
	fail_msg("thread %u is not listed", tid);
	return NULL;
}

static void test_no_threads(void **state)
{
	struct threads *threads = new_threads();
	struct report report = report_of(threads);

	(void)state;
	assert_int_equal(report.nr_threads, 0);
	assert_int_equal(report.nr_listed, 0);
	threads__next(threads);
	assert_null(threads__comm(threads, 1));
	threads__free(threads);
	threads__free(NULL);
}

static void test_an_interval_has_what_was_added_in_it(void **state)
{
	struct threads *threads = new_threads();
	struct tp_rec_thread rec = thread_of(5, 10 * SEC, 12 * SEC);
	const struct report_thread *thread;
	struct report report;

	(void)state;
	rec.requests = 7;
	rec.busy_ns = 1 * SEC;
	on_record(threads, &rec);
	report = report_of(threads);
	thread = find(&report, 5, false);
	assert_int_equal(thread->wall_ns, 2 * SEC); /* since it began, not since the world did */
	assert_int_equal(thread->requests, 7);
	assert_int_equal(thread->busy_ns, 1 * SEC);
	assert_string_equal(thread->comm, "t5");
	assert_int_equal(thread->tgid, TGID);
	threads__next(threads);

	rec.h.ts_ns = 22 * SEC;
	rec.state_ns[TP_CPU] += 3 * SEC;
	rec.state_ns[TP_IDLE] += 7 * SEC;
	rec.requests = 10;
	rec.busy_ns = 4 * SEC;
	on_record(threads, &rec);
	report = report_of(threads);
	thread = find(&report, 5, false);
	assert_int_equal(thread->wall_ns, 10 * SEC);
	assert_int_equal(thread->state_ns[TP_CPU], 3 * SEC);
	assert_int_equal(thread->state_ns[TP_IDLE], 7 * SEC);
	assert_int_equal(thread->requests, 3);
	assert_int_equal(thread->busy_ns, 3 * SEC);
	assert_int_equal(report.state_ns[TP_IDLE], 7 * SEC);
	assert_int_equal(report.wall_ns, 10 * SEC);
	threads__free(threads);
}

static void test_who_counts_as_active(void **state)
{
	struct threads *threads = new_threads();
	struct tp_rec_thread idle = thread_of(1, SEC, 2 * SEC), answers = thread_of(2, SEC, 2 * SEC);
	struct tp_rec_thread holds = thread_of(3, SEC, 2 * SEC);
	struct report report;

	(void)state;
	answers.requests = 1; /* of no measurable length */
	holds.busy_ns = 1;    /* one that goes on */
	on_record(threads, &idle);
	on_record(threads, &answers);
	on_record(threads, &holds);
	report = report_of(threads);
	assert_int_equal(report.nr_threads, 3);
	assert_int_equal(report.active, 2);
	assert_int_equal(report.busy_ns, 1);
	threads__free(threads);
}

static void test_the_busiest_come_first(void **state)
{
	struct threads *threads = new_threads();
	static const uint64_t idle_s[] = { 3, 0, 9, 6 };
	static const uint32_t order[] = { 1, 0, 3, 2 };
	struct report report;

	(void)state;
	for (uint32_t i = 0; i < 4; i++) {
		struct tp_rec_thread rec = thread_of(i, SEC, 11 * SEC);

		rec.state_ns[TP_CPU] -= idle_s[i] * SEC;
		rec.state_ns[TP_IDLE] += idle_s[i] * SEC;
		on_record(threads, &rec);
	}
	report = report_of(threads);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(report.threads[i].tid, order[i]);
	threads__free(threads);
}

/* --- ends, and tids that are used again --- */

static void test_an_exited_thread_is_there_once(void **state)
{
	struct threads *threads = new_threads();
	struct tp_rec_thread rec = thread_of(5, SEC, 10 * SEC);
	struct report report;

	(void)state;
	on_record(threads, &rec);
	threads__next(threads);
	rec = thread_of(5, SEC, 13 * SEC);
	rec.flags = TP_THREAD_EXITED;
	on_record(threads, &rec);
	report = report_of(threads);
	assert_int_equal(report.nr_exited, 1);
	assert_int_equal(report.nr_threads, 0);
	assert_int_equal(find(&report, 5, true)->wall_ns, 3 * SEC);
	threads__next(threads);
	report = report_of(threads);
	assert_int_equal(report.nr_exited, 0);
	assert_int_equal(report.nr_listed, 0);
	threads__free(threads);
}

static void test_a_tid_that_is_used_again_in_the_same_interval(void **state)
{
	struct threads *threads = new_threads();
	struct tp_rec_thread old = thread_of(5, SEC, 10 * SEC), new = thread_of(5, 14 * SEC, 20 * SEC);
	struct report report;

	(void)state;
	old.requests = 1000;
	old.busy_ns = 5 * SEC;
	on_record(threads, &old);
	threads__next(threads);
	old.h.ts_ns = 12 * SEC;
	old.state_ns[TP_CPU] += 2 * SEC;
	old.requests = 1001;
	old.flags = TP_THREAD_EXITED;
	on_record(threads, &old);
	new.requests = 4;
	new.busy_ns = 1 * SEC;
	on_record(threads, &new);
	report = report_of(threads);
	assert_int_equal(report.nr_threads, 1);
	assert_int_equal(report.nr_exited, 1);
	assert_int_equal(find(&report, 5, true)->wall_ns, 2 * SEC);
	assert_int_equal(find(&report, 5, true)->requests, 1);
	assert_int_equal(find(&report, 5, false)->wall_ns, 6 * SEC);
	assert_int_equal(find(&report, 5, false)->requests, 4);
	assert_int_equal(find(&report, 5, false)->busy_ns, 1 * SEC);
	threads__free(threads);
}

/*
 * A thread that ends between the two looks at the end of an interval is in neither: its last record comes
 * with the next interval, and what was reported before must not be reported again.
 */
static void test_an_end_that_is_told_one_interval_late(void **state)
{
	struct threads *threads = new_threads();
	struct tp_rec_thread rec = thread_of(5, SEC, 10 * SEC);
	struct report report;

	(void)state;
	rec.requests = 50;
	on_record(threads, &rec);
	threads__next(threads);
	threads__next(threads); /* not seen in this one */
	rec = thread_of(5, SEC, 20 * SEC);
	rec.requests = 51;
	rec.flags = TP_THREAD_EXITED;
	on_record(threads, &rec);
	report = report_of(threads);
	assert_int_equal(find(&report, 5, true)->wall_ns, 10 * SEC);
	assert_int_equal(find(&report, 5, true)->requests, 1);
	threads__free(threads);
}

static void test_a_thread_that_is_gone_is_forgotten(void **state)
{
	struct threads *threads = new_threads();
	struct tp_rec_thread rec = thread_of(5, SEC, 10 * SEC);

	(void)state;
	on_record(threads, &rec);
	assert_string_equal(threads__comm(threads, 5), "t5");
	threads__next(threads);
	assert_string_equal(threads__comm(threads, 5), "t5");
	for (int i = 0; i < 3; i++)
		threads__next(threads);
	assert_null(threads__comm(threads, 5));
	threads__free(threads);
}

/*
 * exec(2) in a thread other than the first gives it the first one's tid and start time, while its counters
 * go on from its own birth: neither past may be reported once more under the tid.
 */
static void test_exec_takes_over_a_tid(void **state)
{
	struct threads *threads = new_threads();
	struct tp_rec_thread leader = thread_of(TGID, 1 * SEC, 10 * SEC), thread = thread_of(101, 3 * SEC, 10 * SEC);
	const struct report_thread *got;
	struct report report;

	(void)state;
	thread.requests = 500;
	on_record(threads, &leader);
	on_record(threads, &thread);
	threads__next(threads);

	leader = thread_of(TGID, 1 * SEC, 12 * SEC);
	leader.flags = TP_THREAD_EXITED;
	on_record(threads, &leader);
	thread = thread_of(TGID, 3 * SEC, 20 * SEC);
	thread.start_ns = 1 * SEC;
	thread.requests = 501;
	on_record(threads, &thread);
	report = report_of(threads);
	assert_int_equal(find(&report, TGID, true)->wall_ns, 2 * SEC);
	got = find(&report, TGID, false);
	assert_true(got->wall_ns <= 10 * SEC);
	assert_true(got->requests <= 1);
	threads__next(threads);

	thread.h.ts_ns = 30 * SEC;
	thread.state_ns[TP_CPU] += 10 * SEC;
	thread.requests = 503;
	on_record(threads, &thread);
	report = report_of(threads);
	got = find(&report, TGID, false);
	assert_int_equal(got->wall_ns, 10 * SEC);
	assert_int_equal(got->state_ns[TP_CPU], 10 * SEC);
	assert_int_equal(got->requests, 2);
	threads__free(threads);
}

/* --- time that is moved after it was reported --- */

/* Reports 10 s of @before, then a second interval of 10 s of @after with @moved taken from @from to @to. */
static struct report_thread move(enum tp_state from, enum tp_state to, uint64_t moved, enum tp_state meanwhile)
{
	struct threads *threads = new_threads();
	struct tp_rec_thread rec = thread_of(5, 10 * SEC, 10 * SEC);
	struct report_thread thread;
	struct report report;

	rec.h.ts_ns = 20 * SEC;
	rec.state_ns[from] = 10 * SEC;
	on_record(threads, &rec);
	report_of(threads);
	threads__next(threads);
	rec.h.ts_ns = 30 * SEC;
	rec.state_ns[meanwhile] += 10 * SEC;
	rec.state_ns[from] -= moved;
	rec.state_ns[to] += moved;
	on_record(threads, &rec);
	report = report_of(threads);
	thread = *find(&report, 5, false);
	threads__free(threads);
	return thread;
}

static void test_moved_time_keeps_the_sum(void **state)
{
	struct report_thread thread;

	(void)state;
	/* idle turns out to have been a wait for a peer; the thread was on its CPU since */
	thread = move(TP_IDLE, TP_NET, 4 * SEC, TP_CPU);
	assert_int_equal(thread.wall_ns, 10 * SEC);
	assert_int_equal(thread.state_ns[TP_IDLE], 0);
	/* taken from the larger share: 10 s of CPU against the 4 s that were moved */
	assert_int_equal(thread.state_ns[TP_CPU] + thread.state_ns[TP_NET], 10 * SEC);

	/* more was moved within the interval than out of the one before */
	thread = move(TP_IDLE, TP_NET, 4 * SEC, TP_IDLE);
	assert_int_equal(thread.state_ns[TP_IDLE], 6 * SEC);
	assert_int_equal(thread.state_ns[TP_NET], 4 * SEC);

	/* everything of the interval before */
	thread = move(TP_WAIT, TP_LOCK, 10 * SEC, TP_RUNQ);
	assert_int_equal(thread.wall_ns, 10 * SEC);
	assert_int_equal(thread.state_ns[TP_WAIT], 0);
	assert_int_equal(sum_of(thread.state_ns), 10 * SEC);
}

static void test_moved_time_spreads_over_several_states(void **state)
{
	struct threads *threads = new_threads();
	struct tp_rec_thread rec = thread_of(5, 10 * SEC, 10 * SEC);
	const struct report_thread *thread;
	struct report report;

	(void)state;
	rec.h.ts_ns = 110 * SEC;
	rec.state_ns[TP_IDLE] = 100 * SEC;
	on_record(threads, &rec);
	report_of(threads);
	threads__next(threads);
	/* 9 s of idle were moved, and each state got 1 or 2 s: no single one can give all of it back */
	rec.h.ts_ns = 120 * SEC;
	rec.state_ns[TP_IDLE] -= 9 * SEC;
	rec.state_ns[TP_CPU] += 6 * SEC;
	rec.state_ns[TP_NET] += 7 * SEC;
	rec.state_ns[TP_LOCK] += 6 * SEC;
	on_record(threads, &rec);
	report = report_of(threads);
	thread = find(&report, 5, false);
	assert_int_equal(thread->wall_ns, 10 * SEC);
	assert_int_equal(thread->state_ns[TP_IDLE], 0);
	assert_int_equal(sum_of(thread->state_ns), 10 * SEC);
	threads__free(threads);
}

static void test_busy_time_that_is_known_late(void **state)
{
	struct threads *threads = new_threads();
	struct tp_rec_thread rec = thread_of(5, 10 * SEC, 20 * SEC);
	struct report report;

	(void)state;
	rec.busy_ns = 5 * SEC;
	on_record(threads, &rec);
	threads__next(threads);
	/* a request of the last interval turns out to have gone on: more than this one has */
	rec.h.ts_ns = 30 * SEC;
	rec.state_ns[TP_CPU] += 10 * SEC;
	rec.busy_ns = 18 * SEC;
	on_record(threads, &rec);
	report = report_of(threads);
	assert_int_equal(find(&report, 5, false)->busy_ns, 10 * SEC);
	threads__next(threads);
	/* or less was busy than had been said */
	rec.h.ts_ns = 40 * SEC;
	rec.state_ns[TP_CPU] += 10 * SEC;
	rec.busy_ns = 17 * SEC;
	on_record(threads, &rec);
	report = report_of(threads);
	assert_int_equal(find(&report, 5, false)->busy_ns, 0);
	threads__free(threads);
}

/* --- many --- */

static void test_more_threads_than_are_listed(void **state)
{
	enum { MORE = 77 };
	const uint32_t total = THREADS_MAX_LISTED + MORE;
	struct threads *threads = new_threads();
	struct report report;

	(void)state;
	for (uint32_t i = 0; i < total; i++) {
		struct tp_rec_thread rec = thread_of(1000 + i, SEC, 11 * SEC);

		/* the last ones are idle, so that it is they who are left out */
		if (i >= THREADS_MAX_LISTED) {
			rec.state_ns[TP_CPU] = 1 * SEC;
			rec.state_ns[TP_IDLE] = 9 * SEC;
		}
		on_record(threads, &rec);
	}
	report = report_of(threads);
	assert_int_equal(report.nr_threads, total);
	assert_int_equal(report.nr_listed, THREADS_MAX_LISTED);
	assert_int_equal(report.rest_threads, MORE);
	assert_int_equal(report.rest_state_ns[TP_CPU], MORE * SEC);
	assert_int_equal(report.rest_state_ns[TP_IDLE], MORE * 9 * SEC);
	assert_int_equal(report.wall_ns, total * 10 * SEC);
	threads__next(threads);
	report = report_of(threads);
	assert_int_equal(report.rest_threads, 0);
	assert_int_equal(report.rest_state_ns[TP_IDLE], 0);
	threads__free(threads);
}

/* Tens of thousands come and go: each is there once with its whole life. */
static void test_churn(void **state)
{
	enum { INTERVALS = 5, EACH = 4000 };
	struct threads *threads = new_threads();

	(void)state;
	for (uint64_t interval = 1; interval <= INTERVALS; interval++) {
		struct report report;

		for (uint32_t i = 0; i < EACH; i++) {
			struct tp_rec_thread rec = thread_of(1 + i, interval * 10 * SEC + i, interval * 10 * SEC + i + 5);

			rec.flags = TP_THREAD_EXITED;
			rec.requests = 1;
			on_record(threads, &rec);
		}
		report = report_of(threads);
		assert_int_equal(report.nr_exited, EACH);
		assert_int_equal(report.nr_threads, 0);
		assert_int_equal(report.active, EACH);
		assert_int_equal(report.wall_ns, EACH * 5);
		threads__next(threads);
	}
	threads__free(threads);
}

/* What a lock's memory says of its holder is the holder's id in its own PID namespace. */
static void test_an_id_of_another_namespace(void **state)
{
	struct threads *threads = new_threads();
	struct tp_rec_thread here = thread_of(5, SEC, 2 * SEC), there = thread_of(700, SEC, 2 * SEC);

	(void)state;
	here.tgid = 5;
	here.own_tid = 5;
	there.tgid = 600;
	there.own_tid = 5;
	on_record(threads, &here);
	on_record(threads, &there);
	assert_int_equal(threads__tid_of(threads, 5, 5), 5);
	assert_int_equal(threads__tid_of(threads, 600, 5), 700);
	/* one that is not known: without a namespace of its own it has the same id here */
	assert_int_equal(threads__tid_of(threads, 5, 6), 6);
	assert_int_equal(threads__tid_of(threads, 600, 6), 0);
	threads__free(threads);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_threads),
		cmocka_unit_test(test_an_interval_has_what_was_added_in_it),
		cmocka_unit_test(test_who_counts_as_active),
		cmocka_unit_test(test_the_busiest_come_first),
		cmocka_unit_test(test_an_exited_thread_is_there_once),
		cmocka_unit_test(test_a_tid_that_is_used_again_in_the_same_interval),
		cmocka_unit_test(test_an_end_that_is_told_one_interval_late),
		cmocka_unit_test(test_a_thread_that_is_gone_is_forgotten),
		cmocka_unit_test(test_exec_takes_over_a_tid),
		cmocka_unit_test(test_moved_time_keeps_the_sum),
		cmocka_unit_test(test_moved_time_spreads_over_several_states),
		cmocka_unit_test(test_busy_time_that_is_known_late),
		cmocka_unit_test(test_more_threads_than_are_listed),
		cmocka_unit_test(test_churn),
		cmocka_unit_test(test_an_id_of_another_namespace),
	};

	return cmocka_run_group_tests_name("thread", tests, NULL, NULL);
}
