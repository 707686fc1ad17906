// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lock.h"

#define MS 1000000ULL
#define TGID 100
#define MUTEX 0x7f0000001000

static struct locks *new_locks(void)
{
	struct locks *locks = locks__new();

	assert_non_null(locks);
	return locks;
}

/* Waits for a lock that ended. */
static void add_ended(struct locks *locks, uint64_t addr, uint64_t waits, uint64_t wait_ns, uint64_t max_ns,
		      uint32_t owner)
{
	const struct tp_lock_key key = { .addr = addr, .tgid = TGID, .kind = TP_LOCK_MUTEX };
	const struct tp_lock sum = { .waits = waits, .wait_ns = wait_ns, .max_ns = max_ns, .owner_tid = owner };

	assert_int_equal(locks__on_sum(locks, &key, &sum), 0);
}

/* A thread that has been waiting since @since_ns when the interval ends; @addr 0: that waits for none. */
static void add_open(struct locks *locks, uint64_t addr, uint64_t since_ns, uint64_t now_ns, uint32_t owner)
{
	const struct tp_rec_thread rec = {
		.h = { .ts_ns = now_ns },
		.tgid = TGID,
		.tid = 7,
		.lock_kind = TP_LOCK_MUTEX,
		.lock_addr = addr,
		.lock_since = since_ns,
		.lock_owner = owner,
	};

	assert_int_equal(locks__on_thread(locks, &rec), 0);
}

static struct report report_of(struct locks *locks)
{
	struct report report = { 0 };

	assert_int_equal(locks__report(locks, &report), 0);
	assert_true(report.have_locks);
	for (size_t i = 0; i < report.nr_locks; i++) {
		/* nothing that was taken off may have made a number that is below zero */
		assert_true(report.locks[i].wait_ns < UINT64_MAX / 2);
		assert_true(report.locks[i].waits || report.locks[i].wait_ns);
	}
	return report;
}

static void test_no_waits(void **state)
{
	struct locks *locks = new_locks();

	(void)state;
	assert_int_equal(report_of(locks).nr_locks, 0);
	locks__next(locks);
	add_open(locks, 0, 0, 10 * MS, 0);
	assert_int_equal(report_of(locks).nr_locks, 0);
	locks__free(locks);
	locks__free(NULL);
}

static void test_waits_that_ended(void **state)
{
	struct locks *locks = new_locks();
	const struct report_lock *lock;
	struct report report;

	(void)state;
	add_ended(locks, MUTEX, 3, 30 * MS, 20 * MS, 42);
	report = report_of(locks);
	assert_int_equal(report.nr_locks, 1);
	lock = &report.locks[0];
	assert_int_equal(lock->addr, MUTEX);
	assert_int_equal(lock->tgid, TGID);
	assert_int_equal(lock->kind, TP_LOCK_MUTEX);
	assert_int_equal(lock->waits, 3);
	assert_int_equal(lock->wait_ns, 30 * MS);
	assert_int_equal(lock->max_ns, 20 * MS);
	assert_int_equal(lock->owner_tid, 42);
	locks__next(locks);
	assert_int_equal(report_of(locks).nr_locks, 0);
	locks__free(locks);
}

