// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "json.h"
#include "sample_report.h"

#define FFFD "\xef\xbf\xbd"

/* The one line that was written, parsed strictly; fails if it is not exactly one line of JSON. */
static struct json_object *parsed(char *text, size_t len)
{
	struct json_tokener *tokener = json_tokener_new();
	struct json_object *o;

	assert_true(len > 2);
	assert_int_equal(text[len - 1], '\n');
	assert_ptr_equal(memchr(text, '\n', len), text + len - 1);
	for (size_t i = 0; i < len - 1; i++)
		assert_true((unsigned char)text[i] >= 0x20);
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	o = json_tokener_parse_ex(tokener, text, (int)len);
	assert_int_equal(json_tokener_get_error(tokener), json_tokener_success);
	json_tokener_free(tokener);
	free(text);
	return o;
}

static struct json_object *interval(const struct report *r)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	assert_int_equal(json__write_interval(out, r), 0);
	assert_int_equal(fclose(out), 0);
	return parsed(text, len);
}

static struct json_object *feature(const struct report_feature *f)
{
	const struct timespec time = { 1790000055, 7 };
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	assert_int_equal(json__write_feature(out, f, &time, 99), 0);
	assert_int_equal(fclose(out), 0);
	return parsed(text, len);
}

/* The value at a path like "requests.slow.0.fd"; fails where a field is missing. */
static struct json_object *at(struct json_object *o, const char *path)
{
	char key[64];

	while (*path) {
		size_t len = strcspn(path, ".");

		assert_true(len < sizeof(key));
		memcpy(key, path, len);
		key[len] = '\0';
		path += len + (path[len] == '.');
		if (json_object_is_type(o, json_type_array)) {
			size_t index = strtoul(key, NULL, 10);

			assert_true(index < json_object_array_length(o));
			o = json_object_array_get_idx(o, index);
		} else if (!json_object_object_get_ex(o, key, &o)) {
			fail_msg("there is no \"%s\"", key);
		}
	}
	return o;
}

static void assert_u64(struct json_object *o, const char *path, uint64_t want)
{
	struct json_object *value = at(o, path);

	if (!json_object_is_type(value, json_type_int))
		fail_msg("%s is not an integer", path);
	if (json_object_get_uint64(value) != want)
		fail_msg("%s is %s", path, json_object_to_json_string(value));
}

static void assert_double(struct json_object *o, const char *path, double want)
{
	struct json_object *value = at(o, path);
	double difference = json_object_get_double(value) - want;

	if (!json_object_is_type(value, json_type_double))
		fail_msg("%s is not a double", path);
	if (difference > want * 1e-6 || difference < -want * 1e-6)
		fail_msg("%s is %s", path, json_object_to_json_string(value));
}

static void assert_text(struct json_object *o, const char *path, const char *want)
{
	assert_true(json_object_is_type(at(o, path), json_type_string));
	assert_string_equal(json_object_get_string(at(o, path)), want);
}

static void assert_null_at(struct json_object *o, const char *path)
{
	if (at(o, path))
		fail_msg("%s is not null", path);
}

static void assert_bool(struct json_object *o, const char *path, bool want)
{
	assert_true(json_object_is_type(at(o, path), json_type_boolean));
	assert_int_equal(json_object_get_boolean(at(o, path)), want);
}

static void assert_list(struct json_object *o, const char *path, size_t want)
{
	assert_true(json_object_is_type(at(o, path), json_type_array));
	assert_int_equal(json_object_array_length(at(o, path)), want);
}

static void assert_keys(struct json_object *o, const char *path, const char *const *names,
			size_t nr)
{
	struct json_object *value = at(o, path);

	for (size_t i = 0; i < nr; i++) {
		if (!json_object_object_get_ex(value, names[i], NULL))
			fail_msg("%s has no %s", path, names[i]);
	}
	assert_int_equal(json_object_object_length(value), nr);
}

