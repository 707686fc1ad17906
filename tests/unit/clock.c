// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "clock.h"

static void test_offset(void **state)
{
	(void)state;
	assert_int_equal(clock__offset_ns("monotonic           0         0\nboottime            0         0\n"), 0);
	assert_int_equal(clock__offset_ns("monotonic      100000         7\nboottime           12        34\n"),
			 100000000000007);
	assert_int_equal(clock__offset_ns("monotonic          -1 999999999\nboottime           12        34\n"), -1);
	assert_int_equal(clock__offset_ns(""), 0);
	assert_int_equal(clock__offset_ns("boottime           12        34\n"), 0);
	assert_int_equal(clock__offset_ns("monotonic x"), 0);
}

/* Holds where there is no offset, as on the host. */
static void test_clock_runs(void **state)
{
	uint64_t before_ns = clock__ns(CLOCK_MONOTONIC), now_ns = clock__now_ns();

	(void)state;
	assert_true(now_ns >= before_ns && now_ns <= clock__ns(CLOCK_MONOTONIC));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_offset),
		cmocka_unit_test(test_clock_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
