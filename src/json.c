// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "json.h"

#include <inttypes.h>
#include <stdio.h>

#include "json_finding.h"
#include "json_value.h"

/*
 * Waits for a lock or calls for it in the shape of a histogram. The totals are of the interval; percentiles and
 * buckets are those of @h, and not known without it.
 */
static void put_totals(struct writer *w, struct json_object *o, const char *key, uint64_t count, uint64_t sum_ns,
		       uint64_t max_ns, const struct histogram *h)
{
	bool have = h && h->count;
	struct json_object *to = new_object(w);

	put_u64(w, to, "count", count);
	put_u64(w, to, "sum", sum_ns);
	put_u64_if(w, to, "mean", count > 0, count ? sum_ns / count : 0);
	put_u64_if(w, to, "p50", have, have ? histogram__percentile(h, 50) : 0);
	put_u64_if(w, to, "p90", have, have ? histogram__percentile(h, 90) : 0);
	put_u64_if(w, to, "p99", have, have ? histogram__percentile(h, 99) : 0);
	put_u64_if(w, to, "max", count > 0, max_ns);
	put(w, to, "buckets", have ? new_buckets(w, h) : NULL);
	put(w, o, key, to);
}

/* @nr is TP_NR_STATES or TP_NR_PARTS */
static void put_parts(struct writer *w, struct json_object *o, const char *key, bool have,
		      const uint64_t *ns, size_t nr)
{
	struct json_object *to = new_object(w);

	for (size_t i = 0; i < nr; i++)
		put_u64_if(w, to, tp_part_names[i], have, ns[i]);
	put(w, o, key, to);
}

static struct json_object *new_target(struct writer *w, const struct report *r)
{
	struct json_object *o = new_object(w), *pids = new_list(w);

	for (size_t i = 0; i < r->nr_pids; i++)
		append(w, pids, new_u64(w, r->pids[i]));
	put(w, o, "pids", pids);
	put_field(w, o, "comm", r->comm);
	put_u64_if(w, o, "threads", true, r->nr_threads);
	put_u64_if(w, o, "threads_exited", true, r->nr_exited);
	return o;
}

static struct json_object *new_slow_request(struct writer *w, const struct report_request *slow)
{
	const struct tp_request *q = &slow->r;
	struct json_object *o = new_object(w);
	bool sane = q->end_ns >= q->start_ns;
	bool answered = q->first_write_ns >= q->start_ns;
	uint64_t part_ns[TP_NR_PARTS];

	for (size_t i = 0; i < TP_NR_PARTS; i++)
		part_ns[i] = q->part_ns[i];
	put_time(w, o, "time", &slow->start);
	put_u64(w, o, "conn", q->conn_id);
	put_u64(w, o, "seq", q->seq);
	put_i64(w, o, "fd", q->fd);
	put_field_text(w, o, "client", slow->client);
	put_u64(w, o, "pid", q->tgid);
	put_u64(w, o, "tid", q->read_tid);
	put_u64(w, o, "write_tid", q->write_tid);
	put_field(w, o, "comm", slow->comm);
	put_u64_if(w, o, "latency_ns", sane, q->end_ns - q->start_ns);
	put_u64_if(w, o, "queue_wait_ns", q->queue_wait_ns != TP_NO_QUEUE_WAIT, q->queue_wait_ns);
	put_u64_if(w, o, "first_byte_ns", answered, q->first_write_ns - q->start_ns);
	put_parts(w, o, "breakdown_ns", !q->no_parts, part_ns, TP_NR_PARTS);
	put_u64(w, o, "in_bytes", q->in_bytes);
	put_u64(w, o, "out_bytes", q->out_bytes);
	return o;
}

static struct json_object *new_requests(struct writer *w, const struct report *r)
{
	struct json_object *o = new_object(w), *slow = NULL;
	bool have = r->have_requests && r->latency;
	uint64_t count = have ? r->latency->count : 0;