static void test_record_head(void **state)
{
	struct sample s;
	struct json_object *o;

	(void)state;
	sample__init(&s);
	s.r.nr_pids = 2;
	s.r.partial = true;
	o = interval(&s.r);
	assert_text(o, "type", "interval");
	assert_u64(o, "schema", 1);
	assert_text(o, "time", "2026-09-21T14:14:15.000000007Z");
	assert_u64(o, "mono_ns", 123456789012345);
	assert_u64(o, "duration_ns", 10000000000);
	assert_bool(o, "partial", true);
	assert_list(o, "target.pids", 2);
	assert_u64(o, "target.pids.0", 4242);
	assert_u64(o, "target.pids.1", 4243);
	assert_text(o, "target.comm", "api-server");
	assert_u64(o, "target.threads", 501);
	assert_u64(o, "target.threads_exited", 1);
	json_object_put(o);
	sample__free(&s);
}

static void test_requests_and_queues(void **state)
{
	struct sample s;
	struct json_object *o;

	(void)state;
	sample__init(&s);
	o = interval(&s.r);
	assert_u64(o, "requests.count", 45012);
	assert_double(o, "requests.rate", 4501.2);
	assert_u64(o, "requests.unanswered", 3);
	assert_u64(o, "requests.latency_ns.count", 45012);
	assert_u64(o, "requests.latency_ns.sum", s.latency.sum);
	assert_u64(o, "requests.latency_ns.mean", histogram__mean(&s.latency));
	assert_u64(o, "requests.latency_ns.p50", histogram__percentile(&s.latency, 50));
	assert_u64(o, "requests.latency_ns.p90", histogram__percentile(&s.latency, 90));
	assert_u64(o, "requests.latency_ns.p99", histogram__percentile(&s.latency, 99));
	assert_u64(o, "requests.latency_ns.max", s.latency.max);
	assert_u64(o, "requests.queue_wait_ns.max", s.queue_wait.max);
	assert_keys(o, "requests.breakdown_ns", tp_part_names, TP_NR_PARTS);
	assert_u64(o, "requests.breakdown_ns.lock", 7100000000);
	assert_u64(o, "requests.breakdown_ns.handoff", 290000000);
	assert_u64(o, "connections.accepted", 45015);
	assert_u64(o, "connections.closed", 45012);
	assert_u64(o, "connections.open", 7);
	assert_u64(o, "connections.latency_ns.max", s.conn_latency.max);
	assert_u64(o, "queue.now", 3);
	assert_u64(o, "queue.max", 41);
	assert_double(o, "queue.avg", 2.125);
	assert_u64(o, "queue.accept_queue.now", 12);
	assert_u64(o, "queue.accept_queue.max", 129);
	assert_u64(o, "queue.accept_queue.limit", 128);
	assert_u64(o, "queue.accept_queue.overflows", 12);
	json_object_put(o);
	sample__free(&s);
}

static void test_buckets_add_up(void **state)
{
	struct sample s;
	struct json_object *o, *buckets;
	uint64_t total = 0, last = 0;

	(void)state;
	sample__init(&s);
	o = interval(&s.r);
	buckets = at(o, "requests.latency_ns.buckets");
	for (size_t i = 0; i < json_object_array_length(buckets); i++) {
		struct json_object *pair = json_object_array_get_idx(buckets, i);

		assert_int_equal(json_object_array_length(pair), 2);
		assert_true(json_object_get_uint64(json_object_array_get_idx(pair, 0)) > last);
		last = json_object_get_uint64(json_object_array_get_idx(pair, 0));
		total += json_object_get_uint64(json_object_array_get_idx(pair, 1));
	}
	assert_int_equal(total, 45012);
	assert_true(last >= s.latency.max);
	json_object_put(o);
	sample__free(&s);
}