/* 250 ms that begin in one interval and end in the fourth: each says its share, the last one the wait. */
static void test_a_wait_over_several_intervals(void **state)
{
	static const uint64_t ends_ms[] = { 100, 200, 300 };
	const uint64_t since_ms = 80, until_ms = 330;
	struct locks *locks = new_locks();
	uint64_t sum_ns = 0, waits = 0;
	struct report report;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		add_open(locks, MUTEX, since_ms * MS, ends_ms[i] * MS, 42);
		report = report_of(locks);
		assert_int_equal(report.nr_locks, 1);
		assert_int_equal(report.locks[0].wait_ns, (i ? 100 : 20) * MS);
		assert_int_equal(report.locks[0].waits, 0);
		assert_int_equal(report.locks[0].owner_tid, 42);
		/* as long as it has lasted by now */
		assert_int_equal(report.locks[0].max_ns, (ends_ms[i] - since_ms) * MS);
		sum_ns += report.locks[0].wait_ns;
		waits += report.locks[0].waits;
		locks__next(locks);
	}
	add_ended(locks, MUTEX, 1, (until_ms - since_ms) * MS, (until_ms - since_ms) * MS, 42);
	report = report_of(locks);
	assert_int_equal(report.nr_locks, 1);
	assert_int_equal(report.locks[0].wait_ns, 30 * MS);
	assert_int_equal(report.locks[0].max_ns, 250 * MS);
	assert_int_equal(sum_ns + report.locks[0].wait_ns, (until_ms - since_ms) * MS);
	assert_int_equal(waits + report.locks[0].waits, 1);
	locks__next(locks);
	assert_int_equal(report_of(locks).nr_locks, 0);
	locks__free(locks);
}

/* Three threads, of which one ends in time, one goes on and one begins. */
static void test_ended_and_open_waits_of_one_lock(void **state)
{
	struct locks *locks = new_locks();
	struct report report;

	(void)state;
	add_open(locks, MUTEX, 90 * MS, 100 * MS, 0);
	add_open(locks, MUTEX, 95 * MS, 100 * MS, 0);
	assert_int_equal(report_of(locks).locks[0].wait_ns, 15 * MS);
	locks__next(locks);
	add_ended(locks, MUTEX, 1, 30 * MS, 30 * MS, 0); /* the first, at 120 */
	add_open(locks, MUTEX, 95 * MS, 200 * MS, 0);	 /* the second */
	add_open(locks, MUTEX, 150 * MS, 200 * MS, 0);	 /* a third */
	report = report_of(locks);
	assert_int_equal(report.nr_locks, 1);
	assert_int_equal(report.locks[0].waits, 1);
	assert_int_equal(report.locks[0].wait_ns, (20 + 100 + 50) * MS);
	assert_int_equal(report.locks[0].max_ns, 105 * MS);
	locks__free(locks);
}

/* There was no room in the kernel for the sum: what was said before stays said, and is not paid back. */
static void test_a_sum_that_was_lost(void **state)
{
	struct locks *locks = new_locks();

	(void)state;
	add_open(locks, MUTEX, 0, 100 * MS, 0);
	assert_int_equal(report_of(locks).nr_locks, 1);
	locks__next(locks);
	assert_int_equal(report_of(locks).nr_locks, 0);
	locks__next(locks);
	add_ended(locks, MUTEX, 1, 5 * MS, 5 * MS, 0);
	assert_int_equal(report_of(locks).locks[0].wait_ns, 5 * MS);
	add_open(locks, MUTEX, 0, 100 * MS, 0);
	locks__next(locks);
	/* another thread's wait in the interval that should have had the lost one */
	add_ended(locks, MUTEX, 1, 5 * MS, 5 * MS, 0);
	assert_int_equal(report_of(locks).locks[0].waits, 1);
	assert_int_equal(report_of(locks).locks[0].max_ns, 5 * MS);
	locks__free(locks);
}

static void test_what_makes_a_lock_another_lock(void **state)
{
	struct locks *locks = new_locks();
	const struct tp_lock sum = { .waits = 1, .wait_ns = MS, .max_ns = MS };
	const struct tp_lock_key keys[] = {
		{ .addr = MUTEX, .tgid = 1, .kind = TP_LOCK_MUTEX },
		{ .addr = MUTEX, .tgid = 2, .kind = TP_LOCK_MUTEX },
		{ .addr = MUTEX + 4, .tgid = 1, .kind = TP_LOCK_MUTEX },
		{ .addr = MUTEX, .tgid = 1, .kind = TP_LOCK_GIL },
		/* the same as the first, from another epoch */
		{ .addr = MUTEX, .tgid = 1, .kind = TP_LOCK_MUTEX, .epoch = 9 },
	};
	struct report report;

	(void)state;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		assert_int_equal(locks__on_sum(locks, &keys[i], &sum), 0);
	report = report_of(locks);
	assert_int_equal(report.nr_locks, 4);
	assert_int_equal(report.locks[0].waits, 2);
	assert_int_equal(report.locks[0].tgid, 1);
	assert_int_equal(report.locks[0].kind, TP_LOCK_MUTEX);
	assert_int_equal(report.locks[1].waits, 1);
	locks__free(locks);
}

