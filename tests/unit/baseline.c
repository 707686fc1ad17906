// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "baseline.h"

#define SEC 1000000000ULL
#define MS 1000000ULL

/* Two intervals, of 100 and 300 requests: lock wait 0.1 ms and 0.233 ms per request, 0.2 ms over both. */
static const char good[] =
	"{\"type\":\"feature\",\"name\":\"requests\"}\n"
	"not JSON at all\n"
	"{\"type\":\"interval\",\"duration_ns\":10000000000,\"requests\":{\"count\":100,\"rate\":10,"
	"\"latency_ns\":{\"p50\":2000000,\"p99\":4000000},\"queue_wait_ns\":null,"
	"\"breakdown_ns\":{\"lock\":10000000}},\"queue\":{\"avg\":0,\"accept_queue\":{\"overflows\":null}}}\n"
	"{\"type\":\"interval\",\"duration_ns\":10000000000,\"requests\":{\"count\":300,\"rate\":30,"
	"\"latency_ns\":{\"p50\":2000000,\"p99\":4000000},\"queue_wait_ns\":null,"
	"\"breakdown_ns\":{\"lock\":70000000}},\"queue\":{\"avg\":0,\"accept_queue\":{\"overflows\":null}}}\n";

static int parse(const char *text, struct baseline **baseline)
{
	FILE *in = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
	int err;

	assert_non_null(in);
	err = baseline__parse(in, "good.jsonl", baseline);
	fclose(in);
	return err;
}

static void fill(struct report *r, struct histogram *latency, uint64_t each_ns, uint64_t lock_ns)
{
	memset(r, 0, sizeof(*r));
	for (int i = 0; i < 200; i++)
		assert_int_equal(histogram__add(latency, each_ns), 0);
	r->duration_ns = 10 * SEC;
	r->have_requests = true;
	r->latency = latency;
	r->part_ns[TP_LOCK] = lock_ns * 200;
}

static void test_what_changed(void **state)
{
	struct baseline *baseline;
	struct histogram latency = { 0 };
	struct report r;

	(void)state;
	assert_int_equal(parse(good, &baseline), 0);
	fill(&r, &latency, 43 * MS, 41 * MS);
	baseline__compare(baseline, &r);
	assert_true(r.have_baseline);
	assert_int_equal(r.nr_changes, 3);
	assert_string_equal(r.changes[0].name, "requests.breakdown_ns.lock");
	assert_string_equal(r.changes[0].text, "lock wait per request 200 us -> 41.0 ms");
	assert_string_equal(r.changes[1].name, "requests.latency_ns.p50");
	assert_string_equal(r.changes[2].name, "requests.latency_ns.p99");
	histogram__free(&latency);
	baseline__free(baseline);
}

/* Twice as much of next to nothing, and what was not measured, are no change. */
static void test_what_did_not(void **state)
{
	struct baseline *baseline;
	struct histogram latency = { 0 };
	struct report r;

	(void)state;
	assert_int_equal(parse(good, &baseline), 0);
	fill(&r, &latency, 3 * MS, MS / 2);
	r.have_accept_queue = true;
	r.accept_overflows = 1000; /* not known before */
	baseline__compare(baseline, &r);
	assert_true(r.have_baseline);
	assert_int_equal(r.nr_changes, 0);
	/* No request now: nothing of them can be said but their rate. */
	histogram__reset(&latency);
	baseline__compare(baseline, &r);
	assert_int_equal(r.nr_changes, 1);
	assert_string_equal(r.changes[0].name, "requests.rate");
	histogram__free(&latency);
	baseline__free(baseline);
}

static void test_what_is_no_baseline(void **state)
{
	struct baseline *baseline = NULL;

	(void)state;
	assert_int_equal(parse("hello\n", &baseline), -EINVAL);
	assert_int_equal(parse("{\"type\":\"process\"}\n[1]\n7\n{\"type\":7}\n", &baseline), -EINVAL);
	assert_int_equal(baseline__read("/nonexistent", &baseline), -ENOENT);
	assert_null(baseline);
	/* An interval that says nothing is one. */
	assert_int_equal(parse("{\"type\":\"interval\",\"requests\":3}\n", &baseline), 0);
	baseline__free(baseline);
	baseline__free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_changed),
		cmocka_unit_test(test_what_did_not),
		cmocka_unit_test(test_what_is_no_baseline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
