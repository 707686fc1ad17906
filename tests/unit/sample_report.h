/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* A report as a busy server gives it, for the tests of the outputs. */
#ifndef THREADPROF_TESTS_SAMPLE_REPORT_H
#define THREADPROF_TESTS_SAMPLE_REPORT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

#define SAMPLE_THREADS 12

struct sample {
	struct report r;
	uint32_t pids[2];
	struct histogram latency;
	struct histogram queue_wait;
	struct histogram conn_latency;
	struct report_thread threads[SAMPLE_THREADS];
	struct report_lock locks[3];
	struct report_peer peers[2];
	struct report_file files[1];
	struct report_thief thieves[3];
	struct report_request slow[2];
};

#define SAMPLE_NS_PER_MS 1000000ULL

static inline void sample__fill_text(char *field, size_t size, const char *text)
{
	snprintf(field, size, "%s", text);
}

#define SAMPLE_TEXT(field, text) sample__fill_text(field, sizeof(field), text)

static inline void sample__fill_requests(struct sample *s)
{
	static const uint64_t part_ms[TP_NR_PARTS] = { 1200, 900, 7100, 0, 10, 500, 0, 0, 0, 290 };
	struct report *r = &s->r;

	for (uint64_t i = 0; i < 45012; i++) {
		uint64_t ns = 150000 + i * 11 + (i % 100 == 0 ? i * 1700 : 0);

		if (histogram__add(&s->latency, ns) || histogram__add(&s->queue_wait, ns / 40) ||
		    histogram__add(&s->conn_latency, ns + 40000))
			abort();
	}
	r->have_requests = true;
	r->latency = &s->latency;
	r->queue_wait = &s->queue_wait;
	r->conn_latency = &s->conn_latency;
	r->unanswered = 3;
	r->accepted = 45015;
	r->closed = 45012;
	r->open = 7;
	for (size_t i = 0; i < TP_NR_PARTS; i++)
		r->part_ns[i] = part_ms[i] * SAMPLE_NS_PER_MS;
	r->queue_now = 3;
	r->queue_max = 41;
	r->queue_avg = 2.125;
	r->have_accept_queue = true;
	r->accept_now = 12;
	r->accept_max = 129;
	r->accept_limit = 128;
	r->accept_overflows = 12;
}

static inline void sample__fill_slow(struct sample *s)
{
	struct report_request *slow = s->slow;

	slow[0].r = (struct tp_request){
		.conn_id = 0xffff888012345678,
		.seq = 1,
		.tgid = 4242,
		.read_tid = 4250,
		.write_tid = 4250,
		.fd = 27,
		.start_ns = 1000000000,
		.first_write_ns = 2290000000,
		.end_ns = 2300000000,
		.queue_wait_ns = 12000000,
		.in_bytes = 120,
		.out_bytes = 4200,
		.part_ns = { [TP_CPU] = 80000000, [TP_LOCK] = 1200000000, [TP_RUNQ] = 20000000 },
	};
	slow[0].start = (struct timespec){ 1790000045, 123456789 };
	SAMPLE_TEXT(slow[0].comm, "worker-7");
	SAMPLE_TEXT(slow[0].client, "10.0.0.9:51234");
	slow[1] = slow[0];
	slow[1].r.seq = 17;
	slow[1].r.write_tid = 4251;
	slow[1].r.queue_wait_ns = TP_NO_QUEUE_WAIT;
	slow[1].r.first_write_ns = 0;
	slow[1].client[0] = '\0';
	s->r.slow = slow;
	s->r.nr_slow = 2;
}

static inline void sample__fill_threads(struct sample *s)
{
	static const uint64_t state_ms[TP_NR_STATES] = { 1000, 750, 5900, 0, 8, 420, 1922, 0, 0 };
	struct report *r = &s->r;

	for (size_t i = 0; i < SAMPLE_THREADS; i++) {
		struct report_thread *t = &s->threads[i];

		t->tid = 4242 + (uint32_t)i;
		t->tgid = 4242;
		snprintf(t->comm, sizeof(t->comm), "worker-%zu", i);
		t->exited = i == 11;
		t->requests = 3750;
		t->wall_ns = 10000 * SAMPLE_NS_PER_MS;
		t->busy_ns = 8000 * SAMPLE_NS_PER_MS;
		for (size_t state = 0; state < TP_NR_STATES; state++)
			t->state_ns[state] = state_ms[state] * SAMPLE_NS_PER_MS;
	}
	r->have_threads = true;
	r->active = 12;
	r->threads = s->threads;
	r->nr_listed = SAMPLE_THREADS;
	r->rest_threads = 490;
	r->rest_state_ns[TP_IDLE] = 490 * 9800 * SAMPLE_NS_PER_MS;
	r->rest_state_ns[TP_CPU] = 490 * 200 * SAMPLE_NS_PER_MS;
	for (size_t state = 0; state < TP_NR_STATES; state++)
		r->state_ns[state] = SAMPLE_THREADS * state_ms[state] * SAMPLE_NS_PER_MS +
				     r->rest_state_ns[state];
	r->busy_ns = SAMPLE_THREADS * 8000 * SAMPLE_NS_PER_MS;
	r->wall_ns = (SAMPLE_THREADS + 490) * 10000 * SAMPLE_NS_PER_MS;
	r->nr_threads = 501;
	r->nr_exited = 1;
}

static const char *const sample_stack[] = { "__lll_lock_wait (libc.so.6+0x8612b)",
					     "handle_order(Order&) (orders.cc:112)" };