	put_u64_if(w, o, "count", have, count);
	put_double_if(w, o, "rate", have && r->duration_ns,
		      (double)count * 1e9 / (double)r->duration_ns);
	put_u64_if(w, o, "unanswered", have, r->unanswered);
	put_histogram(w, o, "latency_ns", have, r->latency);
	put_histogram(w, o, "queue_wait_ns", have, r->queue_wait);
	put_parts(w, o, "breakdown_ns", have && r->have_parts, r->part_ns, TP_NR_PARTS);
	if (have) {
		slow = new_list(w);
		for (size_t i = 0; i < r->nr_slow; i++)
			append(w, slow, new_slow_request(w, &r->slow[i]));
	}
	put(w, o, "slow", slow);
	return o;
}

static struct json_object *new_connections(struct writer *w, const struct report *r)
{
	struct json_object *o = new_object(w);

	put_u64_if(w, o, "accepted", r->have_requests, r->accepted);
	put_u64_if(w, o, "closed", r->have_requests, r->closed);
	put_u64_if(w, o, "open", r->have_requests, r->open);
	put_histogram(w, o, "latency_ns", r->have_requests, r->conn_latency);
	return o;
}

static struct json_object *new_queue(struct writer *w, const struct report *r)
{
	struct json_object *o = new_object(w), *accept_queue = new_object(w);
	bool have = r->have_accept_queue;

	put_u64_if(w, accept_queue, "now", have, r->accept_now);
	put_u64_if(w, accept_queue, "max", have, r->accept_max);
	put_u64_if(w, accept_queue, "limit", have, r->accept_limit);
	put_u64_if(w, accept_queue, "overflows", have, r->accept_overflows);

	put_u64_if(w, o, "now", r->have_requests, r->queue_now);
	put_u64_if(w, o, "max", r->have_requests, r->queue_max);
	put_double_if(w, o, "avg", r->have_requests, r->queue_avg);
	put(w, o, "accept_queue", accept_queue);
	return o;
}

static struct json_object *new_utilization(struct writer *w, const struct report *r)
{
	struct json_object *o = new_object(w);
	/* a thread that served and ended in the interval is one of the threads that there were */
	uint64_t threads = r->nr_threads + r->nr_exited;
	bool have = r->have_threads && r->have_requests;

	put_u64_if(w, o, "active", have, r->active);
	put_u64_if(w, o, "threads", r->have_threads, threads);
	put_double_if(w, o, "ratio", have && threads, (double)r->active / (double)threads);
	put_double_if(w, o, "busy_ratio", have && r->wall_ns,
		      (double)r->busy_ns / (double)r->wall_ns);
	return o;
}

static struct json_object *new_threads(struct writer *w, const struct report *r)
{
	struct json_object *list;

	if (!r->have_threads)
		return NULL;
	list = new_list(w);
	for (size_t i = 0; i < r->nr_listed; i++) {
		const struct report_thread *t = &r->threads[i];
		struct json_object *o = new_object(w);

		put_u64(w, o, "tid", t->tid);
		put_u64(w, o, "pid", t->tgid);
		put_field(w, o, "comm", t->comm);
		put_bool(w, o, "exited", t->exited);
		put_u64_if(w, o, "requests", r->have_requests, t->requests);
		put_u64(w, o, "wall_ns", t->wall_ns);
		put_u64_if(w, o, "busy_ns", r->have_requests, t->busy_ns);
		put_parts(w, o, "state_ns", true, t->state_ns, TP_NR_STATES);
		append(w, list, o);
	}
	return list;
}

static struct json_object *new_threads_rest(struct writer *w, const struct report *r)
{
	struct json_object *o = new_object(w);

	put_u64_if(w, o, "count", r->have_threads, r->rest_threads);
	put_parts(w, o, "state_ns", r->have_threads, r->rest_state_ns, TP_NR_STATES);
	return o;
}

