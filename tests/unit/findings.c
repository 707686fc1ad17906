// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "finding_rule.h"
#include "findings.h"

#define SEC 1000000000ULL
#define MS 1000000ULL

/* A server with two busy threads, 1000 requests in 10 s, 10 ms each. */
struct fixture {
	struct report r;
	struct histogram latency;
	struct report_thread threads[2];
	struct report_lock lock;
	struct report_peer peer;
	struct report_file file;
	struct report_thief thieves[2];
	struct report_burst burst;
	struct report_feature feature;
	struct report_request slow;
	struct findings *findings;
};

static void set_parts(struct fixture *f, int part, uint64_t percent)
{
	memset(f->r.part_ns, 0, sizeof(f->r.part_ns));
	memset(f->r.state_ns, 0, sizeof(f->r.state_ns));
	f->r.part_ns[part] = 10 * SEC * percent / 100;
	f->r.part_ns[TP_CPU] += 10 * SEC * (100 - percent) / 100;
	for (int i = 0; i < TP_NR_STATES; i++)
		f->r.state_ns[i] = f->r.part_ns[i];
}

static void init(struct fixture *f)
{
	struct report *r = &f->r;

	memset(f, 0, sizeof(*f));
	for (int i = 0; i < 1000; i++)
		assert_int_equal(histogram__add(&f->latency, 10 * MS), 0);
	r->mono_ns = 100 * SEC;
	r->duration_ns = 10 * SEC;
	r->have_requests = r->have_threads = r->have_locks = r->have_peers = r->have_thieves = true;
	r->have_accept_queue = r->have_bursts = true;
	r->latency = &f->latency;
	for (int i = 0; i < 2; i++)
		f->threads[i] = (struct report_thread){ .tid = 10 + i, .tgid = 9, .comm = "worker", .requests = 500,
							.wall_ns = 10 * SEC, .busy_ns = 5 * SEC };
	r->threads = f->threads;
	r->nr_listed = r->nr_threads = 2;
	r->busy_ns = 10 * SEC;
	r->wall_ns = 20 * SEC;
	r->host = (struct report_host){ .known = true, .cpus = 4, .idle_ns = 30 * SEC };
	r->events = 2000;
	f->lock = (struct report_lock){ .kind = TP_LOCK_MUTEX, .name = "big_lock", .waits = 800, .owner_tid = 11 };
	f->peer = (struct report_peer){ .addr = "10.0.0.1:5432", .waits = 1000 };
	f->file = (struct report_file){ .name = "journal (8:1)", .waits = 1000 };
	f->thieves[0] = (struct report_thief){ .comm = "sh", .exe = "/usr/bin/worker" };
	f->thieves[1] = (struct report_thief){ .comm = "worker", .exe = "/srv/own", .own = true };
	set_parts(f, TP_CPU, 100);
	f->findings = findings__new();
	assert_non_null(f->findings);
}

static void finish(struct fixture *f)
{
	histogram__free(&f->latency);
	findings__free(f->findings);
}

static const struct report_finding *judge(struct fixture *f)
{
	f->r.mono_ns += f->r.duration_ns;
	findings__judge(f->findings, &f->r);
	assert_true(f->r.nr_findings > 0);
	return &f->r.findings[0];
}

static const struct report_evidence *evidence(const struct report_finding *finding, const char *name)
{
	for (size_t i = 0; i < finding->nr_evidence; i++) {
		if (!strcmp(finding->evidence[i].name, name))
			return &finding->evidence[i];
	}
	fail_msg("no evidence %s in %s", name, finding->id);
	return NULL;
}

/* The only finding there is. */
static const struct report_finding *only(struct fixture *f, const char *id)
{
	const struct report_finding *finding = judge(f);

	assert_string_equal(finding->id, id);
	assert_int_equal(f->r.nr_findings, 1);
	assert_true(finding->text[0]);
	return finding;
}

static void test_all_clear(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	assert_int_equal(evidence(only(&f, "all_clear"), "requests")->count, 1000);
	f.r.latency = NULL;
	f.r.have_requests = f.r.have_threads = f.r.have_accept_queue = false;
	assert_int_equal(evidence(only(&f, "all_clear"), "requests")->kind, EVIDENCE_UNKNOWN);
	finish(&f);
}

