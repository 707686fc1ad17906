// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "json.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "escape.h"

/*
 * json-c's null is a NULL pointer, and so is an allocation that failed. The difference is kept
 * here, so that a shortage of memory never looks like "not measured".
 */
struct writer {
	bool no_memory;
};

static struct json_object *checked(struct writer *w, struct json_object *o)
{
	if (!o)
		w->no_memory = true;
	return o;
}

static void put(struct writer *w, struct json_object *o, const char *key, struct json_object *value)
{
	if (!o || json_object_object_add(o, key, value) < 0) {
		json_object_put(value);
		w->no_memory = true;
	}
}

static void append(struct writer *w, struct json_object *list, struct json_object *value)
{
	if (!list || json_object_array_add(list, value) < 0) {
		json_object_put(value);
		w->no_memory = true;
	}
}

static struct json_object *new_object(struct writer *w)
{
	return checked(w, json_object_new_object());
}

static struct json_object *new_list(struct writer *w)
{
	return checked(w, json_object_new_array());
}

static struct json_object *new_u64(struct writer *w, uint64_t value)
{
#if JSON_C_MAJOR_VERSION > 0 || JSON_C_MINOR_VERSION >= 14
	return checked(w, json_object_new_uint64(value));
#else
	char digits[24];

	if (value <= INT64_MAX)
		return checked(w, json_object_new_int64((int64_t)value));
	snprintf(digits, sizeof(digits), "%" PRIu64, value);
	return checked(w, json_object_new_double_s((double)value, digits));
#endif
}

static void put_null(struct writer *w, struct json_object *o, const char *key)
{
	put(w, o, key, NULL);
}

static void put_bool(struct writer *w, struct json_object *o, const char *key, bool value)
{
	put(w, o, key, checked(w, json_object_new_boolean(value)));
}

static void put_u64(struct writer *w, struct json_object *o, const char *key, uint64_t value)
{
	put(w, o, key, new_u64(w, value));
}

static void put_i64(struct writer *w, struct json_object *o, const char *key, int64_t value)
{
	put(w, o, key, checked(w, json_object_new_int64(value)));
}

/* null unless it was measured */
static void put_u64_if(struct writer *w, struct json_object *o, const char *key, bool have,
		       uint64_t value)
{
	put(w, o, key, have && value != TP_UNKNOWN ? new_u64(w, value) : NULL);
}

/* null unless it was measured and is a number */
static void put_double_if(struct writer *w, struct json_object *o, const char *key, bool have,
			  double value)
{
	static char format[] = "%.9g";
	struct json_object *number = NULL;

	if (have && isfinite(value)) {
		number = checked(w, json_object_new_double(value));
		if (number)
			json_object_set_serializer(number, json_object_double_to_json_string,
						   format, NULL);
	}
	put(w, o, key, number);
}

static void put_string(struct writer *w, struct json_object *o, const char *key, const char *text,
		       size_t max)
{
	size_t size = ESCAPE_UTF8_SIZE(strnlen(text, max));
	char *safe = malloc(size);

	if (!safe) {
		w->no_memory = true;
		return;
	}
	escape__utf8(safe, size, text, max);
	put(w, o, key, checked(w, json_object_new_string(safe)));
	free(safe);
}

/* null where there is no text */
static void put_text(struct writer *w, struct json_object *o, const char *key, const char *text,
		     size_t max)
{
	if (text && max && text[0])
		put_string(w, o, key, text, max);
	else
		put_null(w, o, key);
}

#define put_field(w, o, key, field) put_string(w, o, key, field, sizeof(field))
#define put_field_text(w, o, key, field) put_text(w, o, key, field, sizeof(field))

/* RFC 3339, UTC, nanoseconds; null where the year has not four digits */
static void put_time(struct writer *w, struct json_object *o, const char *key,
		     const struct timespec *time)
{
	char seconds[32], text[48];
	struct tm tm;

	if (!gmtime_r(&time->tv_sec, &tm) || tm.tm_year < 1000 - 1900 || tm.tm_year > 9999 - 1900 ||
	    time->tv_nsec < 0 || time->tv_nsec > 999999999) {
		put_null(w, o, key);
		return;
	}
	strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, sizeof(text), "%s.%09ldZ", seconds, time->tv_nsec);
	put_string(w, o, key, text, sizeof(text));
}

static struct json_object *new_buckets(struct writer *w, const struct histogram *h)
{
	struct json_object *list = new_list(w);
	uint64_t upper, count;
	size_t cursor = 0;