static void put_holders(struct writer *w, struct json_object *o, const struct report_lock *l)
{
	struct json_object *list = new_list(w);

	for (size_t i = 0; i < l->nr_holders; i++) {
		const struct report_holder *h = &l->holders[i];
		struct json_object *to = new_object(w);
		uint64_t known = 0;

		for (size_t j = 0; j < TP_NR_STATES; j++)
			known += h->state_ns[j];
		put_u64(w, to, "tid", h->tid);
		put_field_text(w, to, "comm", h->comm);
		put_u64(w, to, "waits", h->waits);
		put_u64(w, to, "ns", h->ns);
		put_parts(w, to, "state_ns", known > 0, h->state_ns, TP_NR_STATES);
		append(w, list, to);
	}
	put(w, o, "holders", list);
}

static void put_stack(struct writer *w, struct json_object *o, const struct report_lock *l)
{
	struct json_object *list = l->nr_stack ? new_list(w) : NULL;

	for (size_t i = 0; i < l->nr_stack; i++)
		append_string(w, list, l->stack[i], sizeof(l->site));
	put(w, o, "stack", list);
}

static void put_lock_calls(struct writer *w, struct json_object *o, const struct report_lock_calls *c)
{
	bool have = c->calls > 0;

	put_u64_if(w, o, "acquisitions", have, c->calls - c->failed);
	put_u64_if(w, o, "failed", have, c->failed);
	put_u64_if(w, o, "contended", have, c->contended);
	put_double_if(w, o, "contended_ratio", have, (double)c->contended / (double)c->calls);
	if (have)
		put_totals(w, o, "latency_ns", c->calls, c->call_ns, c->max_ns, c->length);
	else
		put_null(w, o, "latency_ns");
}

static struct json_object *new_lock_probes(struct writer *w, const struct report *r)
{
	const struct report_lock_probes *p = &r->lock_probes;
	struct json_object *o;

	if (!p->are_asked_for)
		return NULL;
	o = new_object(w);
	put_bool(w, o, "active", p->are_in);
	put_u64(w, o, "calls", p->calls);
	put_u64_if(w, o, "call_cost_ns", p->call_cost_ns > 0, p->call_cost_ns);
	put_u64_if(w, o, "cost_ns", p->call_cost_ns > 0, p->cost_ns);
	put_text(w, o, "reason", p->reason, SIZE_MAX);
	return o;
}

static struct json_object *new_locks(struct writer *w, const struct report *r)
{
	struct json_object *list;

	if (!r->have_locks)
		return NULL;
	list = new_list(w);
	for (size_t i = 0; i < r->nr_locks; i++) {
		const struct report_lock *l = &r->locks[i];
		struct json_object *o = new_object(w);
		char addr[24];

		snprintf(addr, sizeof(addr), "0x%" PRIx64, l->addr);
		put_field(w, o, "addr", addr);
		put_u64(w, o, "pid", l->tgid);
		put_field_text(w, o, "name", l->name);
		put_string(w, o, "kind", tp_lock_kind_name(l->kind), SIZE_MAX);
		put_u64(w, o, "waits", l->waits);
		put_u64_if(w, o, "timeouts", l->timeouts != TP_UNKNOWN, l->timeouts);
		put_u64_if(w, o, "interrupted", l->interrupted != TP_UNKNOWN, l->interrupted);
		put_totals(w, o, "wait_ns", l->waits, l->wait_ns, l->max_ns, l->wait);
		put_lock_calls(w, o, &l->calls);
		put_u64_if(w, o, "owner_tid", l->owner_tid != 0, l->owner_tid);
		put_holders(w, o, l);
		put_field_text(w, o, "site", l->site);
		put_stack(w, o, l);
		append(w, list, o);
	}
	return list;
}

static struct json_object *new_wait(struct writer *w, const char *key, const char *name, size_t max,
				    uint64_t waits, uint64_t wait_ns)
{
	struct json_object *o = new_object(w);

	put_string(w, o, key, name, max);
	put_u64(w, o, "waits", waits);
	put_u64(w, o, "wait_ns", wait_ns);
	return o;
}

