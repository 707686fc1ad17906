/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * A log-linear histogram of nanoseconds: every power of two is split into 64 equal buckets, so a
 * bucket is at most 1/64 (1.6 %) as wide as the values in it; values below 64 have a bucket each.
 * Covers 0 … 2^64-1 with memory allocated for the powers of two that occur. Histograms can be added
 * up.
 */
#ifndef THREADPROF_HISTOGRAM_H
#define THREADPROF_HISTOGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_SUB_BITS 6
#define HISTOGRAM_NR_ROWS (64 - HISTOGRAM_SUB_BITS + 1)

struct histogram {
	uint64_t count;
	uint64_t sum; /* saturates at UINT64_MAX */
	uint64_t min; /* meaningless when count is 0 */
	uint64_t max;
	uint64_t *rows
		[HISTOGRAM_NR_ROWS]; /* one row of 64 counts for each power of two; NULL: none */
};

/* An empty histogram needs no set-up beyond zeroed memory. */
#define HISTOGRAM_INIT ((struct histogram){ 0 })

/* Counts @value. Returns 0, or -ENOMEM and counts nothing. */
int histogram__add(struct histogram *h, uint64_t value);

/* The same for @count values. */
int histogram__add_many(struct histogram *h, uint64_t value, uint64_t count);

/* Adds all of @from to @to. Returns 0, or -ENOMEM and adds nothing. */
int histogram__merge(struct histogram *to, const struct histogram *from);

/* The mean, rounded down; 0 when empty. */
uint64_t histogram__mean(const struct histogram *h);

/*
 * The value below or at which @percent (0 < percent ≤ 100) of the values lie: the upper end of the
 * bucket of rank ceil(count·percent/100), but never above the maximum nor below the minimum. 0 when
 * empty.
 */
uint64_t histogram__percentile(const struct histogram *h, double percent);

/*
 * Walks the non-empty buckets in ascending order: returns false at the end, else sets @upper (the
 * largest value the bucket can hold) and @count. Start with *@cursor = 0.
 */
bool histogram__next(const struct histogram *h, size_t *cursor, uint64_t *upper, uint64_t *count);

/* Forgets all values, keeps the memory for the next interval. */
void histogram__reset(struct histogram *h);

/* Gives the memory back; @h is empty and usable afterwards. */
void histogram__free(struct histogram *h);

#endif /* THREADPROF_HISTOGRAM_H */
