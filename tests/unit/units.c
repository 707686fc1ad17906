// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "units.h"

static void test_durations(void **state)
{
	static const struct {
		uint64_t ns;
		const char *want;
	} cases[] = {
		{ 0, "0 ns" },
		{ 1, "1 ns" },
		{ 999, "999 ns" },
		{ 1000, "1.00 us" },
		{ 9994, "9.99 us" },
		{ 9996, "10.0 us" },
		{ 99960, "100 us" },
		{ 999499, "999 us" },
		{ 999501, "1.00 ms" },
		{ 999600000, "1.00 s" },
		{ 1240000, "1.24 ms" },
		{ 13200000000, "13.2 s" },
		{ 999499999999, "999 s" },
		{ 1000000000000, "16.7 min" },
		{ 5996000000000, "99.9 min" },
		{ 6000000000000, "1.67 h" },
		{ 359900000000000, "4.17 d" },
		{ UINT64_MAX, "213,504 d" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(DURATION(cases[i].ns), cases[i].want);
}

static void test_durations_have_three_digits_and_nine_columns(void **state)
{
	(void)state;
	for (uint64_t ns = 1; ns < UINT64_MAX / 3; ns += ns / 7 + 1)
		assert_in_range(strlen(DURATION(ns)), 4, 9);
}

static void test_counts(void **state)
{
	(void)state;
	assert_string_equal(COUNT(0, 9), "0");
	assert_string_equal(COUNT(999, 1), "999");
	assert_string_equal(COUNT(1000, 9), "1,000");
	assert_string_equal(COUNT(45012, 9), "45,012");
	assert_string_equal(COUNT(45012, 6), "45,012");
	assert_string_equal(COUNT(45012, 5), "45.0 k");
	assert_string_equal(COUNT(1234567, 9), "1,234,567");
	assert_string_equal(COUNT(12345678, 9), "12.3 M");
	assert_string_equal(COUNT(999600, 6), "1.00 M");
	assert_string_equal(COUNT(UINT64_MAX, 9), "18.4 E");
	assert_string_equal(COUNT(UINT64_MAX, 30), "18,446,744,073,709,551,615");
	for (uint64_t n = 1; n < UINT64_MAX / 3; n += n / 7 + 1)
		assert_in_range(strlen(COUNT(n, 6)), 1, 6);
}

static void test_numbers_and_rates(void **state)
{
	(void)state;
	assert_string_equal(NUMBER(0.0), "0");
	assert_string_equal(NUMBER(0.0001), "<0.01");
	assert_string_equal(NUMBER(0.3), "0.30");
	assert_string_equal(NUMBER(2.1), "2.10");
	assert_string_equal(NUMBER(45.26), "45.3");
	assert_string_equal(NUMBER(4501.2), "4,501");
	assert_string_equal(NUMBER(999999.4), "999,999");
	assert_string_equal(NUMBER(999999.6), "1.00 M");
	assert_string_equal(NUMBER(1e25), "-");
	assert_string_equal(NUMBER(-1.0), "-");
	assert_string_equal(NUMBER(__builtin_nan("")), "-");
	assert_string_equal(NUMBER(__builtin_inf()), "-");
	assert_string_equal(RATE(4501.2), "4,501/s");
	assert_string_equal(RATE(0.0), "0/s");
	assert_string_equal(RATE(__builtin_nan("")), "-");
}

static void test_bytes(void **state)
{
	(void)state;
	assert_string_equal(BYTES(0), "0 B");
	assert_string_equal(BYTES(999), "999 B");
	assert_string_equal(BYTES(1000), "0.98 KiB");
	assert_string_equal(BYTES(1270), "1.24 KiB");
	assert_string_equal(BYTES(25270000), "24.1 MiB");
	assert_string_equal(BYTES(UINT64_MAX), "16.0 EiB");
	for (uint64_t n = 1; n < UINT64_MAX / 3; n += n / 7 + 1)
		assert_in_range(strlen(BYTES(n)), 3, 8);
}

static void test_percents(void **state)
{
	(void)state;
	assert_string_equal(PERCENT(0, 10), "0 %");
	assert_string_equal(PERCENT(0, 0), "-");
	assert_string_equal(PERCENT(5, 0), "-");
	assert_string_equal(PERCENT(-1, 10), "-");
	assert_string_equal(PERCENT(1, 1e9), "<0.1 %");
	assert_string_equal(PERCENT(42, 1000), "4.2 %");
	assert_string_equal(PERCENT(71, 100), "71 %");
	assert_string_equal(PERCENT(99.6, 100), "99.6 %");
	assert_string_equal(PERCENT(99.99, 100), "99.9 %");
	assert_string_equal(PERCENT(100, 100), "100 %");
	assert_string_equal(PERCENT(142, 100), "142 %");
	assert_string_equal(PERCENT(1e18, 1), ">999 %");
}

static void assert_u64(const char *arg, int want_err, uint64_t want)
{
	uint64_t got = 4711;

	assert_int_equal(units__parse_u64(arg, 1, 1000, &got), want_err);
	assert_int_equal(got, want_err ? 4711 : want);
}

static void test_parse_u64(void **state)
{
	uint64_t got;

	(void)state;
	assert_u64("1", 0, 1);
	assert_u64("007", 0, 7);
	assert_u64("1000", 0, 1000);
	assert_u64("0", -ERANGE, 0);
	assert_u64("1001", -ERANGE, 0);
	assert_u64("18446744073709551616", -ERANGE, 0);
	assert_u64("18446744073709551617", -ERANGE, 0);
	assert_u64("99999999999999999999999999", -ERANGE, 0);
	assert_u64("", -EINVAL, 0);
	assert_u64("12abc", -EINVAL, 0);
	assert_u64("99999999999999999999999999x", -EINVAL, 0);
	assert_u64("-1", -EINVAL, 0);
	assert_u64("+1", -EINVAL, 0);
	assert_u64(" 1", -EINVAL, 0);
	assert_u64("1 ", -EINVAL, 0);
	assert_u64("0x10", -EINVAL, 0);
	assert_u64("1.0", -EINVAL, 0);
	assert_u64("1e2", -EINVAL, 0);
	assert_int_equal(units__parse_u64("18446744073709551615", 0, UINT64_MAX, &got), 0);
	assert_true(got == UINT64_MAX);
}

static void assert_seconds(const char *arg, int want_err, uint64_t want_ns)
{
	uint64_t got = 4711;

	assert_int_equal(units__parse_seconds(arg, 1000000, 86400000000000, &got), want_err);
	assert_int_equal(got, want_err ? 4711 : want_ns);
}

static void test_parse_seconds(void **state)
{
	uint64_t got;

	(void)state;
	assert_seconds("10", 0, 10000000000);
	assert_seconds("0.5", 0, 500000000);
	assert_seconds(".25", 0, 250000000);
	assert_seconds("1.000000001", 0, 1000000001);
	assert_seconds("1.0000000010", 0, 1000000001);
	assert_seconds("0.001", 0, 1000000);
	assert_seconds("0.000999999", -ERANGE, 0);
	assert_seconds("1.0000000001", -ERANGE, 0);
	assert_seconds("0", -ERANGE, 0);
	assert_seconds("86400.000000001", -ERANGE, 0);
	assert_seconds("18446744074", -ERANGE, 0);
	assert_seconds("99999999999999999999999", -ERANGE, 0);
	assert_seconds("", -EINVAL, 0);
	assert_seconds(".", -EINVAL, 0);
	assert_seconds("5.", -EINVAL, 0);
	assert_seconds("1.2.3", -EINVAL, 0);
	assert_seconds("1,5", -EINVAL, 0);
	assert_seconds("12abc", -EINVAL, 0);
	assert_seconds("1.5s", -EINVAL, 0);
	assert_seconds("-1", -EINVAL, 0);
	assert_seconds("1e1", -EINVAL, 0);
	assert_seconds("inf", -EINVAL, 0);
	assert_seconds("nan", -EINVAL, 0);
	assert_int_equal(units__parse_seconds("18446744073.709551615", 0, UINT64_MAX, &got), 0);
	assert_true(got == UINT64_MAX);
	assert_int_equal(units__parse_seconds("18446744073.709551616", 0, UINT64_MAX, &got),
			 -ERANGE);
}

static void test_parse_percent(void **state)
{
	double got = 4711;

	(void)state;
	assert_int_equal(units__parse_percent("100.1", 0.1, 100, &got), -ERANGE);
	assert_int_equal(units__parse_percent("0.09", 0.1, 100, &got), -ERANGE);
	assert_int_equal(units__parse_percent("99999999999999999999", 0.1, 100, &got), -ERANGE);
	assert_int_equal(units__parse_percent("5%", 0.1, 100, &got), -EINVAL);
	assert_int_equal(units__parse_percent("", 0.1, 100, &got), -EINVAL);
	assert_true(got == 4711);
	assert_int_equal(units__parse_percent("2.5", 0.1, 100, &got), 0);
	assert_true(got > 0.02499 && got < 0.02501);
	assert_int_equal(units__parse_percent("100", 0.1, 100, &got), 0);
	assert_true(got == 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_durations_have_three_digits_and_nine_columns),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_numbers_and_rates),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_percents),
		cmocka_unit_test(test_parse_u64),
		cmocka_unit_test(test_parse_seconds),
		cmocka_unit_test(test_parse_percent),
	};

	return cmocka_run_group_tests_name("units", tests, NULL, NULL);
}