static void set_lock(struct fixture *f, uint32_t kind, uint64_t percent)
{
	set_parts(f, TP_LOCK, percent);
	f->lock.kind = kind;
	f->lock.wait_ns = f->r.state_ns[TP_LOCK];
	f->r.locks = &f->lock;
	f->r.nr_locks = 1;
}

static void test_lock_bound(void **state)
{
	struct fixture f;
	const struct report_finding *finding;

	(void)state;
	init(&f);
	f.threads[1].state_ns[TP_SLEEP] = SEC;
	set_lock(&f, TP_LOCK_MUTEX, 71);
	finding = only(&f, "lock_bound");
	assert_float_equal(finding->share, 0.71, 0.001);
	assert_string_equal(evidence(finding, "lock")->text, "big_lock");
	assert_string_equal(evidence(finding, "holder")->text, "worker");
	assert_string_equal(evidence(finding, "holder_state")->text, "sleep");
	assert_int_equal(evidence(finding, "wait_per_request_ns")->count, 7100000);
	assert_non_null(strstr(finding->text, "71 % of request time"));
	assert_non_null(strstr(finding->text, "7.10 ms per request"));
	/* Measured while others waited, it is known better. */
	f.lock.nr_holders = 1;
	f.lock.holders[0] = (struct report_holder){ .tid = 77, .comm = "writer", .state_ns = { [TP_DISK] = SEC } };
	finding = only(&f, "lock_bound");
	assert_string_equal(evidence(finding, "holder")->text, "writer");
	assert_string_equal(evidence(finding, "holder_state")->text, "disk");
	finish(&f);
}

static void test_below_the_limit_is_nothing(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	set_lock(&f, TP_LOCK_MUTEX, 19);
	only(&f, "all_clear");
	set_lock(&f, TP_LOCK_MUTEX, 21);
	only(&f, "lock_bound");
	finish(&f);
	/* A large share of next to nothing. */
	init(&f);
	set_lock(&f, TP_LOCK_MUTEX, 60);
	for (int i = 0; i < TP_NR_STATES; i++) {
		f.r.part_ns[i] /= 1000;
		f.r.state_ns[i] /= 1000;
	}
	f.lock.wait_ns /= 1000;
	f.r.busy_ns /= 1000;
	only(&f, "all_clear");
	finish(&f);
}

/* Requests queue, threads are busy, CPU is free; but they queue for a lock: more threads make it worse. */
static void test_gil_is_not_a_small_pool(void **state)
{
	struct fixture f;
	const struct report_finding *finding;

	(void)state;
	init(&f);
	set_lock(&f, TP_LOCK_GIL, 75);
	f.threads[0].busy_ns = f.threads[1].busy_ns = 10 * SEC;
	f.r.queue_avg = 8;
	finding = only(&f, "gil_bound");
	assert_non_null(strstr(finding->next, "more processes will"));
	assert_int_equal(evidence(finding, "serving_threads")->count, 2);
	finish(&f);
}

static void test_pool_too_small(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	set_parts(&f, TP_SLEEP, 90);
	f.threads[0].busy_ns = f.threads[1].busy_ns = 95 * SEC / 10;
	f.r.accept_avg = 3;
	assert_float_equal(evidence(only(&f, "pool_too_small"), "waiting_avg")->ratio, 3, 0.001);
	/* No CPU for more threads, which would need it. */
	set_parts(&f, TP_RUNQ, 15);
	f.r.host.idle_ns = 0;
	f.r.nr_thieves = 0;
	findings__free(f.findings);
	f.findings = findings__new();
	only(&f, "all_clear");
	finish(&f);
	/* Threads that are not busy: connections came in a heap. */
	init(&f);
	f.r.accept_avg = 3;
	only(&f, "all_clear");
	finish(&f);
}

static void test_pool_too_large(void **state)
{
	struct fixture f;
	const struct report_finding *finding;

	(void)state;
	init(&f);
	f.r.pool = (struct report_pool){ .name = "pool-#", .threads = 64, .unused = 60, .requests = 500,
					 .stack_bytes = 491520, .reserved_bytes = 60ULL << 23 };
	finding = only(&f, "pool_too_large");
	assert_int_equal(evidence(finding, "stack_bytes")->count, 491520);
	assert_non_null(strstr(finding->text, "480 KiB"));
	f.r.pool.requests = 100; /* not enough to say so */
	findings__free(f.findings);
	f.findings = findings__new();
	only(&f, "all_clear");
	finish(&f);
}