static void test_slow_requests(void **state)
{
	struct sample s;
	struct json_object *o;

	(void)state;
	sample__init(&s);
	o = interval(&s.r);
	assert_list(o, "requests.slow", 2);
	assert_text(o, "requests.slow.0.time", "2026-09-21T14:14:05.123456789Z");
	assert_u64(o, "requests.slow.0.conn", 0xffff888012345678);
	assert_u64(o, "requests.slow.0.seq", 1);
	assert_u64(o, "requests.slow.0.fd", 27);
	assert_text(o, "requests.slow.0.client", "10.0.0.9:51234");
	assert_u64(o, "requests.slow.0.pid", 4242);
	assert_u64(o, "requests.slow.0.tid", 4250);
	assert_u64(o, "requests.slow.0.write_tid", 4250);
	assert_text(o, "requests.slow.0.comm", "worker-7");
	assert_u64(o, "requests.slow.0.latency_ns", 1300000000);
	assert_u64(o, "requests.slow.0.queue_wait_ns", 12000000);
	assert_u64(o, "requests.slow.0.first_byte_ns", 1290000000);
	assert_keys(o, "requests.slow.0.breakdown_ns", tp_part_names, TP_NR_PARTS);
	assert_u64(o, "requests.slow.0.breakdown_ns.lock", 1200000000);
	assert_u64(o, "requests.slow.0.in_bytes", 120);
	assert_u64(o, "requests.slow.0.out_bytes", 4200);
	assert_null_at(o, "requests.slow.1.queue_wait_ns");
	assert_null_at(o, "requests.slow.1.first_byte_ns");
	assert_null_at(o, "requests.slow.1.client");
	assert_u64(o, "requests.slow.1.write_tid", 4251);
	json_object_put(o);
	sample__free(&s);
}

static void test_threads(void **state)
{
	struct sample s;
	struct json_object *o;

	(void)state;
	sample__init(&s);
	o = interval(&s.r);
	assert_u64(o, "utilization.active", 12);
	assert_u64(o, "utilization.threads", 502);
	assert_double(o, "utilization.ratio", 12.0 / 502);
	assert_double(o, "utilization.busy_ratio", 96.0 / 5020);
	assert_list(o, "threads", SAMPLE_THREADS);
	assert_u64(o, "threads.11.tid", 4253);
	assert_u64(o, "threads.11.pid", 4242);
	assert_text(o, "threads.11.comm", "worker-11");
	assert_bool(o, "threads.11.exited", true);
	assert_bool(o, "threads.0.exited", false);
	assert_u64(o, "threads.0.requests", 3750);
	assert_u64(o, "threads.0.wall_ns", 10000000000);
	assert_u64(o, "threads.0.busy_ns", 8000000000);
	assert_keys(o, "threads.0.state_ns", tp_part_names, TP_NR_STATES);
	assert_u64(o, "threads.0.state_ns.lock", 5900000000);
	assert_u64(o, "threads_rest.count", 490);
	assert_keys(o, "threads_rest.state_ns", tp_part_names, TP_NR_STATES);
	assert_u64(o, "threads_rest.state_ns.cpu", 98000000000);
	json_object_put(o);
	sample__free(&s);
}