static inline void sample__fill_waits(struct sample *s)
{
	struct report *r = &s->r;

	s->locks[0] = (struct report_lock){ .addr = 0x7f12345678c0,
					    .tgid = 4242,
					    .kind = TP_LOCK_MUTEX,
					    .waits = 81234,
					    .wait_ns = 70100000000,
					    .max_ns = 1210000000,
					    .owner_tid = 4250 };
	SAMPLE_TEXT(s->locks[0].name, "api-server:work_queue_mutex+0x8");
	SAMPLE_TEXT(s->locks[0].site, "handle_order(Order&) (orders.cc:112)");
	s->locks[0].stack = sample_stack;
	s->locks[0].nr_stack = 2;
	s->locks[0].timeouts = 3;
	s->locks[0].holders[0] = (struct report_holder){
		.tid = 4250, .comm = "worker-7", .waits = 70000, .ns = 63800000000,
		.state_ns = { [TP_DISK] = 47850000000, [TP_CPU] = 15950000000 },
	};
	s->locks[0].nr_holders = 1;
	s->locks[1] = (struct report_lock){ .addr = 0x7f1234999000,
					    .tgid = 4242,
					    .kind = TP_LOCK_GIL,
					    .waits = 4,
					    .wait_ns = 700000000,
					    .max_ns = 300000000 };
	s->locks[2] = (struct report_lock){ .addr = 0xffffffffffffff80, .tgid = 4243, .kind = 99 };
	r->have_locks = true;
	r->locks = s->locks;
	r->nr_locks = 3;
	SAMPLE_TEXT(s->peers[0].addr, "10.0.3.7:5432");
	s->peers[0].waits = 9120;
	s->peers[0].wait_ns = 5010000000;
	SAMPLE_TEXT(s->peers[1].addr, "unix:/run/redis/redis.sock");
	s->peers[1].waits = 12;
	s->peers[1].wait_ns = 30000000;
	s->peers[1].answers = 40;
	s->peers[1].answer_ns = 160000000;
	s->peers[1].unanswered = 2;
	s->peers[1].unanswered_ns = 7000000;
	r->have_peers = true;
	r->peers = s->peers;
	r->nr_peers = 2;
	SAMPLE_TEXT(s->files[0].name, "access.log");
	s->files[0].waits = 31;
	s->files[0].wait_ns = 96000000;
	r->files = s->files;
	r->nr_files = 1;
	SAMPLE_TEXT(s->thieves[0].comm, "cron-report");
	SAMPLE_TEXT(s->thieves[0].exe, "/usr/bin/php8.2");
	s->thieves[0].ns = 6200000000;
	SAMPLE_TEXT(s->thieves[1].comm, "worker-3");
	SAMPLE_TEXT(s->thieves[1].exe, "/srv/api/bin/api-server");
	s->thieves[1].own = true;
	s->thieves[1].ns = 2100000000;
	SAMPLE_TEXT(s->thieves[2].comm, "kworker/u4:1");
	s->thieves[2].ns = 90000000;
	r->have_thieves = true;
	r->thieves = s->thieves;
	r->nr_thieves = 3;
}

/* Everything measured, nothing lost. */
static inline void sample__init(struct sample *s)
{
	memset(s, 0, sizeof(*s));
	s->pids[0] = 4242;
	s->pids[1] = 4243;
	s->r.time = (struct timespec){ 1790000055, 7 };
	s->r.mono_ns = 123456789012345;
	s->r.duration_ns = 10000000000;
	s->r.pids = s->pids;
	s->r.nr_pids = 1;
	SAMPLE_TEXT(s->r.comm, "api-server");
	sample__fill_requests(s);
	sample__fill_slow(s);
	sample__fill_threads(s);
	sample__fill_waits(s);
	s->r.events = 90027;
	s->r.bpf_ns = 120000000;
	s->r.user_cpu_ns = 31000000;
	s->r.rss_bytes = 15270000;
	s->r.map_bytes = 10000000;
	s->r.have_parts = true;
	s->r.max_overhead_ratio = 0.05;
}

/* Takes all measurements away, as on a kernel that refused every program. */
static inline void sample__measure_nothing(struct sample *s)
{
	struct report *r = &s->r;

	r->have_requests = false;
	r->have_accept_queue = false;
	r->have_threads = false;
	r->have_locks = false;
	r->have_peers = false;
	r->have_thieves = false;
	r->bpf_ns = TP_UNKNOWN;
}

/* All measured, and nothing happened. */
static inline void sample__happen_nothing(struct sample *s)
{
	struct report *r = &s->r;

	histogram__reset(&s->latency);
	histogram__reset(&s->queue_wait);
	histogram__reset(&s->conn_latency);
	memset(r->part_ns, 0, sizeof(r->part_ns));
	memset(r->state_ns, 0, sizeof(r->state_ns));
	memset(r->rest_state_ns, 0, sizeof(r->rest_state_ns));
	r->unanswered = r->accepted = r->closed = r->open = 0;
	r->queue_now = r->queue_max = 0;
	r->queue_avg = 0;
	r->accept_now = r->accept_max = r->accept_overflows = 0;
	r->active = r->busy_ns = 0;
	r->nr_slow = r->nr_locks = r->nr_peers = r->nr_files = r->nr_thieves = 0;
	r->nr_listed = 0;
	r->rest_threads = r->nr_threads = 4;
	r->nr_exited = 0;
	r->wall_ns = 4 * r->duration_ns;
	r->state_ns[TP_IDLE] = r->rest_state_ns[TP_IDLE] = r->wall_ns;
}

static inline void sample__free(struct sample *s)
{
	histogram__free(&s->latency);
	histogram__free(&s->queue_wait);
	histogram__free(&s->conn_latency);
}

#endif /* THREADPROF_TESTS_SAMPLE_REPORT_H */
