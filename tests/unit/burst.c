// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "burst.h"

#define MS 1000000ULL
#define SEC (1000 * MS)
#define MAX_SEEN 64

static const char *const names[] = { "cron", "sh" };

struct seen {
	uint64_t start_ns, end_ns, count, peak, period_ns, jitter_ns, seen, life_count, life_max;
	uint64_t cpu_sum, cpu_count;
	bool continues;
	char exe[32], launcher[32], first[32];
	size_t nr_ancestry;
};

static struct seen seen[MAX_SEEN];
static size_t nr_seen;

static void on_burst(void *context, const struct burst *burst)
{
	struct seen *s = &seen[nr_seen++];

	assert_ptr_equal(context, names);
	assert_true(nr_seen < MAX_SEEN);
	assert_true(burst->peak >= 1 && burst->peak <= burst->count);
	assert_true(burst->start_ns <= burst->end_ns);
	assert_int_equal(burst->life->count, burst->count);
	*s = (struct seen){
		.start_ns = burst->start_ns,
		.end_ns = burst->end_ns,
		.count = burst->count,
		.peak = burst->peak,
		.period_ns = burst->period_ns,
		.jitter_ns = burst->jitter_ns,
		.seen = burst->seen,
		.life_count = burst->life->count,
		.life_max = burst->life->max,
		.cpu_sum = burst->cpu->sum,
		.cpu_count = burst->cpu->count,
		.continues = burst->continues,
		.nr_ancestry = burst->nr_ancestry,
	};
	strcpy(s->exe, burst->exe);
	strcpy(s->launcher, burst->launcher);
	strcpy(s->first, burst->nr_ancestry ? burst->ancestry[0] : "");
}

static struct bursts *new_bursts(uint64_t min)
{
	const struct burst_config config = { .min = min, .window_ns = 2 * SEC };
	struct bursts *bursts = bursts__new(&config);

	assert_non_null(bursts);
	nr_seen = 0;
	return bursts;
}

static void expire(struct bursts *bursts, uint64_t now_ns, bool final)
{
	assert_int_equal(bursts__expire(bursts, now_ns, final, on_burst, (void *)names), 0);
}

static void live(struct bursts *bursts, const char *exe, uint64_t start_ns, uint64_t life_ns,
		 uint64_t cpu_ns)
{
	struct burst_group *group = bursts__enter(bursts, exe, names, 2);

	assert_non_null(group);
	assert_int_equal(bursts__end(group, start_ns, start_ns + life_ns, cpu_ns), 0);
}

static void test_a_burst(void **state)
{
	struct bursts *bursts = new_bursts(10);

	(void)state;
	for (uint64_t i = 0; i < 50; i++)
		live(bursts, "/bin/worker", 100 * SEC + i * MS, 650 * MS, 13 * MS);
	expire(bursts, 101 * SEC, false);
	assert_int_equal(nr_seen, 0); /* more may come */
	expire(bursts, 103 * SEC, false);
	assert_int_equal(nr_seen, 1);
	assert_string_equal(seen[0].exe, "/bin/worker");
	assert_string_equal(seen[0].launcher, "sh");
	assert_string_equal(seen[0].first, "cron");
	assert_int_equal(seen[0].nr_ancestry, 2);
	assert_int_equal(seen[0].count, 50);
	assert_int_equal(seen[0].peak, 50);
	assert_int_equal(seen[0].start_ns, 100 * SEC);
	assert_int_equal(seen[0].end_ns, 100 * SEC + 49 * MS + 650 * MS);
	assert_int_equal(seen[0].life_max, 650 * MS);
	assert_int_equal(seen[0].cpu_sum, 50 * 13 * MS);
	assert_int_equal(seen[0].period_ns, 0);
	assert_false(seen[0].continues);
	expire(bursts, 200 * SEC, true);
	assert_int_equal(nr_seen, 1);
	bursts__free(bursts);
}

static void test_too_few(void **state)
{
	struct bursts *bursts = new_bursts(10);

	(void)state;
	for (uint64_t i = 0; i < 9; i++)
		live(bursts, "/bin/a", i * MS, MS, MS);
	for (uint64_t i = 0; i < 9; i++)
		live(bursts, "/bin/b", i * MS, MS, MS);
	expire(bursts, 100 * SEC, true);
	assert_int_equal(nr_seen, 0);
	bursts__free(bursts);
}