static void test_waits(void **state)
{
	struct sample s;
	struct json_object *o;

	(void)state;
	sample__init(&s);
	o = interval(&s.r);
	assert_list(o, "locks", 3);
	assert_text(o, "locks.0.addr", "0x7f12345678c0");
	assert_u64(o, "locks.0.pid", 4242);
	assert_text(o, "locks.0.name", "api-server:work_queue_mutex+0x8");
	assert_text(o, "locks.0.kind", "mutex");
	assert_u64(o, "locks.0.waits", 81234);
	assert_u64(o, "locks.0.wait_ns.count", 81234);
	assert_u64(o, "locks.0.wait_ns.sum", 70100000000);
	assert_u64(o, "locks.0.wait_ns.mean", 70100000000 / 81234);
	assert_u64(o, "locks.0.wait_ns.max", 1210000000);
	assert_null_at(o, "locks.0.wait_ns.p99");
	assert_null_at(o, "locks.0.wait_ns.buckets");
	assert_null_at(o, "locks.0.acquisitions");
	assert_u64(o, "locks.0.timeouts", 3);
	assert_u64(o, "locks.0.interrupted", 0);
	assert_text(o, "locks.0.site", "handle_order(Order&) (orders.cc:112)");
	assert_text(o, "locks.0.stack.0", "__lll_lock_wait (libc.so.6+0x8612b)");
	assert_text(o, "locks.0.stack.1", "handle_order(Order&) (orders.cc:112)");
	assert_u64(o, "locks.0.holders.0.tid", 4250);
	assert_text(o, "locks.0.holders.0.comm", "worker-7");
	assert_u64(o, "locks.0.holders.0.waits", 70000);
	assert_u64(o, "locks.0.holders.0.ns", 63800000000);
	assert_u64(o, "locks.0.holders.0.state_ns.disk", 47850000000);
	assert_null_at(o, "locks.1.site");
	assert_null_at(o, "locks.1.stack");
	assert_null_at(o, "locks.0.contended_ratio");
	assert_null_at(o, "locks.0.latency_ns");
	assert_null_at(o, "lock_probes");
	assert_u64(o, "locks.0.owner_tid", 4250);
	assert_null_at(o, "locks.1.owner_tid");
	assert_null_at(o, "locks.1.name");
	assert_text(o, "locks.1.kind", "gil");
	assert_text(o, "locks.2.addr", "0xffffffffffffff80");
	assert_text(o, "locks.2.kind", "futex");
	assert_null_at(o, "locks.2.wait_ns.mean");
	assert_null_at(o, "locks.2.wait_ns.max");
	assert_list(o, "peers", 2);
	assert_text(o, "peers.1.addr", "unix:/run/redis/redis.sock");
	assert_u64(o, "peers.0.waits", 9120);
	assert_u64(o, "peers.0.wait_ns", 5010000000);
	assert_u64(o, "peers.0.answers", 0);
	assert_u64(o, "peers.1.answers", 40);
	assert_u64(o, "peers.1.answer_ns", 160000000);
	assert_u64(o, "peers.1.unanswered", 2);
	assert_u64(o, "peers.1.unanswered_ns", 7000000);
	assert_list(o, "files", 1);
	assert_text(o, "files.0.name", "access.log");
	assert_u64(o, "files.0.waits", 31);
	assert_u64(o, "files.0.wait_ns", 96000000);
	assert_list(o, "stolen_cpu", 3);
	assert_text(o, "stolen_cpu.0.comm", "cron-report");
	assert_text(o, "stolen_cpu.0.exe", "/usr/bin/php8.2");
	assert_bool(o, "stolen_cpu.0.own", false);
	assert_bool(o, "stolen_cpu.1.own", true);
	assert_u64(o, "stolen_cpu.0.ns", 6200000000);
	assert_null_at(o, "stolen_cpu.2.exe");
	json_object_put(o);
	sample__free(&s);
}

static void test_lock_calls(void **state)
{
	struct histogram length = HISTOGRAM_INIT;
	struct sample s;
	struct json_object *o;

	(void)state;
	sample__init(&s);
	assert_int_equal(histogram__add_many(&length, 63, 1000), 0);
	s.locks[0].calls = (struct report_lock_calls){ .calls = 1000, .failed = 10, .contended = 250, .call_ns = 5000000,
						       .max_ns = 900000, .length = &length };
	s.locks[2].calls = (struct report_lock_calls){ .calls = 1 };
	s.r.lock_probes = (struct report_lock_probes){ .are_asked_for = true, .are_in = true, .calls = 1001,
						       .call_cost_ns = 11000, .cost_ns = 11011000, .reason = "" };
	o = interval(&s.r);
	assert_u64(o, "locks.0.acquisitions", 990);
	assert_u64(o, "locks.0.failed", 10);
	assert_u64(o, "locks.0.contended", 250);
	assert_double(o, "locks.0.contended_ratio", 0.25);
	assert_u64(o, "locks.0.latency_ns.count", 1000);
	assert_u64(o, "locks.0.latency_ns.sum", 5000000);
	assert_u64(o, "locks.0.latency_ns.mean", 5000);
	assert_u64(o, "locks.0.latency_ns.p50", 63);
	assert_u64(o, "locks.0.latency_ns.p99", 63);
	assert_u64(o, "locks.0.latency_ns.max", 900000);
	assert_u64(o, "locks.0.latency_ns.buckets.0.1", 1000);
	assert_null_at(o, "locks.2.latency_ns.p99");
	/* of this one no call was seen */
	assert_null_at(o, "locks.1.acquisitions");
	assert_null_at(o, "locks.1.latency_ns");
	assert_bool(o, "lock_probes.active", true);
	assert_u64(o, "lock_probes.calls", 1001);
	assert_u64(o, "lock_probes.call_cost_ns", 11000);
	assert_u64(o, "lock_probes.cost_ns", 11011000);
	assert_null_at(o, "lock_probes.reason");
	json_object_put(o);
	s.r.lock_probes = (struct report_lock_probes){ .are_asked_for = true, .reason = "the kernel says no" };
	o = interval(&s.r);
	assert_bool(o, "lock_probes.active", false);
	assert_null_at(o, "lock_probes.call_cost_ns");
	assert_null_at(o, "lock_probes.cost_ns");
	assert_text(o, "lock_probes.reason", "the kernel says no");
	json_object_put(o);
	histogram__free(&length);
	sample__free(&s);
}

