// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "pidns.h"

static void test_depth(void **state)
{
	(void)state;
	assert_int_equal(pidns__depth("Name:\tx\nPid:\t7\nNSpid:\t7\nNSpgid:\t7\t1\n"), 1);
	assert_int_equal(pidns__depth("Name:\tx\nNSpid:\t4711\t12\nNSpgid:\t4711\t12\n"), 2);
	assert_int_equal(pidns__depth("Name:\tx\nNSpid:\t4711\t12\t1\n"), 3);
	assert_int_equal(pidns__depth("Name:\tx\nNSpid:\t4711\t12"), 2);
	/* before 4.1, or without namespaces */
	assert_int_equal(pidns__depth("Name:\tx\nPid:\t7\n"), 0);
	assert_int_equal(pidns__depth(""), 0);
}

/* A name may hold what looks like a line, were newlines not escaped in it: \n as two characters. */
static void test_a_name_that_looks_like_it(void **state)
{
	(void)state;
	assert_int_equal(pidns__depth("Name:\t\\nNSpid:\t1\t2\nNSpid:\t9\n"), 1);
}

static void test_own_proc_is_our_own(void **state)
{
	(void)state;
	assert_int_equal(pidns__check_proc(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_a_name_that_looks_like_it),
		cmocka_unit_test(test_own_proc_is_our_own),
	};

	return cmocka_run_group_tests_name("pidns", tests, NULL, NULL);
}
