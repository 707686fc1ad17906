// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/* Sums and differences of counts that a kernel may not tell. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "report.h"
#include "skipped_runs.h"

static void test_known(void **state)
{
	(void)state;
	assert_int_equal(skipped_runs__add(3, 4), 7);
	assert_int_equal(skipped_runs__since(3, 7), 4);
	assert_int_equal(skipped_runs__since(7, 7), 0);
}

static void test_not_told(void **state)
{
	(void)state;
	assert_true(skipped_runs__add(TP_UNKNOWN, 4) == TP_UNKNOWN);
	assert_true(skipped_runs__add(3, TP_UNKNOWN) == TP_UNKNOWN);
	assert_true(skipped_runs__add(TP_UNKNOWN, TP_UNKNOWN) == TP_UNKNOWN);
	assert_true(skipped_runs__since(TP_UNKNOWN, 7) == TP_UNKNOWN);
	assert_true(skipped_runs__since(3, TP_UNKNOWN) == TP_UNKNOWN);
	assert_true(skipped_runs__since(TP_UNKNOWN, TP_UNKNOWN) == TP_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_not_told),
	};

	return cmocka_run_group_tests_name("skipped_runs", tests, NULL, NULL);
}