static struct json_object *new_peers(struct writer *w, const struct report *r)
{
	struct json_object *list;

	if (!r->have_peers)
		return NULL;
	list = new_list(w);
	for (size_t i = 0; i < r->nr_peers; i++) {
		const struct report_peer *p = &r->peers[i];
		struct json_object *o =
			new_wait(w, "addr", p->addr, sizeof(p->addr), p->waits, p->wait_ns);

		if (p->name[0])
			put_string(w, o, "name", p->name, sizeof(p->name));
		else
			put(w, o, "name", NULL);
		put_u64(w, o, "answers", p->answers);
		put_u64(w, o, "answer_ns", p->answer_ns);
		put_u64(w, o, "unanswered", p->unanswered);
		put_u64(w, o, "unanswered_ns", p->unanswered_ns);
		append(w, list, o);
	}
	return list;
}

static struct json_object *new_files(struct writer *w, const struct report *r)
{
	struct json_object *list;

	if (!r->have_peers)
		return NULL;
	list = new_list(w);
	for (size_t i = 0; i < r->nr_files; i++) {
		const struct report_file *f = &r->files[i];

		append(w, list,
		       new_wait(w, "name", f->name, sizeof(f->name), f->waits, f->wait_ns));
	}
	return list;
}

static struct json_object *new_stolen_cpu(struct writer *w, const struct report *r)
{
	struct json_object *list;

	if (!r->have_thieves)
		return NULL;
	list = new_list(w);
	for (size_t i = 0; i < r->nr_thieves; i++) {
		const struct report_thief *t = &r->thieves[i];
		struct json_object *o = new_object(w);

		put_field(w, o, "comm", t->comm);
		put_field_text(w, o, "exe", t->exe);
		put_bool(w, o, "own", t->own);
		put_u64(w, o, "ns", t->ns);
		append(w, list, o);
	}
	return list;
}

static struct json_object *new_burst(struct writer *w, const struct report_burst *b)
{
	struct json_object *o = new_object(w), *ancestry = new_list(w);

	for (size_t i = 0; i < b->nr_ancestry; i++)
		append_string(w, ancestry, b->ancestry[i], sizeof(b->ancestry[i]));
	put_string(w, o, "exe", b->exe, sizeof(b->exe));
	put_text(w, o, "launcher", b->launcher, sizeof(b->launcher));
	put(w, o, "ancestry", ancestry);
	put_u64(w, o, "start_mono_ns", b->start_ns);
	put_u64(w, o, "duration_ns", b->end_ns - b->start_ns);
	put_u64(w, o, "count", b->count);
	put_u64(w, o, "peak", b->peak);
	put_histogram(w, o, "life_ns", true, &b->life);
	put_u64_if(w, o, "cpu_ns", b->cpu.count > 0, b->cpu.sum);
	put_bool(w, o, "continues", b->continues);
	put_u64_if(w, o, "period_ns", b->period_ns > 0, b->period_ns);
	put_u64_if(w, o, "jitter_ns", b->period_ns > 0, b->jitter_ns);
	put_u64(w, o, "stolen_ns", b->stolen_ns);
	put_u64(w, o, "requests_inside", b->nr_inside);
	put_u64_if(w, o, "latency_inside_ns", b->inside_ns != TP_UNKNOWN, b->inside_ns);
	put_u64(w, o, "requests_outside", b->nr_outside);
	put_u64_if(w, o, "latency_outside_ns", b->outside_ns != TP_UNKNOWN, b->outside_ns);
	return o;
}

static struct json_object *new_bursts(struct writer *w, const struct report *r)
{
	struct json_object *list;

	if (!r->have_bursts)
		return NULL;
	list = new_list(w);
	for (size_t i = 0; i < r->nr_bursts; i++)
		append(w, list, new_burst(w, &r->bursts[i]));
	return list;
}

static struct json_object *new_lost(struct writer *w, const struct report *r)
{
	struct json_object *o = new_object(w);