static void test_peer_and_client(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	set_parts(&f, TP_NET, 80);
	f.r.peers = &f.peer;
	f.r.nr_peers = 1;
	f.peer.wait_ns = 8 * SEC;
	assert_string_equal(evidence(only(&f, "waiting_for_peer"), "peer")->text, "10.0.0.1:5432");
	finish(&f);

	init(&f);
	set_parts(&f, TP_NET, 80);
	f.r.client_wait_ns[TP_CLIENT_SEND] = 8 * SEC;
	snprintf(f.slow.client, sizeof(f.slow.client), "192.0.2.7:4711");
	f.r.slow = &f.slow;
	f.r.nr_slow = 1;
	assert_string_equal(evidence(only(&f, "slow_client"), "client")->text, "192.0.2.7:4711");
	finish(&f);

	/* An event loop that polls: nobody knows for whom. */
	init(&f);
	set_parts(&f, TP_NET, 80);
	assert_int_equal(evidence(only(&f, "waiting_for_peer"), "peer")->kind, EVIDENCE_UNKNOWN);
	finish(&f);
}

/* It polls, and the kernel side has seen what requests asked whom: two peers, one of them slow. */
static void test_peers_of_an_event_loop(void **state)
{
	const struct report_finding *finding;
	struct report_peer peers[2] = { { .addr = "10.0.0.1:5432", .answers = 1000, .answer_ns = 1 * SEC },
					{ .addr = "10.0.0.2:80", .answers = 1000, .answer_ns = 6 * SEC } };
	struct fixture f;

	(void)state;
	init(&f);
	set_parts(&f, TP_NET, 80);
	f.r.peers = peers;
	f.r.nr_peers = 2;
	finding = only(&f, "waiting_for_peer");
	assert_string_equal(evidence(finding, "peer")->text, "10.0.0.2:80");
	assert_int_equal(evidence(finding, "answers")->count, 1000);
	assert_int_equal(evidence(finding, "mean_answer_ns")->count, 6 * MS);
	assert_float_equal(finding->share, 0.6, 0.001);

	/* Asked in parallel: no request waits longer than it lasts. */
	peers[1].answer_ns = 60 * SEC;
	assert_float_equal(only(&f, "waiting_for_peer")->share, 0.8, 0.001);

	/* Their answers explain little: nobody knows for whom, and the sentence says who was asked. */
	peers[0].answer_ns = 0;
	peers[1].answer_ns = 1 * SEC;
	finding = only(&f, "waiting_for_peer");
	assert_int_equal(evidence(finding, "peer")->kind, EVIDENCE_UNKNOWN);
	assert_float_equal(finding->share, 0.7, 0.001);
	assert_non_null(strstr(finding->text, "10.0.0.2:80, whose answers explain 10 %"));

	/* What a thread slept for it alone is not counted twice. */
	peers[1].wait_ns = 1 * SEC;
	peers[1].waits = 1000;
	assert_int_equal(evidence(only(&f, "waiting_for_peer"), "peer")->kind, EVIDENCE_UNKNOWN);
	finish(&f);
}

/* No request is answered: the time of the threads stands for theirs, and open questions for answers. */
static void test_a_peer_that_does_not_answer(void **state)
{
	const struct report_finding *finding;
	struct report_peer peers[2] = { { .addr = "10.0.0.1:5432", .unanswered = 3, .unanswered_ns = 24 * SEC },
					{ .addr = "10.0.0.2:80", .answers = 10, .answer_ns = 8 * SEC } };
	struct fixture f;

	(void)state;
	init(&f);
	f.r.latency = NULL;
	for (int i = 0; i < 2; i++)
		f.threads[i].state_ns[TP_NET] = 5 * SEC;
	set_parts(&f, TP_NET, 100);
	f.r.peers = peers;
	f.r.nr_peers = 2;
	finding = only(&f, "waiting_for_peer");
	assert_string_equal(evidence(finding, "peer")->text, "10.0.0.1:5432");
	assert_int_equal(evidence(finding, "unanswered")->count, 3);
	assert_int_equal(evidence(finding, "mean_answer_ns")->kind, EVIDENCE_UNKNOWN);
	assert_float_equal(finding->share, 0.75, 0.001);
	assert_non_null(strstr(finding->text, "3 of its connections were asked something and gave no answer"));
	finish(&f);
}

