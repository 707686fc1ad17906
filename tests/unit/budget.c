// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ALL TP_ALL_DETAILS
#define WITHOUT(detail) (~(1U << (detail)))

/* As many measurements as one judgement takes, and some more. */
#define MANY 40

/* Number of changes in @count measurements of @ratio. */
static int measure(struct budget *budget, double ratio, int count)
{
	int changes = 0;

	for (int i = 0; i < count; i++)
		changes += budget__on_cost(budget, ratio);
	return changes;
}

static int until_change(struct budget *budget, double ratio)
{
	for (int i = 1; i <= 1000; i++) {
		if (budget__on_cost(budget, ratio))
			return i;
	}
	fail_msg("nothing has changed");
	return 0;
}

static void stays_within(void **state)
{
	struct budget budget;

	(void)state;
	budget__init(&budget, 0.05, ALL);
	assert_int_equal(measure(&budget, 0.05, MANY), 0);
	assert_int_equal(budget.details, ALL);
}

static void goes_off_in_order(void **state)
{
	struct budget budget;
	uint32_t left = ALL;

	(void)state;
	budget__init(&budget, 0.05, ALL);
	for (int i = 0; i < TP_NR_DETAILS; i++) {
		until_change(&budget, 0.051);
		left &= WITHOUT(i);
		assert_int_equal(budget.details, left);
	}
	assert_int_equal(measure(&budget, 1, MANY), 0);
	assert_int_equal(budget.details, 0);
}

static void one_peak_is_no_reason(void **state)
{
	struct budget budget;

	(void)state;
	budget__init(&budget, 0.05, ALL);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(measure(&budget, 0.9, 3), 0);
		assert_int_equal(measure(&budget, 0.01, 1), 0);
	}
	assert_int_equal(budget.details, ALL);
}

static void comes_back_in_reverse(void **state)
{
	struct budget budget;

	(void)state;
	budget__init(&budget, 0.05, ALL);
	until_change(&budget, 0.08);
	until_change(&budget, 0.06);
	assert_int_equal(budget.details, ALL & WITHOUT(0) & WITHOUT(1));
	until_change(&budget, 0.001);
	assert_int_equal(budget.details, ALL & WITHOUT(0));
	until_change(&budget, 0.001);
	assert_int_equal(budget.details, ALL);
}

/* What it saved when it went has to fit as well. */
static void needs_room_to_come_back(void **state)
{
	struct budget budget;

	(void)state;
	budget__init(&budget, 0.05, ALL);
	until_change(&budget, 0.07);
	assert_int_equal(measure(&budget, 0.03, MANY), 0); /* 0.04 saved: 0.07 again */
	until_change(&budget, 0.0001 - 0.0001);
	assert_int_equal(budget.details, ALL);
}

static void waits_longer_the_next_time(void **state)
{
	struct budget budget;
	int first, second;

	(void)state;
	budget__init(&budget, 0.05, ALL);
	until_change(&budget, 0.051);
	measure(&budget, 0.051 - 0.02, 4);
	first = until_change(&budget, 0.01);
	until_change(&budget, 0.051); /* too early */
	measure(&budget, 0.051 - 0.02, 4);
	second = until_change(&budget, 0.01);
	assert_true(second > first);
}

static void leaves_off_what_nobody_has(void **state)
{
	struct budget budget;

	(void)state;
	budget__init(&budget, 0.05, ALL & WITHOUT(0));
	until_change(&budget, 0.06);
	assert_int_equal(budget.details, ALL & WITHOUT(0) & WITHOUT(1));
	until_change(&budget, 0);
	assert_int_equal(measure(&budget, 0, MANY), 0);
	assert_int_equal(budget.details, ALL & WITHOUT(0));
}

/* No step is lost on what others have taken away meanwhile. */
static void passes_over_what_is_gone(void **state)
{
	struct budget budget;

	(void)state;
	budget__init(&budget, 0.05, ALL);
	budget__set_possible(&budget, 1, false);
	assert_int_equal(budget.details, ALL & WITHOUT(1));
	until_change(&budget, 0.06);
	assert_int_equal(budget.details, ALL & WITHOUT(0) & WITHOUT(1));
	until_change(&budget, 0.06);
	assert_int_equal(budget.details, ALL & WITHOUT(0) & WITHOUT(1) & WITHOUT(2));
	until_change(&budget, 0);
	until_change(&budget, 0);
	assert_int_equal(budget.details, ALL & WITHOUT(1));
	assert_int_equal(measure(&budget, 0, MANY), 0);
}

static void what_went_for_good_does_not_come_back(void **state)
{
	struct budget budget;

	(void)state;
	budget__init(&budget, 0.05, ALL);
	until_change(&budget, 0.06);
	until_change(&budget, 0.06);
	budget__set_possible(&budget, 1, false);
	until_change(&budget, 0);
	assert_int_equal(budget.details, ALL & WITHOUT(1));
	assert_int_equal(measure(&budget, 0, MANY), 0);
}

/* It is on as soon as others have it again, and a step like any other. */
static void what_others_have_again_is_a_step(void **state)
{
	struct budget budget;

	(void)state;
	budget__init(&budget, 0.05, ALL);
	budget__set_possible(&budget, 1, false);
	until_change(&budget, 0.06);
	budget__set_possible(&budget, 1, true);
	assert_int_equal(budget.details, ALL & WITHOUT(0));
	until_change(&budget, 0.06);
	assert_int_equal(budget.details, ALL & WITHOUT(0) & WITHOUT(1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stays_within),
		cmocka_unit_test(goes_off_in_order),
		cmocka_unit_test(one_peak_is_no_reason),
		cmocka_unit_test(comes_back_in_reverse),
		cmocka_unit_test(needs_room_to_come_back),
		cmocka_unit_test(waits_longer_the_next_time),
		cmocka_unit_test(leaves_off_what_nobody_has),
		cmocka_unit_test(passes_over_what_is_gone),
		cmocka_unit_test(what_went_for_good_does_not_come_back),
		cmocka_unit_test(what_others_have_again_is_a_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
