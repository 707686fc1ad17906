// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "histogram.h"

/* What holds for every histogram, whatever was done to it. */
static void assert_sane(const struct histogram *h)
{
	uint64_t upper, count, total = 0, last = 0, first_upper = 0;
	size_t cursor = 0;
	bool any = false;

	while (histogram__next(h, &cursor, &upper, &count)) {
		assert_true(count > 0);
		if (any)
			assert_true(upper > last);
		else
			first_upper = upper;
		any = true;
		last = upper;
		total += count;
	}
	assert_int_equal(total, h->count);
	assert_int_equal(any, h->count > 0);
	if (any) {
		assert_true(h->min <= h->max);
		assert_true(h->min <= first_upper);
		assert_true(h->max <= last);
	}
}

static void add(struct histogram *h, uint64_t value)
{
	assert_int_equal(histogram__add(h, value), 0);
}

static void test_empty(void **state)
{
	struct histogram h = HISTOGRAM_INIT;
	uint64_t upper, count;
	size_t cursor = 0;

	(void)state;
	assert_int_equal(histogram__mean(&h), 0);
	assert_int_equal(histogram__percentile(&h, 50), 0);
	assert_int_equal(histogram__percentile(&h, 100), 0);
	assert_false(histogram__next(&h, &cursor, &upper, &count));
	assert_sane(&h);
	histogram__free(&h);
}

static void test_zero_is_a_value(void **state)
{
	struct histogram h = HISTOGRAM_INIT;
	uint64_t upper = 1, count = 0;
	size_t cursor = 0;

	(void)state;
	add(&h, 0);
	assert_int_equal(h.count, 1);
	assert_int_equal(h.min, 0);
	assert_int_equal(h.max, 0);
	assert_true(histogram__next(&h, &cursor, &upper, &count));
	assert_int_equal(upper, 0);
	assert_int_equal(count, 1);
	assert_sane(&h);
	histogram__free(&h);
}

static void assert_alone(uint64_t value)
{
	struct histogram h = HISTOGRAM_INIT;
	uint64_t upper, count, more;
	size_t cursor = 0;

	add(&h, value);
	assert_true(histogram__next(&h, &cursor, &upper, &count));
	assert_int_equal(count, 1);
	assert_true(upper >= value);
	assert_true(upper - value <= value / 64);
	assert_false(histogram__next(&h, &cursor, &more, &count));
	/* the upper end is in the same bucket, the value after it is not */
	add(&h, upper);
	cursor = 0;
	assert_true(histogram__next(&h, &cursor, &more, &count));
	assert_int_equal(count, 2);
	if (upper < UINT64_MAX) {
		add(&h, upper + 1);
		cursor = 0;
		assert_true(histogram__next(&h, &cursor, &more, &count));
		assert_int_equal(count, 2);
	}
	assert_sane(&h);
	histogram__free(&h);
}

static void test_buckets_are_narrow_and_seamless(void **state)
{
	(void)state;
	for (uint64_t value = 0; value < 1000; value++)
		assert_alone(value);
	for (unsigned int bit = 6; bit < 64; bit++) {
		assert_alone((1ULL << bit) - 1);
		assert_alone(1ULL << bit);
		assert_alone((1ULL << bit) + 1);
		assert_alone((1ULL << bit) + (1ULL << (bit - 1)) + 12345 % (1ULL << (bit - 1)));
	}
	assert_alone(UINT64_MAX - 1);
	assert_alone(UINT64_MAX);
}

static void test_small_values_are_exact(void **state)
{
	struct histogram h = HISTOGRAM_INIT;

	(void)state;
	for (uint64_t value = 1; value <= 100; value++)
		add(&h, value);
	assert_int_equal(histogram__percentile(&h, 1), 1);
	assert_int_equal(histogram__percentile(&h, 50), 50);
	assert_int_equal(histogram__percentile(&h, 50.5), 51);
	assert_int_equal(histogram__percentile(&h, 90), 90);
	assert_int_equal(histogram__percentile(&h, 99), 99);
	assert_int_equal(histogram__percentile(&h, 100), 100);
	assert_int_equal(histogram__mean(&h), 50);
	assert_int_equal(h.sum, 5050);
	assert_sane(&h);
	histogram__free(&h);
}

static void test_rank_is_not_pushed_up_by_rounding(void **state)
{
	struct histogram h = HISTOGRAM_INIT;

	(void)state;
	for (int i = 0; i < 999; i++)
		add(&h, 1);
	add(&h, 60);
	assert_int_equal(histogram__percentile(&h, 99.9), 1);
	assert_int_equal(histogram__percentile(&h, 99.91), 60);
	histogram__free(&h);
}

static void test_percentile_stays_within_min_and_max(void **state)
{
	struct histogram h = HISTOGRAM_INIT;

	(void)state;
	add(&h, 1000000);
	assert_int_equal(histogram__percentile(&h, 0.001), 1000000);
	assert_int_equal(histogram__percentile(&h, 50), 1000000);
	assert_int_equal(histogram__percentile(&h, 100), 1000000);
	add(&h, 2000000);
	/* upper end of the lower bucket: more than the value by at most 1/64 */
	assert_in_range(histogram__percentile(&h, 50), 1000000, 1015625);
	assert_int_equal(histogram__percentile(&h, 51), 2000000);
	histogram__free(&h);
}