static void test_disk(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	set_parts(&f, TP_DISK, 64);
	f.file.wait_ns = 3 * SEC;
	f.r.files = &f.file;
	f.r.nr_files = 1;
	assert_string_equal(evidence(only(&f, "disk_bound"), "file")->text, "journal (8:1)");
	finish(&f);
}

static void set_thieves(struct fixture *f, uint64_t others_ns, uint64_t own_ns)
{
	f->thieves[0].ns = others_ns;
	f->thieves[1].ns = own_ns;
	f->r.thieves = f->thieves;
	f->r.nr_thieves = 2;
}

static void test_cpu(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	set_parts(&f, TP_RUNQ, 60);
	set_thieves(&f, 6 * SEC, 0);
	assert_string_equal(evidence(only(&f, "cpu_stolen"), "executable")->text, "/usr/bin/worker");
	finish(&f);

	/* The same waiting while the cgroup was stopped: stolen by nobody, whoever ran. */
	init(&f);
	set_parts(&f, TP_RUNQ, 60);
	set_thieves(&f, 6 * SEC, 0);
	f.r.host.throttled = 90;
	f.r.host.throttled_ns = 38 * SEC;
	only(&f, "cpu_throttled");
	finish(&f);

	init(&f);
	set_parts(&f, TP_RUNQ, 60);
	set_thieves(&f, 0, 6 * SEC);
	f.r.state_ns[TP_CPU] = 36 * SEC;
	only(&f, "cpu_saturated");
	finish(&f);

	/* Own threads take turns on one CPU, but the other three are free: not saturated; not known what. */
	init(&f);
	set_parts(&f, TP_RUNQ, 60);
	set_thieves(&f, 0, 6 * SEC);
	only(&f, "unexplained");
	finish(&f);
}

static void test_burst_is_named_from_then_on(void **state)
{
	struct fixture f;
	const struct report_finding *finding;

	(void)state;
	init(&f);
	f.burst = (struct report_burst){ .exe = "/usr/bin/worker", .launcher = "sh", .ancestry = { "cron", "sh" },
					 .nr_ancestry = 2, .count = 50, .period_ns = 60 * SEC, .stolen_ns = SEC,
					 .nr_inside = 20, .inside_ns = 300 * MS, .nr_outside = 900, .outside_ns = 3 * MS };
	f.r.bursts = &f.burst;
	f.r.nr_bursts = 1;
	/* It is over: the interval itself hardly shows it, its requests do. */
	finding = only(&f, "cpu_stolen");
	assert_non_null(strstr(finding->text, "50 short-lived processes, launched by cron > sh, every 60"));
	assert_float_equal(finding->share, (6000 - 60) / 8700.0, 0.01);
	/* The next one, while it goes on. */
	f.r.nr_bursts = 0;
	set_parts(&f, TP_RUNQ, 60);
	set_thieves(&f, 6 * SEC, 0);
	finding = only(&f, "cpu_stolen");
	assert_string_equal(evidence(finding, "launched_by")->text, "cron > sh");
	finish(&f);
}

static void test_overflow_and_rank(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	set_lock(&f, TP_LOCK_MUTEX, 50);
	f.r.accept_overflows = 1; /* one second, of eleven */
	assert_string_equal(judge(&f)->id, "lock_bound");
	assert_int_equal(f.r.nr_findings, 2);
	assert_string_equal(f.r.findings[1].id, "accept_queue_overflow");
	f.r.accept_overflows = 100;
	assert_string_equal(judge(&f)->id, "accept_queue_overflow");
	finish(&f);
}