static void test_losses_and_cost(void **state)
{
	static const char *const names[] = { "ring_buffer",    "conn_map_full",	  "detail_map_full",
					     "thread_storage", "clock_backwards", "unmatched",
					     "lock_calls",     "processes",
					     "skipped_runs",   "reports" };
	struct sample s;
	struct json_object *o;

	(void)state;
	sample__init(&s);
	for (size_t i = 0; i < TP_NR_LOSSES; i++)
		s.r.lost[i] = 100 + i;
	s.r.lost_reports = 7;
	s.r.lost_processes = 8;
	s.r.skipped_runs = 9;
	s.r.lost[TP_LOSS_RING_BUFFER] = UINT64_MAX;
	o = interval(&s.r);
	assert_keys(o, "lost", names, sizeof(names) / sizeof(names[0]));
	assert_u64(o, "lost.ring_buffer", UINT64_MAX);
	assert_u64(o, "lost.conn_map_full", 101);
	assert_u64(o, "lost.detail_map_full", 102);
	assert_u64(o, "lost.thread_storage", 103);
	assert_u64(o, "lost.clock_backwards", 104);
	assert_u64(o, "lost.unmatched", 105);
	assert_u64(o, "lost.lock_calls", 106);
	assert_u64(o, "lost.processes", 8);
	assert_u64(o, "lost.skipped_runs", 9);
	assert_u64(o, "lost.reports", 7);
	assert_u64(o, "overhead.events", 90027);
	assert_u64(o, "overhead.bpf_ns", 120000000);
	assert_u64(o, "overhead.user_cpu_ns", 31000000);
	assert_u64(o, "overhead.memory_bytes", 25270000);
	assert_u64(o, "overhead.rss_bytes", 15270000);
	assert_u64(o, "overhead.map_bytes", 10000000);
	assert_u64(o, "overhead.bpf_request_ns", 120000000 / s.latency.count);
	assert_double(o, "overhead.max_cpu_ratio", 0.05);
	assert_double(o, "overhead.cpu_ratio", (120000000.0 + 31000000) / s.r.duration_ns);
	assert_list(o, "overhead.switched_off", 0);
	assert_null_at(o, "bursts");
	assert_null_at(o, "findings");
	json_object_put(o);
	sample__free(&s);
}

static void test_unmeasured_is_null(void **state)
{
	static const char *const nulls[] = {
		"requests.count",
		"requests.rate",
		"requests.unanswered",
		"requests.latency_ns",
		"requests.queue_wait_ns",
		"requests.breakdown_ns.cpu",
		"requests.breakdown_ns.handoff",
		"requests.slow",
		"connections.accepted",
		"connections.closed",
		"connections.open",
		"connections.latency_ns",
		"queue.now",
		"queue.max",
		"queue.avg",
		"queue.accept_queue.now",
		"queue.accept_queue.max",
		"queue.accept_queue.limit",
		"queue.accept_queue.overflows",
		"utilization.active",
		"utilization.threads",
		"utilization.ratio",
		"utilization.busy_ratio",
		"threads",
		"threads_rest.count",
		"threads_rest.state_ns.idle",
		"locks",
		"peers",
		"files",
		"stolen_cpu",
		"overhead.bpf_ns",
		"overhead.bpf_request_ns",
		"overhead.cpu_ratio",
	};
	struct sample s;
	struct json_object *o;

	(void)state;
	sample__init(&s);
	sample__measure_nothing(&s);
	o = interval(&s.r);
	for (size_t i = 0; i < sizeof(nulls) / sizeof(nulls[0]); i++)
		assert_null_at(o, nulls[i]);
	assert_u64(o, "lost.ring_buffer", 0);
	json_object_put(o);
	sample__free(&s);
}