static void test_percentiles_of_a_million(void **state)
{
	struct histogram h = HISTOGRAM_INIT;
	const double percents[] = { 1, 10, 50, 90, 99, 99.9 };

	(void)state;
	for (uint64_t i = 1; i <= 1000000; i++)
		add(&h, i * 1000);
	for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
		double exact = percents[i] * 10000000.0;
		double got = (double)histogram__percentile(&h, percents[i]);

		assert_true(got >= exact * 0.999999);
		assert_true(got <= exact * (1 + 1.0 / 64));
	}
	assert_int_equal(histogram__mean(&h), 500000500);
	assert_sane(&h);
	histogram__free(&h);
}

static void test_sum_saturates(void **state)
{
	struct histogram h = HISTOGRAM_INIT;

	(void)state;
	add(&h, UINT64_MAX);
	add(&h, UINT64_MAX);
	add(&h, 7);
	assert_true(h.sum == UINT64_MAX);
	assert_true(h.max == UINT64_MAX);
	assert_int_equal(h.min, 7);
	assert_true(histogram__percentile(&h, 100) == UINT64_MAX);
	assert_sane(&h);
	histogram__free(&h);
}

static void test_merge_equals_adding(void **state)
{
	struct histogram a = HISTOGRAM_INIT, b = HISTOGRAM_INIT, all = HISTOGRAM_INIT;
	uint64_t upper_a, upper_b, count_a, count_b;
	size_t cursor_a = 0, cursor_b = 0;

	(void)state;
	for (uint64_t i = 0; i < 5000; i++) {
		uint64_t value = i * i * i * 977;

		add(i % 3 ? &a : &b, value);
		add(&all, value);
	}
	assert_int_equal(histogram__merge(&a, &b), 0);
	assert_int_equal(a.count, all.count);
	assert_int_equal(a.sum, all.sum);
	assert_int_equal(a.min, all.min);
	assert_int_equal(a.max, all.max);
	while (histogram__next(&all, &cursor_b, &upper_b, &count_b)) {
		assert_true(histogram__next(&a, &cursor_a, &upper_a, &count_a));
		assert_int_equal(upper_a, upper_b);
		assert_int_equal(count_a, count_b);
	}
	assert_false(histogram__next(&a, &cursor_a, &upper_a, &count_a));
	assert_sane(&a);
	histogram__free(&a);
	histogram__free(&b);
	histogram__free(&all);
}

static void test_merge_with_empty_changes_nothing(void **state)
{
	struct histogram a = HISTOGRAM_INIT, empty = HISTOGRAM_INIT;

	(void)state;
	add(&a, 500);
	add(&empty, 3);
	histogram__reset(&empty);
	assert_int_equal(histogram__merge(&a, &empty), 0);
	assert_int_equal(a.count, 1);
	assert_int_equal(a.min, 500);
	assert_int_equal(histogram__merge(&empty, &a), 0);
	assert_int_equal(empty.count, 1);
	assert_int_equal(empty.min, 500);
	assert_int_equal(empty.max, 500);
	assert_sane(&empty);
	histogram__free(&a);
	histogram__free(&empty);
}

static void test_reset_forgets_and_keeps_memory(void **state)
{
	struct histogram h = HISTOGRAM_INIT;
	uint64_t *row;

	(void)state;
	add(&h, 5);
	add(&h, 1000000);
	row = h.rows[0];
	histogram__reset(&h);
	assert_sane(&h);
	assert_int_equal(h.count, 0);
	assert_int_equal(h.sum, 0);
	assert_int_equal(h.min, 0);
	assert_int_equal(h.max, 0);
	assert_ptr_equal(h.rows[0], row);
	add(&h, 70);
	assert_int_equal(h.min, 70);
	assert_int_equal(h.max, 70);
	assert_int_equal(histogram__percentile(&h, 50), 70);
	assert_sane(&h);
	histogram__free(&h);
	assert_null(h.rows[0]);
	add(&h, 1);
	assert_int_equal(h.count, 1);
	histogram__free(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_zero_is_a_value),
		cmocka_unit_test(test_buckets_are_narrow_and_seamless),
		cmocka_unit_test(test_small_values_are_exact),
		cmocka_unit_test(test_rank_is_not_pushed_up_by_rounding),
		cmocka_unit_test(test_percentile_stays_within_min_and_max),
		cmocka_unit_test(test_percentiles_of_a_million),
		cmocka_unit_test(test_sum_saturates),
		cmocka_unit_test(test_merge_equals_adding),
		cmocka_unit_test(test_merge_with_empty_changes_nothing),
		cmocka_unit_test(test_reset_forgets_and_keeps_memory),
	};

	return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}