static void test_blind_spots(void **state)
{
	struct fixture f;

	(void)state;
	init(&f);
	f.r.lost[TP_LOSS_UNMATCHED] = 1; /* of 2000 events */
	only(&f, "all_clear");
	f.r.lost[TP_LOSS_RING_BUFFER] = 2;
	only(&f, "blind_spot");
	finish(&f);
	init(&f);
	f.r.skipped_runs = TP_UNKNOWN;
	only(&f, "all_clear");
	f.r.skipped_runs = 3;
	only(&f, "blind_spot");
	finish(&f);
	init(&f);
	f.feature = (struct report_feature){ .name = "requests", .state = "fallback" };
	f.r.features = &f.feature;
	f.r.nr_features = 1;
	only(&f, "all_clear");
	f.feature.state = "off";
	f.feature.remedy = "a newer kernel";
	assert_string_equal(only(&f, "blind_spot")->next, "a newer kernel");
	finish(&f);
	init(&f);
	f.r.io_urings = 2;
	only(&f, "blind_spot");
	finish(&f);
}

/* On, off, on, off: one finding; three times off: it is gone. */
static void test_hysteresis(void **state)
{
	struct fixture f;
	const struct report_finding *finding;
	uint64_t since;

	(void)state;
	init(&f);
	set_lock(&f, TP_LOCK_MUTEX, 50);
	since = only(&f, "lock_bound")->since_ns;
	for (int i = 0; i < 5; i++) {
		set_lock(&f, TP_LOCK_MUTEX, 0);
		finding = only(&f, "lock_bound");
		assert_false(finding->now);
		assert_float_equal(finding->share, 0.5, 0.001);
		set_lock(&f, TP_LOCK_MUTEX, 50);
		finding = only(&f, "lock_bound");
		assert_true(finding->now);
		assert_int_equal(finding->since_ns, since);
	}
	assert_int_equal(finding->seen, 4);
	assert_int_equal(finding->watched, 8);
	/* Around the limit it stays. */
	set_lock(&f, TP_LOCK_MUTEX, 15);
	assert_true(only(&f, "lock_bound")->now);
	set_lock(&f, TP_LOCK_MUTEX, 0);
	only(&f, "lock_bound");
	only(&f, "lock_bound");
	only(&f, "all_clear");
	/* What it comes back from then is another one. */
	set_lock(&f, TP_LOCK_MUTEX, 50);
	assert_true(only(&f, "lock_bound")->since_ns > since);
	finish(&f);
}

/* Requests that do not end for a long time count by what their threads do. */
static void test_requests_in_hand(void **state)
{
	struct fixture f;
	const struct report_finding *finding;

	(void)state;
	init(&f);
	set_lock(&f, TP_LOCK_MUTEX, 90);
	memset(f.r.part_ns, 0, sizeof(f.r.part_ns));
	f.r.part_ns[TP_CPU] = SEC;
	f.threads[0].state_ns[TP_LOCK] = 9 * SEC;
	f.threads[0].state_ns[TP_CPU] = SEC;
	finding = only(&f, "lock_bound");
	assert_non_null(strstr(finding->text, "90 % of busy thread time"));
	assert_int_equal(evidence(finding, "wait_per_request_ns")->kind, EVIDENCE_UNKNOWN);
	finish(&f);
}

static void test_limits_are_documented(void **state)
{
	FILE *doc = fopen("docs/findings.md", "r");
	static char text[65536], row[512];

	(void)state;
	assert_non_null(doc);
	text[fread(text, 1, sizeof(text) - 1, doc)] = '\0';
	fclose(doc);
	for (int i = 0; i < NR_LIMITS; i++) {
		snprintf(row, sizeof(row), "| `%s` | %g | %s |", finding_limits[i].name, finding_limits[i].value,
			 finding_limits[i].reason);
		if (!strstr(text, row))
			fail_msg("docs/findings.md has no line %s", row);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_clear),
		cmocka_unit_test(test_lock_bound),
		cmocka_unit_test(test_below_the_limit_is_nothing),
		cmocka_unit_test(test_gil_is_not_a_small_pool),
		cmocka_unit_test(test_pool_too_small),
		cmocka_unit_test(test_pool_too_large),
		cmocka_unit_test(test_peer_and_client),
		cmocka_unit_test(test_peers_of_an_event_loop),
		cmocka_unit_test(test_a_peer_that_does_not_answer),
		cmocka_unit_test(test_disk),
		cmocka_unit_test(test_cpu),
		cmocka_unit_test(test_burst_is_named_from_then_on),
		cmocka_unit_test(test_overflow_and_rank),
		cmocka_unit_test(test_blind_spots),
		cmocka_unit_test(test_hysteresis),
		cmocka_unit_test(test_requests_in_hand),
		cmocka_unit_test(test_limits_are_documented),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