	for (size_t i = 0; i < TP_NR_LOSSES; i++)
		put_u64(w, o, tp_loss_names[i], r->lost[i]);
	put_u64(w, o, "processes", r->lost_processes);
	put_u64_if(w, o, "skipped_runs", true, r->skipped_runs);
	put_u64(w, o, "reports", r->lost_reports);
	return o;
}

static struct json_object *new_overhead(struct writer *w, const struct report *r)
{
	struct json_object *o = new_object(w), *off = new_list(w);
	bool have_bpf = r->bpf_ns != TP_UNKNOWN, have_cpu = r->user_cpu_ns != TP_UNKNOWN;
	bool have_memory = r->rss_bytes != TP_UNKNOWN && r->map_bytes != TP_UNKNOWN;
	uint64_t requests = r->have_requests && r->latency ? r->latency->count : 0;

	put_u64_if(w, o, "events", true, r->events);
	put_u64_if(w, o, "bpf_ns", true, r->bpf_ns);
	put_u64_if(w, o, "bpf_request_ns", have_bpf && requests, requests ? r->bpf_ns / requests : 0);
	put_u64_if(w, o, "user_cpu_ns", true, r->user_cpu_ns);
	put_double_if(w, o, "cpu_ratio", have_bpf && have_cpu && r->duration_ns,
		      ((double)r->bpf_ns + (double)r->user_cpu_ns) / (double)r->duration_ns);
	put_double_if(w, o, "max_cpu_ratio", true, r->max_overhead_ratio);
	for (size_t i = 0; i < TP_NR_DETAILS; i++) {
		if (r->details_off & 1U << i)
			append_string(w, off, tp_detail_names[i], strlen(tp_detail_names[i]));
	}
	put(w, o, "switched_off", off);
	put_u64_if(w, o, "memory_bytes", have_memory, r->rss_bytes + r->map_bytes);
	put_u64_if(w, o, "rss_bytes", true, r->rss_bytes);
	put_u64_if(w, o, "map_bytes", true, r->map_bytes);
	return o;
}

int json__write_interval(FILE *out, const struct report *r)
{
	struct writer w = { 0 };
	struct json_object *o = new_record(&w, "interval", &r->time, r->mono_ns);

	put_u64(&w, o, "duration_ns", r->duration_ns);
	put_bool(&w, o, "partial", r->partial);
	put(&w, o, "target", new_target(&w, r));
	put(&w, o, "requests", new_requests(&w, r));
	put(&w, o, "connections", new_connections(&w, r));
	put(&w, o, "queue", new_queue(&w, r));
	put(&w, o, "utilization", new_utilization(&w, r));
	put(&w, o, "threads", new_threads(&w, r));
	put(&w, o, "threads_rest", new_threads_rest(&w, r));
	put(&w, o, "locks", new_locks(&w, r));
	put(&w, o, "lock_probes", new_lock_probes(&w, r));
	put(&w, o, "peers", new_peers(&w, r));
	put(&w, o, "files", new_files(&w, r));
	put(&w, o, "stolen_cpu", new_stolen_cpu(&w, r));
	put(&w, o, "bursts", new_bursts(&w, r));
	put(&w, o, "findings", new_findings(&w, r));
	put(&w, o, "changes", new_changes(&w, r));
	put(&w, o, "lost", new_lost(&w, r));
	put(&w, o, "overhead", new_overhead(&w, r));
	return finish(&w, out, o);
}

int json__write_feature(FILE *out, const struct report_feature *f, const struct timespec *time,
			uint64_t mono_ns)
{
	struct writer w = { 0 };
	struct json_object *o = new_record(&w, "feature", time, mono_ns);

	put_text(&w, o, "name", f->name, SIZE_MAX);
	put_text(&w, o, "state", f->state, SIZE_MAX);
	put_text(&w, o, "reason", f->reason, SIZE_MAX);
	put_text(&w, o, "remedy", f->remedy, SIZE_MAX);
	return finish(&w, out, o);
}