static void test_threads_without_requests(void **state)
{
	struct sample s;
	struct json_object *o;

	(void)state;
	sample__init(&s);
	s.r.have_requests = false;
	s.r.latency = NULL;
	s.r.queue_wait = NULL;
	s.r.conn_latency = NULL;
	o = interval(&s.r);
	assert_null_at(o, "utilization.active");
	assert_null_at(o, "utilization.busy_ratio");
	assert_u64(o, "utilization.threads", 502);
	assert_null_at(o, "threads.0.requests");
	assert_null_at(o, "threads.0.busy_ns");
	assert_u64(o, "threads.0.state_ns.cpu", 1000000000);
	json_object_put(o);
	sample__free(&s);
}

static void test_what_cost_too_much_is_named(void **state)
{
	struct sample s;
	struct json_object *o;

	(void)state;
	sample__init(&s);
	s.r.details_off = 1U << TP_DETAIL_BREAKDOWN | 1U << TP_DETAIL_THIEVES;
	s.r.have_parts = false;
	o = interval(&s.r);
	assert_list(o, "overhead.switched_off", 2);
	assert_text(o, "overhead.switched_off.0", "request_breakdown");
	assert_text(o, "overhead.switched_off.1", "cpu_thieves");
	assert_null_at(o, "requests.breakdown_ns.cpu");
	assert_u64(o, "requests.slow.0.breakdown_ns.cpu", s.r.slow[0].r.part_ns[TP_CPU]);
	json_object_put(o);
	sample__free(&s);
}

static void test_nothing_happened_is_zero(void **state)
{
	struct sample s;
	struct json_object *o;

	(void)state;
	sample__init(&s);
	sample__happen_nothing(&s);
	o = interval(&s.r);
	assert_u64(o, "requests.count", 0);
	assert_double(o, "requests.rate", 0);
	assert_u64(o, "requests.latency_ns.count", 0);
	assert_null_at(o, "requests.latency_ns.mean");
	assert_null_at(o, "requests.latency_ns.p50");
	assert_null_at(o, "requests.latency_ns.p90");
	assert_null_at(o, "requests.latency_ns.p99");
	assert_null_at(o, "requests.latency_ns.max");
	assert_list(o, "requests.latency_ns.buckets", 0);
	assert_u64(o, "requests.breakdown_ns.lock", 0);
	assert_list(o, "requests.slow", 0);
	assert_u64(o, "queue.accept_queue.overflows", 0);
	assert_double(o, "utilization.ratio", 0);
	assert_list(o, "threads", 0);
	assert_list(o, "locks", 0);
	assert_list(o, "peers", 0);
	assert_list(o, "files", 0);
	assert_list(o, "stolen_cpu", 0);
	json_object_put(o);
	sample__free(&s);
}

static void test_no_division_by_zero(void **state)
{
	struct report r = { .have_requests = true, .have_threads = true };
	struct json_object *o = interval(&r);

	(void)state;
	assert_null_at(o, "requests.rate");
	assert_null_at(o, "requests.count");
	assert_null_at(o, "utilization.ratio");
	assert_null_at(o, "utilization.busy_ratio");
	assert_u64(o, "utilization.threads", 0);
	json_object_put(o);
}

