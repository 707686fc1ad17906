// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "units.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

#define NSEC_PER_SEC 1000000000ULL
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* A unit is used for values that, rounded to three digits, are below its limit. */
struct unit {
	double size;
	double limit;
	const char *name;
};

/*
 * The limits are where rounding would show a fourth digit, or more than people read in this unit.
 */
static const struct unit duration_units[] = {
	{ 1e3, 999.5, "us" },	{ 1e6, 999.5, "ms" },	{ 1e9, 999.5, "s" },
	{ 60e9, 99.95, "min" }, { 3600e9, 99.95, "h" }, { 86400e9, 1e300, "d" },
};

static const struct unit count_units[] = {
	{ 1e3, 999.5, "k" },  { 1e6, 999.5, "M" },  { 1e9, 999.5, "G" },
	{ 1e12, 999.5, "T" }, { 1e15, 999.5, "P" }, { 1e18, 1e300, "E" },
};

static const struct unit byte_units[] = {
	{ 0x1p10, 999.5, "KiB" }, { 0x1p20, 999.5, "MiB" }, { 0x1p30, 999.5, "GiB" },
	{ 0x1p40, 999.5, "TiB" }, { 0x1p50, 999.5, "PiB" }, { 0x1p60, 1e300, "EiB" },
};

static void with_commas(char *buf, uint64_t n)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, n);
	int at = 0;

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			buf[at++] = ',';
		buf[at++] = digits[i];
	}
	buf[at] = '\0';
}

static void three_digits(char *buf, double value)
{
	if (value < 9.995)
		snprintf(buf, UNITS_LEN, "%.2f", value);
	else if (value < 99.95)
		snprintf(buf, UNITS_LEN, "%.1f", value);
	else if (value < 1e15)
		with_commas(buf, (uint64_t)(value + 0.5));
	else
		snprintf(buf, UNITS_LEN, "%.3g", value);
}

static void scaled(char *buf, double value, const struct unit *units, size_t nr)
{
	char digits[UNITS_LEN];
	size_t i = 0;

	while (i + 1 < nr && value / units[i].size >= units[i].limit)
		i++;
	three_digits(digits, value / units[i].size);
	snprintf(buf, UNITS_LEN, "%.20s %s", digits, units[i].name);
}

const char *units__duration(char *buf, uint64_t ns)
{
	if (ns < 1000)
		snprintf(buf, UNITS_LEN, "%" PRIu64 " ns", ns);
	else
		scaled(buf, (double)ns, duration_units, ARRAY_SIZE(duration_units));
	return buf;
}

static size_t comma_columns(uint64_t n)
{
	size_t digits = 1;

	while (n >= 10) {
		n /= 10;
		digits++;
	}
	return digits + (digits - 1) / 3;
}

const char *units__count(char *buf, uint64_t n, size_t width)
{
	if (n < 1000 || comma_columns(n) <= width)
		with_commas(buf, n);
	else
		scaled(buf, (double)n, count_units, ARRAY_SIZE(count_units));
	return buf;
}

const char *units__number(char *buf, double value)
{
	/* the negation also catches what is not a number */
	if (!(value >= 0 && value < 1e21))
		snprintf(buf, UNITS_LEN, "-");
	else if (value > 0 && value < 0.005)
		snprintf(buf, UNITS_LEN, "<0.01");
	else if (value <= 0)
		snprintf(buf, UNITS_LEN, "0");
	else if (value < 999999.5)
		three_digits(buf, value);
	else
		scaled(buf, value, count_units, ARRAY_SIZE(count_units));
	return buf;
}

const char *units__rate(char *buf, double per_second)
{
	char number[UNITS_LEN];

	units__number(number, per_second);
	snprintf(buf, UNITS_LEN, "%.20s%s", number, number[0] == '-' ? "" : "/s");
	return buf;
}

const char *units__bytes(char *buf, uint64_t bytes)
{
	if (bytes < 1000)
		snprintf(buf, UNITS_LEN, "%" PRIu64 " B", bytes);
	else
		scaled(buf, (double)bytes, byte_units, ARRAY_SIZE(byte_units));
	return buf;
}

const char *units__percent(char *buf, double part, double whole)
{
	double percent = 100.0 * part / whole;

	if (!(whole > 0 && percent >= 0))
		snprintf(buf, UNITS_LEN, "-");
	else if (percent <= 0)
		snprintf(buf, UNITS_LEN, "0 %%");
	else if (percent < 0.095)
		snprintf(buf, UNITS_LEN, "<0.1 %%");
	else if (percent < 9.95)
		snprintf(buf, UNITS_LEN, "%.1f %%", percent);
	else if (percent < 99.5 || percent >= 100)
		snprintf(buf, UNITS_LEN, percent < 999.5 ? "%.0f %%" : ">999 %%", percent);
	else
		snprintf(buf, UNITS_LEN, "%.1f %%", percent < 99.9 ? percent : 99.9);
	return buf;
}

/*
 * Reads digits at *@arg, sets *@arg behind them. False where the number is too large for 64 bits.
 */
static bool read_digits(const char **arg, uint64_t *out)
{
	bool fits = true;

	*out = 0;
	for (; **arg >= '0' && **arg <= '9'; (*arg)++) {
		uint64_t digit = (uint64_t)(**arg - '0');

		if (__builtin_mul_overflow(*out, (uint64_t)10, out) ||
		    __builtin_add_overflow(*out, digit, out))
			fits = false;
	}
	return fits;
}

int units__parse_u64(const char *arg, uint64_t min, uint64_t max, uint64_t *out)
{
	const char *end = arg;
	uint64_t value;
	bool fits = read_digits(&end, &value);

	if (end == arg || *end)
		return -EINVAL;
	if (!fits || value < min || value > max)
		return -ERANGE;
	*out = value;
	return 0;
}

/* Digits behind a decimal point as nanoseconds; false where they say more than that. */
static bool read_fraction(const char **arg, uint64_t *ns)
{
	uint64_t place = NSEC_PER_SEC / 10;
	bool fits = true;

	*ns = 0;
	for (; **arg >= '0' && **arg <= '9'; (*arg)++) {
		if (!place && **arg != '0')
			fits = false;
		*ns += place * (uint64_t)(**arg - '0');
		place /= 10;
	}
	return fits;
}

int units__parse_seconds(const char *arg, uint64_t min_ns, uint64_t max_ns, uint64_t *out_ns)
{
	const char *end = arg, *fraction;
	uint64_t seconds, ns = 0, total;
	bool fits = read_digits(&end, &seconds);

	if (*end == '.') {
		fraction = ++end;
		fits &= read_fraction(&end, &ns);
		if (end == fraction)
			return -EINVAL;
	}
	if (end == arg || *end)
		return -EINVAL;
	if (!fits || __builtin_mul_overflow(seconds, (uint64_t)NSEC_PER_SEC, &total) ||
	    __builtin_add_overflow(total, ns, &total) || total < min_ns || total > max_ns)
		return -ERANGE;
	*out_ns = total;
	return 0;
}

int units__parse_percent(const char *arg, double min, double max, double *out_ratio)
{
	uint64_t billionths;
	int err = units__parse_seconds(arg, 0, UINT64_MAX, &billionths);
	double percent = billionths / 1e9;

	if (err)
		return err;
	if (percent < min || percent > max)
		return -ERANGE;
	*out_ratio = percent / 100;
	return 0;
}
