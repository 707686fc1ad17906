// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "client.h"
#include "host.h"
#include "pool.h"

static void add(struct pools *pools, uint32_t tid, const char *comm, uint32_t requests)
{
	struct tp_rec_thread rec = { .tgid = 1, .tid = tid, .requests = requests, .user_sp = tid * 100 };

	snprintf(rec.comm, sizeof(rec.comm), "%s", comm);
	assert_int_equal(pools__on_thread(pools, &rec), 0);
}

static void test_pools_by_name(void **state)
{
	struct pools *pools = pools__new();
	struct report report = { 0 };
	size_t count;

	(void)state;
	assert_non_null(pools);
	add(pools, 1, "java", 0); /* the first thread */
	for (uint32_t i = 2; i < 12; i++) {
		char name[16];

		snprintf(name, sizeof(name), "pool-1-%u", i);
		add(pools, i, name, i < 4 ? 50 : 0);
	}
	/* Nobody of these serves: it is no pool of the server's. */
	for (uint32_t i = 20; i < 60; i++)
		add(pools, i, "GC Thread", 0);
	pools__report(pools, &report);
	assert_string_equal(report.pool.name, "pool-#-#");
	assert_int_equal(report.pool.threads, 10);
	assert_int_equal(report.pool.unused, 8);
	assert_int_equal(report.pool.requests, 100);
	assert_int_equal(report.pool.stack_bytes, TP_UNKNOWN);
	assert_int_equal(pools__unused_stacks(pools, &count)[0] % 100, 0);
	assert_int_equal(count, 8);
	pools__next(pools);
	memset(&report, 0, sizeof(report));
	pools__report(pools, &report);
	assert_int_equal(report.pool.unused, 0);
	pools__free(pools);
	pools__free(NULL);
}

/* A wait that goes on is told in each interval with what it took of it. */
static void test_clients_that_wait_on(void **state)
{
	struct clients clients = { 0 };
	struct tp_clients totals = { 0 };
	struct tp_rec_thread rec = { .client_wait = TP_CLIENT_SEND, .client_since = 60 };
	struct report report = { 0 };

	(void)state;
	rec.h.ts_ns = 100;
	clients__on_totals(&clients, &totals);
	clients__on_thread(&clients, &rec);
	clients__report(&clients, &report);
	assert_int_equal(report.client_wait_ns[TP_CLIENT_SEND], 40);
	assert_int_equal(report.client_wait_ns[TP_CLIENT_READ], 0);
	clients__next(&clients);
	/* It ended after 70 in all; 40 of them are told. */
	totals.wait_ns[TP_CLIENT_SEND] = 70;
	clients__on_totals(&clients, &totals);
	clients__report(&clients, &report);
	assert_int_equal(report.client_wait_ns[TP_CLIENT_SEND], 30);
	clients__next(&clients);
	clients__on_totals(&clients, &totals);
	clients__report(&clients, &report);
	assert_int_equal(report.client_wait_ns[TP_CLIENT_SEND], 0);
}

static void test_idle_of_the_allowed_cpus(void **state)
{
	static const char text[] = "cpu  9 9 9 999 9 0 0 0 0 0\ncpu0 1 2 3 100 10 0 0 0 0 0\n"
				   "cpu1 1 2 3 200 20 0 0 0 0 0\ncpu3 1 2 3 400 40 0 0 0 0 0\nintr 5 6\nctxt 7\n";
	cpu_set_t cpus;
	uint32_t count;

	(void)state;
	CPU_ZERO(&cpus);
	CPU_SET(1, &cpus);
	CPU_SET(3, &cpus);
	assert_int_equal(host__parse_idle(text, &cpus, &count), 660);
	assert_int_equal(count, 2);
	assert_int_equal(host__parse_idle("", &cpus, &count), 0);
	assert_int_equal(count, 0);
}

static void test_throttled_in_both_versions(void **state)
{
	uint64_t times = 0, ns = 0;

	(void)state;
	host__parse_throttled("usage_usec 10\nnr_periods 4\nnr_throttled 3\nthrottled_usec 2000\n", &times, &ns);
	assert_int_equal(times, 3);
	assert_int_equal(ns, 2000000);
	host__parse_throttled("nr_periods 4\nnr_throttled 2\nthrottled_time 500\n", &times, &ns);
	assert_int_equal(times, 5);
	assert_int_equal(ns, 2000500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pools_by_name),
		cmocka_unit_test(test_clients_that_wait_on),
		cmocka_unit_test(test_idle_of_the_allowed_cpus),
		cmocka_unit_test(test_throttled_in_both_versions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