/* Exactly the window is within it, and a nanosecond more is not. */
static void test_window(void **state)
{
	struct bursts *bursts = new_bursts(2);

	(void)state;
	live(bursts, "/bin/in", 10 * SEC, MS, MS);
	live(bursts, "/bin/in", 12 * SEC, MS, MS);
	live(bursts, "/bin/out", 10 * SEC, MS, MS);
	live(bursts, "/bin/out", 12 * SEC + 1, MS, MS);
	expire(bursts, 100 * SEC, true);
	assert_int_equal(nr_seen, 1);
	assert_string_equal(seen[0].exe, "/bin/in");
	bursts__free(bursts);
}

/* What trickles in around a burst is no part of it, and two bursts are two. */
static void test_trickle(void **state)
{
	struct bursts *bursts = new_bursts(10);

	(void)state;
	for (uint64_t i = 0; i < 15; i++)
		live(bursts, "/bin/a", i * 1500 * MS, MS, MS);
	for (uint64_t i = 0; i < 20; i++)
		live(bursts, "/bin/a", 30 * SEC + i * MS, MS, MS);
	for (uint64_t i = 0; i < 12; i++)
		live(bursts, "/bin/a", 40 * SEC + i * MS, MS, MS);
	expire(bursts, 50 * SEC, false);
	assert_int_equal(nr_seen, 2);
	assert_int_equal(seen[0].count, 20);
	assert_int_equal(seen[1].count, 12);
	assert_int_equal(seen[0].start_ns, 30 * SEC);
	assert_int_equal(seen[1].start_ns, 40 * SEC);
	assert_int_equal(seen[1].seen, 2);
	bursts__free(bursts);
}

/* Ends come in another order than starts; the peak counts who lived at the same moment. */
static void test_peak(void **state)
{
	struct bursts *bursts = new_bursts(2);

	(void)state;
	live(bursts, "/bin/a", 2 * SEC, 100 * MS, UINT64_MAX);
	live(bursts, "/bin/a", 2 * SEC + 100 * MS, 300 * MS, 5); /* begins as the first ends */
	live(bursts, "/bin/a", 2 * SEC + 300 * MS, 10 * MS, 6);
	live(bursts, "/bin/a", 1 * SEC, 5 * SEC, 7);
	expire(bursts, 100 * SEC, true);
	assert_int_equal(nr_seen, 1);
	assert_int_equal(seen[0].peak, 3);
	assert_int_equal(seen[0].start_ns, 1 * SEC);
	assert_int_equal(seen[0].end_ns, 6 * SEC);
	assert_int_equal(seen[0].cpu_count, 3);
	assert_int_equal(seen[0].cpu_sum, 18);
	bursts__free(bursts);
}

static void minute(struct bursts *bursts, uint64_t start_ns)
{
	for (uint64_t i = 0; i < 10; i++)
		live(bursts, "/bin/a", start_ns + i * MS, MS, MS);
	expire(bursts, start_ns + 10 * SEC, false);
}

static void test_period(void **state)
{
	struct bursts *bursts = new_bursts(10);

	(void)state;
	minute(bursts, 60 * SEC);
	minute(bursts, 120 * SEC);
	assert_int_equal(seen[1].period_ns, 0); /* two are no period */
	minute(bursts, 180 * SEC + 100 * MS);
	assert_int_equal(nr_seen, 3);
	assert_int_equal(seen[2].period_ns, 60 * SEC + 50 * MS);
	assert_int_equal(seen[2].jitter_ns, 50 * MS);
	minute(bursts, 240 * SEC);
	assert_int_equal(seen[3].period_ns, 60 * SEC);
	assert_int_equal(seen[3].jitter_ns, 100 * MS);
	assert_int_equal(seen[3].seen, 4);
	minute(bursts, 400 * SEC); /* at no fixed time after all */
	assert_int_equal(seen[4].period_ns, 0);
	bursts__free(bursts);
}

/*
 * As long as one of them lives, the burst is not over; but a daemon among them does not hold it
 * up.
 */