	while (histogram__next(h, &cursor, &upper, &count)) {
		struct json_object *pair = new_list(w);

		append(w, pair, new_u64(w, upper));
		append(w, pair, new_u64(w, count));
		append(w, list, pair);
	}
	return list;
}

static void put_histogram(struct writer *w, struct json_object *o, const char *key, bool have,
			  const struct histogram *h)
{
	struct json_object *to;
	bool any;

	if (!have || !h) {
		put_null(w, o, key);
		return;
	}
	any = h->count > 0;
	to = new_object(w);
	put_u64(w, to, "count", h->count);
	put_u64(w, to, "sum", h->sum);
	put_u64_if(w, to, "mean", any, histogram__mean(h));
	put_u64_if(w, to, "p50", any, histogram__percentile(h, 50));
	put_u64_if(w, to, "p90", any, histogram__percentile(h, 90));
	put_u64_if(w, to, "p99", any, histogram__percentile(h, 99));
	put_u64_if(w, to, "max", any, h->max);
	put(w, to, "buckets", new_buckets(w, h));
	put(w, o, key, to);
}

/* What is known of waits whose distribution was not kept, in the shape of a histogram. */
static void put_wait_totals(struct writer *w, struct json_object *o, const char *key,
			    uint64_t waits, uint64_t wait_ns, uint64_t max_ns)
{
	struct json_object *to = new_object(w);

	put_u64(w, to, "count", waits);
	put_u64(w, to, "sum", wait_ns);
	put_u64_if(w, to, "mean", waits > 0, waits ? wait_ns / waits : 0);
	put_null(w, to, "p50");
	put_null(w, to, "p90");
	put_null(w, to, "p99");
	put_u64_if(w, to, "max", waits > 0, max_ns);
	put_null(w, to, "buckets");
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
	put_parts(w, o, "breakdown_ns", true, part_ns, TP_NR_PARTS);
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
	put_parts(w, o, "breakdown_ns", have, r->part_ns, TP_NR_PARTS);
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
		put_wait_totals(w, o, "wait_ns", l->waits, l->wait_ns, l->max_ns);
		put_null(w, o, "acquisitions");
		put_u64_if(w, o, "owner_tid", l->owner_tid != 0, l->owner_tid);
		put_null(w, o, "site");
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

		append(w, list,
		       new_wait(w, "addr", p->addr, sizeof(p->addr), p->waits, p->wait_ns));
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

static struct json_object *new_lost(struct writer *w, const struct report *r)
{
	struct json_object *o = new_object(w);

	for (size_t i = 0; i < TP_NR_LOSSES; i++)
		put_u64(w, o, tp_loss_names[i], r->lost[i]);
	put_u64(w, o, "reports", r->lost_reports);
	return o;
}

static struct json_object *new_overhead(struct writer *w, const struct report *r)
{
	struct json_object *o = new_object(w);

	put_u64_if(w, o, "events", true, r->events);
	put_u64_if(w, o, "bpf_ns", true, r->bpf_ns);
	put_u64_if(w, o, "user_cpu_ns", true, r->user_cpu_ns);
	put_u64_if(w, o, "memory_bytes", true, r->memory_bytes);
	return o;
}

static struct json_object *new_record(struct writer *w, const char *type,
				      const struct timespec *time, uint64_t mono_ns)
{
	struct json_object *o = new_object(w);

	put_string(w, o, "type", type, SIZE_MAX);
	put_u64(w, o, "schema", JSON_SCHEMA);
	put_time(w, o, "time", time);
	put_u64(w, o, "mono_ns", mono_ns);
	return o;
}

static int write_line(FILE *out, const char *line, size_t len)
{
	errno = 0;
	if (fwrite(line, 1, len, out) == len && putc('\n', out) != EOF)
		return 0;
	return errno ? -errno : -EIO;
}

/* Writes and frees @record. */
static int finish(struct writer *w, FILE *out, struct json_object *record)
{
	int flags = JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE;
	const char *line = NULL;
	size_t len = 0;
	int err;

	if (!w->no_memory)
		line = json_object_to_json_string_length(record, flags, &len);
	err = line ? write_line(out, line, len) : -ENOMEM;
	json_object_put(record);
	return err;
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
	put(&w, o, "peers", new_peers(&w, r));
	put(&w, o, "files", new_files(&w, r));
	put(&w, o, "stolen_cpu", new_stolen_cpu(&w, r));
	put_null(&w, o, "bursts");
	put_null(&w, o, "findings");
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
