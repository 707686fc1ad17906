// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lock.h"
#include "lock_call.h"

#define MS 1000000ULL
#define TGID 100
#define MUTEX 0x7f0000001000

/* What the scheduler saw. */
static const struct report_lock waited[] = {
	{ .addr = MUTEX, .tgid = TGID, .kind = TP_LOCK_MUTEX, .waits = 5, .wait_ns = 50 * MS, .max_ns = 20 * MS,
	  .owner_tid = 7, .name = "kept" },
	{ .addr = MUTEX, .tgid = TGID + 1, .kind = TP_LOCK_MUTEX, .waits = 1, .wait_ns = 4 * MS },
};

static struct report new_report(void)
{
	return (struct report){ .have_locks = true, .locks = waited, .nr_locks = 2 };
}

static void add(struct lock_calls *calls, uint64_t addr, uint32_t epoch, struct tp_lock_calls sum)
{
	const struct tp_lock_key key = { .addr = addr, .tgid = TGID, .kind = TP_LOCK_MUTEX, .epoch = epoch };

	assert_int_equal(lock_calls__on_sum(calls, &key, &sum), 0);
}

/* Three calls slept four times inside; the fifth wait was in no call. */
static const struct tp_lock_calls three_contended = {
	.calls = 10, .failed = 2, .call_ns = 47 * MS, .max_ns = 22 * MS,
	.contended = 3, .contended_ns = 45 * MS, .seen_waits = 4, .seen_wait_ns = 44 * MS,
};

static void test_without_calls_nothing_changes(void **state)
{
	struct lock_calls *calls = lock_calls__new();
	struct report report = new_report();
	size_t count;

	(void)state;
	assert_int_equal(lock_calls__report(calls, &report), 0);
	assert_ptr_equal(report.locks, waited);
	assert_int_equal(report.nr_locks, 2);
	assert_null(lock_calls__list(calls, &count));
	lock_calls__free(calls);
}

static void test_a_wait_counts_once(void **state)
{
	struct lock_calls *calls = lock_calls__new();
	struct report report = new_report();

	(void)state;
	add(calls, MUTEX, 1, three_contended);
	assert_int_equal(lock_calls__report(calls, &report), 0);
	assert_int_equal(report.nr_locks, 2);
	assert_int_equal(report.locks[0].waits, 4);
	assert_int_equal(report.locks[0].wait_ns, 51 * MS);
	assert_int_equal(report.locks[0].max_ns, 22 * MS);
	assert_int_equal(report.locks[0].owner_tid, 7);
	assert_string_equal(report.locks[0].name, "kept");
	assert_int_equal(report.locks[0].calls.calls, 10);
	assert_int_equal(report.locks[0].calls.failed, 2);
	assert_int_equal(report.locks[0].calls.contended, 3);
	assert_int_equal(report.locks[0].calls.call_ns, 47 * MS);
	/* the same address in another process is another lock */
	assert_int_equal(report.locks[1].tgid, TGID + 1);
	assert_int_equal(report.locks[1].wait_ns, 4 * MS);
	assert_int_equal(report.locks[1].calls.calls, 0);
	lock_calls__free(calls);
}

static void test_locks_that_were_always_free(void **state)
{
	struct lock_calls *calls = lock_calls__new();
	struct report report = new_report();
	size_t count;

	(void)state;
	add(calls, 0x2000, 1, (struct tp_lock_calls){ .calls = 3, .call_ns = 30, .max_ns = 20 });
	add(calls, 0x1000, 1, (struct tp_lock_calls){ .calls = 9, .call_ns = 90, .max_ns = 10 });
	assert_int_equal(lock_calls__report(calls, &report), 0);
	assert_int_equal(report.nr_locks, 4);
	/* after those that were waited for, the busiest first */
	assert_int_equal(report.locks[2].addr, 0x1000);
	assert_int_equal(report.locks[2].calls.calls, 9);
	assert_int_equal(report.locks[2].max_ns, 0);
	assert_true(report.locks[2].timeouts == TP_UNKNOWN);
	assert_int_equal(report.locks[3].addr, 0x2000);
	assert_ptr_equal(lock_calls__list(calls, &count), report.locks);
	assert_int_equal(count, 4);
	lock_calls__next(calls);
	assert_null(lock_calls__list(calls, &count));
	report = new_report();
	assert_int_equal(lock_calls__report(calls, &report), 0);
	assert_ptr_equal(report.locks, waited);
	lock_calls__free(calls);
}

/* A sum may come late, when the interval has its next number. */
static void test_sums_of_two_epochs_are_one(void **state)
{
	struct lock_calls *calls = lock_calls__new();
	struct report report = { .have_locks = true };

	(void)state;
	add(calls, MUTEX, 1, three_contended);
	add(calls, 0x1000, 1, (struct tp_lock_calls){ .calls = 1 });
	add(calls, MUTEX, 2, three_contended);
	assert_int_equal(lock_calls__report(calls, &report), 0);
	assert_int_equal(report.nr_locks, 2);
	assert_int_equal(report.locks[0].addr, MUTEX);
	assert_int_equal(report.locks[0].calls.calls, 20);
	assert_int_equal(report.locks[0].calls.contended, 6);
	assert_int_equal(report.locks[0].calls.max_ns, 22 * MS);
	/* more taken off than there is: the scheduler's share was in the interval before */
	assert_int_equal(report.locks[0].waits, 0);
	assert_int_equal(report.locks[0].wait_ns, 2 * MS);
	lock_calls__free(calls);
}

