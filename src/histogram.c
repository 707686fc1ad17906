// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "histogram.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ROW_LEN (1u << HISTOGRAM_SUB_BITS)

/*
 * Row 0 holds 0 … 63, row r > 0 the power of two that begins at 2^(r+5); its buckets are 2^(r-1)
 * wide.
 */
static unsigned int value_row(uint64_t value)
{
	if (value < ROW_LEN)
		return 0;
	return 64 - (unsigned int)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;
}

static unsigned int row_shift(unsigned int row)
{
	return row ? row - 1 : 0;
}

static unsigned int value_column(uint64_t value, unsigned int row)
{
	return (unsigned int)(value >> row_shift(row)) & (ROW_LEN - 1);
}

static uint64_t bucket_upper(unsigned int row, unsigned int column)
{
	uint64_t first = row ? (uint64_t)(ROW_LEN + column) << row_shift(row) : column;

	return first + ((1ULL << row_shift(row)) - 1);
}

static uint64_t add_saturated(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static int need_row(struct histogram *h, unsigned int row)
{
	if (!h->rows[row])
		h->rows[row] = calloc(ROW_LEN, sizeof(*h->rows[row]));
	return h->rows[row] ? 0 : -ENOMEM;
}

static void note_extremes(struct histogram *h, uint64_t min, uint64_t max)
{
	if (!h->count || min < h->min)
		h->min = min;
	if (!h->count || max > h->max)
		h->max = max;
}

int histogram__add(struct histogram *h, uint64_t value)
{
	return histogram__add_many(h, value, 1);
}

int histogram__add_many(struct histogram *h, uint64_t value, uint64_t count)
{
	unsigned int row = value_row(value);
	uint64_t sum;
	int err = count ? need_row(h, row) : 0;

	if (err || !count)
		return err;
	note_extremes(h, value, value);
	h->rows[row][value_column(value, row)] += count;
	h->count += count;
	h->sum = add_saturated(h->sum, __builtin_mul_overflow(value, count, &sum) ? UINT64_MAX : sum);
	return 0;
}

int histogram__merge(struct histogram *to, const struct histogram *from)
{
	if (!from->count)
		return 0;
	for (unsigned int row = 0; row < HISTOGRAM_NR_ROWS; row++) {
		int err = from->rows[row] ? need_row(to, row) : 0;

		if (err)
			return err;
	}
	for (unsigned int row = 0; row < HISTOGRAM_NR_ROWS; row++) {
		if (!from->rows[row])
			continue;
		for (unsigned int column = 0; column < ROW_LEN; column++)
			to->rows[row][column] += from->rows[row][column];
	}
	note_extremes(to, from->min, from->max);
	to->count += from->count;
	to->sum = add_saturated(to->sum, from->sum);
	return 0;
}

uint64_t histogram__mean(const struct histogram *h)
{
	return h->count ? h->sum / h->count : 0;
}

/* ceil(count · percent / 100) within 1 … count */
static uint64_t percent_rank(uint64_t count, double percent)
{
	double exact = (double)count * percent / 100.0;
	uint64_t rank;

	if (!(exact > 0))
		return 1;
	if (exact >= (double)count)
		return count;
	rank = (uint64_t)exact;
	if ((double)rank < exact)
		rank++;
	if (rank > count)
		rank = count;
	return rank ? rank : 1;
}

uint64_t histogram__percentile(const struct histogram *h, double percent)
{
	uint64_t upper = 0, count, seen = 0, rank;
	size_t cursor = 0;

	if (!h->count)
		return 0;
	rank = percent_rank(h->count, percent);
	while (histogram__next(h, &cursor, &upper, &count)) {
		seen += count;
		if (seen >= rank)
			break;
	}
	if (upper > h->max)
		return h->max;
	return upper < h->min ? h->min : upper;
}

bool histogram__next(const struct histogram *h, size_t *cursor, uint64_t *upper, uint64_t *count)
{
	while (*cursor < (size_t)HISTOGRAM_NR_ROWS * ROW_LEN) {
		unsigned int row = (unsigned int)(*cursor / ROW_LEN);
		unsigned int column = (unsigned int)(*cursor % ROW_LEN);

		if (!h->rows[row]) {
			*cursor += ROW_LEN - column;
			continue;
		}
		(*cursor)++;
		if (h->rows[row][column]) {
			*upper = bucket_upper(row, column);
			*count = h->rows[row][column];
			return true;
		}
	}
	return false;
}

void histogram__reset(struct histogram *h)
{
	for (unsigned int row = 0; row < HISTOGRAM_NR_ROWS; row++) {
		if (h->rows[row])
			memset(h->rows[row], 0, ROW_LEN * sizeof(*h->rows[row]));
	}
	h->count = 0;
	h->sum = 0;
	h->min = 0;
	h->max = 0;
}

void histogram__free(struct histogram *h)
{
	for (unsigned int row = 0; row < HISTOGRAM_NR_ROWS; row++)
		free(h->rows[row]);
	*h = HISTOGRAM_INIT;
}