/* The GIL is a mutex and a condition variable of several words; waits of all of them are waits for it. */
static void test_the_words_of_a_gil_are_one_lock(void **state)
{
	struct locks *locks = new_locks();
	const struct tp_lock few = { .waits = 2, .wait_ns = 5 * MS, .max_ns = 4 * MS };
	const struct tp_lock many = { .waits = 3, .wait_ns = 60 * MS, .max_ns = 30 * MS };
	const struct tp_lock_key key = { .addr = MUTEX, .tgid = 1, .kind = TP_LOCK_GIL };
	const struct tp_lock_key next = { .addr = MUTEX + 40, .tgid = 1, .kind = TP_LOCK_GIL };
	const struct tp_lock_key other = { .addr = MUTEX, .tgid = 2, .kind = TP_LOCK_GIL };
	struct report report;

	(void)state;
	assert_int_equal(locks__on_sum(locks, &key, &few), 0);
	assert_int_equal(locks__on_sum(locks, &next, &many), 0);
	assert_int_equal(locks__on_sum(locks, &other, &few), 0);
	report = report_of(locks);
	assert_int_equal(report.nr_locks, 2);
	assert_int_equal(report.locks[0].waits, 5);
	assert_int_equal(report.locks[0].wait_ns, 65 * MS);
	assert_int_equal(report.locks[0].max_ns, 30 * MS);
	assert_int_equal(report.locks[0].addr, MUTEX + 40); /* where most of the waiting is */
	assert_int_equal(report.locks[1].tgid, 2);
	locks__free(locks);
}

static void test_the_longest_come_first_and_the_tail_is_cut(void **state)
{
	const uint64_t total = LOCKS_MAX_LISTED + 20;
	struct locks *locks = new_locks();
	struct report_lock *list;
	struct report report;
	size_t count;

	(void)state;
	for (uint64_t i = 0; i < total; i++)
		add_ended(locks, MUTEX + 64 * i, 1, (i * 7 % total + 1) * MS, MS, 0);
	report = report_of(locks);
	assert_int_equal(report.nr_locks, LOCKS_MAX_LISTED);
	for (size_t i = 0; i < report.nr_locks; i++)
		assert_int_equal(report.locks[i].wait_ns, (total - i) * MS);
	list = locks__list(locks, &count);
	assert_ptr_equal(list, report.locks);
	assert_int_equal(count, report.nr_locks);
	locks__free(locks);
}

static void test_the_last_known_owner_is_kept(void **state)
{
	struct locks *locks = new_locks();

	(void)state;
	add_ended(locks, MUTEX, 1, MS, MS, 42);
	add_open(locks, MUTEX, 0, MS, 0); /* held by nobody we know */
	assert_int_equal(report_of(locks).locks[0].owner_tid, 42);
	locks__free(locks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_waits),
		cmocka_unit_test(test_waits_that_ended),
		cmocka_unit_test(test_a_wait_over_several_intervals),
		cmocka_unit_test(test_ended_and_open_waits_of_one_lock),
		cmocka_unit_test(test_a_sum_that_was_lost),
		cmocka_unit_test(test_what_makes_a_lock_another_lock),
		cmocka_unit_test(test_the_words_of_a_gil_are_one_lock),
		cmocka_unit_test(test_the_longest_come_first_and_the_tail_is_cut),
		cmocka_unit_test(test_the_last_known_owner_is_kept),
	};

	return cmocka_run_group_tests_name("lock", tests, NULL, NULL);
}