static void test_extreme_numbers_are_exact(void **state)
{
	struct sample s;
	struct json_object *o;

	(void)state;
	sample__init(&s);
	s.r.mono_ns = UINT64_MAX;
	s.r.accepted = UINT64_MAX - 1;
	s.r.part_ns[TP_NET] = 9007199254740993; /* 2^53 + 1 */
	s.r.queue_avg = __builtin_nan("");
	s.r.time = (struct timespec){ INT64_MAX, 0 };
	s.slow[0].r.start_ns = UINT64_MAX;
	s.slow[0].r.fd = -1;
	s.slow[0].start.tv_nsec = 2000000000;
	o = interval(&s.r);
	assert_u64(o, "mono_ns", UINT64_MAX);
	assert_u64(o, "connections.accepted", UINT64_MAX - 1);
	assert_u64(o, "requests.breakdown_ns.net", 9007199254740993);
	assert_null_at(o, "queue.avg");
	assert_null_at(o, "time");
	assert_null_at(o, "requests.slow.0.latency_ns");
	assert_null_at(o, "requests.slow.0.time");
	assert_int_equal(json_object_get_int64(at(o, "requests.slow.0.fd")), -1);
	json_object_put(o);
	sample__free(&s);
}

static void test_hostile_strings(void **state)
{
	struct sample s;
	struct json_object *o;

	(void)state;
	sample__init(&s);
	memset(s.r.comm, 'x', sizeof(s.r.comm)); /* no NUL */
	SAMPLE_TEXT(s.threads[0].comm, "\x1b[2J\"\\\n\x7f");
	SAMPLE_TEXT(s.threads[1].comm, "a\xff\xc3");
	memset(s.locks[0].name, 0xff, sizeof(s.locks[0].name));
	SAMPLE_TEXT(s.thieves[0].exe, "/tmp/\",\"x\":\"</script>");
	SAMPLE_TEXT(s.peers[0].addr, "unix:@\xed\xa0\x80");
	o = interval(&s.r);
	assert_text(o, "target.comm", "xxxxxxxxxxxxxxxx");
	assert_text(o, "threads.0.comm", "\x1b[2J\"\\\n\x7f");
	assert_text(o, "threads.1.comm", "a" FFFD FFFD);
	assert_int_equal(json_object_get_string_len(at(o, "locks.0.name")), 3 * 128);
	assert_text(o, "stolen_cpu.0.exe", "/tmp/\",\"x\":\"</script>");
	assert_text(o, "peers.0.addr", "unix:@" FFFD FFFD FFFD);
	json_object_put(o);
	sample__free(&s);
}

static void test_feature(void **state)
{
	struct report_feature f = { .name = "locks",
				    .state = "off",
				    .reason = "no \"futex\"",
				    .remedy = "use a kernel \xff" };
	struct json_object *o = feature(&f);

	(void)state;
	assert_text(o, "type", "feature");
	assert_u64(o, "schema", 1);
	assert_text(o, "time", "2026-09-21T14:14:15.000000007Z");
	assert_u64(o, "mono_ns", 99);
	assert_text(o, "name", "locks");
	assert_text(o, "state", "off");
	assert_text(o, "reason", "no \"futex\"");
	assert_text(o, "remedy", "use a kernel " FFFD);
	json_object_put(o);

	f.reason = NULL;
	f.remedy = "";
	o = feature(&f);
	assert_null_at(o, "reason");
	assert_null_at(o, "remedy");
	json_object_put(o);
}

static void test_failed_write_is_reported(void **state)
{
	FILE *full = fopen("/dev/full", "w");
	struct sample s;

	(void)state;
	assert_non_null(full);
	setvbuf(full, NULL, _IONBF, 0);
	sample__init(&s);
	assert_int_equal(json__write_interval(full, &s.r), -ENOSPC);
	fclose(full);
	sample__free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_record_head),
		cmocka_unit_test(test_requests_and_queues),
		cmocka_unit_test(test_buckets_add_up),
		cmocka_unit_test(test_slow_requests),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_waits),
		cmocka_unit_test(test_lock_calls),
		cmocka_unit_test(test_losses_and_cost),
		cmocka_unit_test(test_unmeasured_is_null),
		cmocka_unit_test(test_threads_without_requests),
		cmocka_unit_test(test_what_cost_too_much_is_named),
		cmocka_unit_test(test_nothing_happened_is_zero),
		cmocka_unit_test(test_no_division_by_zero),
		cmocka_unit_test(test_extreme_numbers_are_exact),
		cmocka_unit_test(test_hostile_strings),
		cmocka_unit_test(test_feature),
		cmocka_unit_test(test_failed_write_is_reported),
	};

	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