static void add_length(struct lock_calls *calls, uint64_t addr, uint32_t epoch, uint64_t ns, uint64_t count)
{
	const struct tp_lock_length_key key = {
		.addr = addr, .length_ns = ns, .tgid = TGID, .kind = TP_LOCK_MUTEX, .epoch = epoch,
	};

	assert_int_equal(lock_calls__on_length(calls, &key, count), 0);
}

static void test_lengths_of_two_epochs_are_one_histogram(void **state)
{
	struct lock_calls *calls = lock_calls__new();
	struct report report = { .have_locks = true };
	const struct histogram *length;

	(void)state;
	add(calls, MUTEX, 1, (struct tp_lock_calls){ .calls = 100, .call_ns = 3 * MS, .max_ns = 1005000 });
	add(calls, 0x1000, 1, (struct tp_lock_calls){ .calls = 1, .call_ns = 10 });
	add_length(calls, MUTEX, 1, 20, 90);
	add_length(calls, MUTEX, 2, 20, 8);
	add_length(calls, MUTEX, 2, 999424, 2);
	add_length(calls, 0x3000, 2, 5, 1);
	assert_int_equal(lock_calls__report(calls, &report), 0);
	assert_int_equal(report.locks[0].addr, MUTEX);
	length = report.locks[0].calls.length;
	assert_non_null(length);
	assert_int_equal(length->count, 100);
	assert_int_equal(histogram__percentile(length, 98), 20);
	assert_int_equal(histogram__percentile(length, 99), 1005000);
	assert_int_equal(length->max, 1005000);
	assert_null(report.locks[1].calls.length);
	/* nothing of it is left for the next interval */
	lock_calls__next(calls);
	report = (struct report){ .have_locks = true };
	add(calls, MUTEX, 3, (struct tp_lock_calls){ .calls = 1, .max_ns = 7 });
	add_length(calls, MUTEX, 3, 7, 1);
	assert_int_equal(lock_calls__report(calls, &report), 0);
	assert_int_equal(report.locks[0].calls.length->count, 1);
	assert_int_equal(report.locks[0].calls.length->max, 7);
	lock_calls__free(calls);
}

/* What belongs to no call that there was is left out whole, and said to be missing. */
static void test_a_sum_that_cannot_be(void **state)
{
	static const struct tp_lock_calls sums[] = {
		{ .calls = 2, .call_ns = -3 * MS, .contended = 1, .contended_ns = 5 * MS },
		{ .calls = 2, .call_ns = 9 * MS, .max_ns = -1 * MS },
		{ .calls = 2, .call_ns = 9 * MS, .contended = 1, .contended_ns = -60 * MS },
		{ .calls = 2, .call_ns = 9 * MS, .contended = 1, .contended_ns = 9 * MS, .seen_wait_ns = -1 * MS },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++) {
		struct lock_calls *calls = lock_calls__new();
		struct report report = new_report();

		report.lost[TP_LOSS_LOCK_CALL] = 1;
		add(calls, MUTEX, 1, sums[i]);
		add(calls, 0x1000, 1, (struct tp_lock_calls){ .calls = 1, .call_ns = 7 });
		assert_int_equal(lock_calls__report(calls, &report), 0);
		assert_int_equal(report.lost[TP_LOSS_LOCK_CALL], 3);
		assert_int_equal(report.nr_locks, 3);
		assert_int_equal(report.locks[0].wait_ns, 50 * MS);
		assert_int_equal(report.locks[0].calls.calls, 0);
		assert_int_equal(report.locks[2].calls.calls, 1);
		lock_calls__next(calls);
		report = new_report();
		assert_int_equal(lock_calls__report(calls, &report), 0);
		assert_int_equal(report.lost[TP_LOSS_LOCK_CALL], 0);
		lock_calls__free(calls);
	}
}

static void test_the_list_is_bounded(void **state)
{
	struct lock_calls *calls = lock_calls__new();
	struct report report = { .have_locks = true };

	(void)state;
	for (uint64_t i = 1; i <= 5000; i++)
		add(calls, 64 * i, 1, (struct tp_lock_calls){ .calls = i, .call_ns = i });
	assert_int_equal(lock_calls__report(calls, &report), 0);
	assert_int_equal(report.nr_locks, LOCKS_MAX_LISTED);
	assert_int_equal(report.locks[0].calls.calls, 5000);
	assert_int_equal(report.locks[LOCKS_MAX_LISTED - 1].calls.calls, 5001 - LOCKS_MAX_LISTED);
	lock_calls__free(calls);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_calls_nothing_changes),
		cmocka_unit_test(test_a_wait_counts_once),
		cmocka_unit_test(test_locks_that_were_always_free),
		cmocka_unit_test(test_sums_of_two_epochs_are_one),
		cmocka_unit_test(test_lengths_of_two_epochs_are_one_histogram),
		cmocka_unit_test(test_a_sum_that_cannot_be),
		cmocka_unit_test(test_the_list_is_bounded),
	};

	return cmocka_run_group_tests_name("lock_call", tests, NULL, NULL);
}