static void test_waits_for_the_living(void **state)
{
	struct bursts *bursts = new_bursts(10);
	struct burst_group *group = bursts__enter(bursts, "/bin/a", names, 2);

	(void)state;
	for (uint64_t i = 0; i < 10; i++)
		live(bursts, "/bin/a", SEC + i * MS, MS, MS);
	expire(bursts, 5 * SEC, false);
	assert_int_equal(nr_seen, 0);
	assert_int_equal(bursts__end(group, SEC, 6 * SEC, MS), 0);
	expire(bursts, 6 * SEC, false);
	assert_int_equal(nr_seen, 1);
	assert_int_equal(seen[0].count, 11);

	group = bursts__enter(bursts, "/bin/a", names, 2);
	for (uint64_t i = 0; i < 10; i++)
		live(bursts, "/bin/a", 20 * SEC + i * MS, MS, MS);
	expire(bursts, 29 * SEC, false);
	assert_int_equal(nr_seen, 1);
	expire(bursts, 31 * SEC, false);
	assert_int_equal(nr_seen, 2);
	bursts__leave(group);
	bursts__free(bursts);
}

/*
 * One that goes on for minutes is reported in pieces that look like one burst, not like a period.
 */
static void test_pieces(void **state)
{
	struct bursts *bursts = new_bursts(10);
	uint64_t total = 0;

	(void)state;
	for (uint64_t at = SEC; at < 400 * SEC; at += 50 * MS) {
		live(bursts, "/bin/a", at, 10 * MS, MS);
		expire(bursts, at + 20 * MS, false);
	}
	expire(bursts, 500 * SEC, false);
	assert_true(nr_seen >= 6 && nr_seen <= 8);
	for (size_t i = 0; i < nr_seen; i++) {
		total += seen[i].count;
		assert_int_equal(seen[i].continues, i + 1 < nr_seen);
		assert_int_equal(seen[i].seen, 1);
		assert_int_equal(seen[i].period_ns, 0);
	}
	assert_int_equal(total, 7980);
	bursts__free(bursts);
}

/* Names are compared one by one: a boundary between two of them is not a character. */
static void test_groups_are_apart(void **state)
{
	static const char *const ab_c[] = { "ab", "c" }, *const a_bc[] = { "a", "bc" };
	struct bursts *bursts = new_bursts(2);

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct burst_group *one = bursts__enter(bursts, "/x", i ? ab_c : a_bc, 2);
		struct burst_group *two = bursts__enter(bursts, "/x", names, i);
		struct burst_group *three = bursts__enter(bursts, i ? "/y" : "/z", NULL, 0);

		assert_ptr_not_equal(one, two);
		assert_int_equal(bursts__end(one, SEC, SEC, 0), 0);
		assert_int_equal(bursts__end(two, SEC, SEC, 0), 0);
		assert_int_equal(bursts__end(three, SEC, SEC, 0), 0);
	}
	expire(bursts, 100 * SEC, true);
	assert_int_equal(nr_seen, 0);
	bursts__free(bursts);
}

static void test_deep_ancestry(void **state)
{
	const char *deep[BURST_MAX_ANCESTORS + 8];
	struct bursts *bursts = new_bursts(2);

	(void)state;
	for (size_t i = 0; i < BURST_MAX_ANCESTORS + 8; i++)
		deep[i] = i < 8 ? "old" : "sh";
	for (int i = 0; i < 2; i++) {
		struct burst_group *group =
			bursts__enter(bursts, "/x", deep, BURST_MAX_ANCESTORS + 8);

		assert_int_equal(bursts__end(group, SEC, SEC, 0), 0);
	}
	expire(bursts, 100 * SEC, true);
	assert_int_equal(nr_seen, 1);
	assert_int_equal(seen[0].nr_ancestry, BURST_MAX_ANCESTORS);
	assert_string_equal(seen[0].first, "sh");
	bursts__free(bursts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_burst),
		cmocka_unit_test(test_too_few),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_trickle),
		cmocka_unit_test(test_peak),
		cmocka_unit_test(test_period),
		cmocka_unit_test(test_waits_for_the_living),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_groups_are_apart),
		cmocka_unit_test(test_deep_ancestry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
