// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "text_page.h"

#define LABEL_COLUMNS 16

static uint64_t nr_requests(const struct report *r)
{
	return r->have_requests && r->latency ? r->latency->count : 0;
}

static bool any_lost(const struct report *r)
{
	bool lost = r->lost_reports > 0 || r->lost_processes > 0 || (r->skipped_runs > 0 && r->skipped_runs != TP_UNKNOWN);

	for (size_t i = 0; i < TP_NR_LOSSES; i++)
		lost |= r->lost[i] > 0;
	return lost;
}

/* ---- the head ---- */

static void write_header(struct page *p)
{
	const struct report *r = p->r;
	struct line *l = &p->line;
	char time[40], tail[120], more[32] = "";

	if (r->nr_pids > 1)
		snprintf(more, sizeof(more), " +%zu", r->nr_pids - 1);
	snprintf(tail, sizeof(tail), "  pid %" PRIu32 "%s  %s thread%s",
		 r->nr_pids ? r->pids[0] : 0, more,
		 r->nr_threads == TP_UNKNOWN ? DASH : COUNT(r->nr_threads, 9),
		 r->nr_threads == 1 ? "" : "s");

	line__style(l, LINE_BOLD);
	line__add(l, "%sZ  %s%s  ", page__time(time, &r->time, true), DURATION(r->duration_ns),
		  r->partial ? " (partial)" : "");
	line__name(l, line__room(l) - (strlen(tail) < line__room(l) ? strlen(tail) : line__room(l)),
		   r->comm, sizeof(r->comm));
	line__add(l, "%s ", tail);
	while (line__room(l))
		line__add(l, "=");
	page__end_line(p);
}

/* "71 % in lock, 12 % in cpu, rest 2.9 %" as far as the line has room */
static void add_parts(struct line *l, const uint64_t *ns, size_t nr)
{
	const size_t rest_room = sizeof(", rest 9.9 %") - 1;
	struct part parts[TP_NR_PARTS];
	double whole = 0, told = 0;
	size_t used = page__sort_parts(parts, ns, nr), i;

	for (i = 0; i < used; i++)
		whole += (double)parts[i].ns;
	for (i = 0; i < used; i++) {
		char text[64];
		int len = snprintf(text, sizeof(text), "%s%s in %s", i ? ", " : "",
				   PERCENT((double)parts[i].ns, whole), parts[i].name);

		if ((size_t)len + rest_room > line__room(l) ||
		    (i && (double)parts[i].ns < whole / 100))
			break;
		line__add(l, "%s", text);
		told += (double)parts[i].ns;
	}
	if (i < used)
		line__add(l, ", rest %s", PERCENT(whole - told, whole));
}

static void write_headline(struct page *p)
{
	const struct report *r = p->r;
	struct line *l = &p->line;
	uint64_t ns[TP_NR_STATES];

	line__style(l, LINE_BOLD);
	if (nr_requests(r) && r->have_parts) {
		line__add(l, "requests spent ");
		add_parts(l, r->part_ns, TP_NR_PARTS);
		page__end_line(p);
		return;
	}
	if (nr_requests(r))
		line__add(l, "requests: what they spent their time on was not measured (-)");
	else
		line__add(l, "%s", r->have_requests ? "no request finished" : "requests: not measured (-)");
	memcpy(ns, r->state_ns, sizeof(ns));
	ns[TP_IDLE] = 0;
	if (!r->have_threads) {
		line__add(l, "; threads: not measured (-)");
	} else if (page__non_idle_ns(r)) {
		line__add(l, "; non-idle threads: ");
		add_parts(l, ns, TP_NR_STATES);
	} else {
		line__add(l, "; all threads were idle");
	}
	page__end_line(p);
}

static void write_alarms(struct page *p)
{
	const struct report *r = p->r;

	if (r->have_accept_queue && r->accept_overflows) {
		line__style(&p->line, LINE_ALARM);
		line__add(&p->line,
			  "!! accept queue overflowed %s time%s: clients were turned away",
			  COUNT(r->accept_overflows, 13), r->accept_overflows == 1 ? "" : "s");
		page__end_line(p);
	}
	if (any_lost(r)) {
		line__style(&p->line, LINE_ALARM);
		line__add(&p->line,
			  "!! something was lost: the numbers are incomplete, see LOST below");
		page__end_line(p);
	}
}

/* ---- the six metrics ---- */

static void add_label(struct line *l, const char *label)
{
	line__add(l, "%s", label);
	line__pad(l, LABEL_COLUMNS);
}

static void write_percentiles(struct page *p, const char *label, const struct histogram *h,
			      bool with_rate)
{
	static const double percents[] = { 50, 90, 99 };
	const struct report *r = p->r;
	struct line *l = &p->line;
	bool have = r->have_requests && h;
	double seconds = (double)r->duration_ns / 1e9;

	add_label(l, label);
	line__right(l, 9, have ? COUNT(h->count, 9) : DASH);
	if (!with_rate)
		line__right(l, 11, "");
	else
		line__right(l, 11, have && seconds > 0 ? RATE((double)h->count / seconds) : DASH);
	for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
		if (!have)
			line__right(l, 11, DASH);
		else if (h->count)
			line__right(l, 11, DURATION(histogram__percentile(h, percents[i])));
	}
	if (!have)
		line__right(l, 11, DASH);
	else if (h->count)
		line__right(l, 11, DURATION(h->max));
	page__end_line(p);
}

static void write_latencies(struct page *p)
{
	static const char *const titles[] = { "rate", "p50", "p90", "p99", "max" };
	struct line *l = &p->line;

	page__end_line(p);
	line__style(l, LINE_BOLD);
	line__pad(l, LABEL_COLUMNS);
	line__right(l, 9, "count");
	for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
		line__right(l, 11, titles[i]);
	page__end_line(p);
	write_percentiles(p, "request latency", p->r->latency, true);
	write_percentiles(p, "queue wait", p->r->queue_wait, false);
	write_percentiles(p, "connections", p->r->conn_latency, true);
}

static void write_queue(struct page *p)
{
	const struct report *r = p->r;
	struct line *l = &p->line;
	bool have = r->have_requests;

	add_label(l, "queue");
	line__right(l, 9, have ? COUNT(r->queue_now, 9) : DASH);
	line__add(l, " now, %s max, ", have ? COUNT(r->queue_max, 9) : DASH);
	line__add(l, "%s on average", have ? NUMBER(r->queue_avg) : DASH);
	page__end_line(p);
}

static void write_accept_queue(struct page *p)
{
	const struct report *r = p->r;
	struct line *l = &p->line;

	add_label(l, "accept queue");
	if (!r->have_accept_queue) {
		line__right(l, 9, DASH);
		line__add(l, " (not measured, or the target does not listen)");
		page__end_line(p);
		return;
	}
	line__right(l, 9, COUNT(r->accept_now, 9));
	line__add(l, " now, %s max of %s, ", COUNT(r->accept_max, 9), COUNT(r->accept_limit, 9));
	if (r->accept_overflows)
		line__style(l, LINE_ALARM);
	line__add(l, "%s %s", COUNT(r->accept_overflows, 9),
		  r->accept_overflows ? "OVERFLOWS" : "overflows");
	page__end_line(p);
}

static void write_connections(struct page *p)
{
	const struct report *r = p->r;
	struct line *l = &p->line;
	bool have = r->have_requests;

	add_label(l, "");
	line__right(l, 9, have ? COUNT(r->accepted, 9) : DASH);
	line__add(l, " accepted, %s closed, ", have ? COUNT(r->closed, 9) : DASH);
	line__add(l, "%s open", have ? COUNT(r->open, 9) : DASH);
	if (have && r->unanswered)
		line__add(l, ", %s request%s unanswered", COUNT(r->unanswered, 9),
			  r->unanswered == 1 ? "" : "s");
	page__end_line(p);
}

static void write_utilization(struct page *p)
{
	const struct report *r = p->r;
	struct line *l = &p->line;
	bool have = r->have_requests && r->have_threads;
	uint64_t threads = r->nr_threads + r->nr_exited;

	add_label(l, "threads");
	line__right(l, 9, have ? COUNT(r->active, 9) : DASH);
	line__add(l, " active of %s", r->have_threads ? COUNT(threads, 9) : DASH);
	line__add(l, " (%s), ", have ? PERCENT((double)r->active, (double)threads) : DASH);
	line__add(l, "busy %s of their time",
		  have ? PERCENT((double)r->busy_ns, (double)r->wall_ns) : DASH);
	page__end_line(p);
}

static void write_wait(struct page *p, const char *label, enum tp_state state, bool have)
{
	const struct report *r = p->r;
	struct line *l = &p->line;
	uint64_t requests = nr_requests(r), ns = r->state_ns[state], whole = page__wait_whole(r);

	add_label(l, label);
	line__right(l, 9, have ? DURATION(ns) : DASH);
	if (have && whole) {
		line__right(l, 11, PERCENT((double)ns, (double)whole));
		line__add(l, " of %s time", page__has_busy_time(r) ? "busy" : "non-idle");
	}
	if (have && requests && r->have_parts)
		line__add(l, ", %s per request", DURATION(r->part_ns[state] / requests));
	page__end_line(p);
}

static void write_metrics(struct page *p)
{
	const struct report *r = p->r;

	write_latencies(p);
	write_connections(p);
	write_queue(p);
	write_accept_queue(p);
	write_utilization(p);
	write_wait(p, "lock wait", TP_LOCK, r->have_threads);
	write_wait(p, "I/O wait: disk", TP_DISK, r->have_threads);
	write_wait(p, "I/O wait: net", TP_NET, r->have_threads);
}

/* ---- what is missing, and what it cost ---- */

static void write_loss(struct page *p, uint64_t count, const char *what, const char *why)
{
	if (!count)
		return;
	line__style(&p->line, LINE_ALARM);
	line__add(&p->line, "!! LOST %s: %s (%s)", what, COUNT(count, 13), why);
	page__end_line(p);
}

static void write_losses(struct page *p)
{
	static const struct {
		const char *what;
		const char *why;
	} texts[TP_NR_LOSSES] = {
		[TP_LOSS_RING_BUFFER] = { "records", "no room in the ring buffer" },
		[TP_LOSS_CONN_MAP] = { "connections and their requests", "more than --max-connections" },
		[TP_LOSS_DETAIL_MAP] = { "locks, peers, files or CPU users", "no room in a table" },
		[TP_LOSS_THREAD] = { "threads", "no room for their counters" },
		[TP_LOSS_CLOCK_BACKWARDS] = { "stretches of time", "the clock ran backwards" },
		[TP_LOSS_UNMATCHED] = { "connections", "gone before a look at them" },
		[TP_LOSS_LOCK_CALL] = { "calls of lock functions", "their return was not seen" },
	};

	if (any_lost(p->r))
		page__end_line(p);
	for (size_t i = 0; i < TP_NR_LOSSES; i++)
		write_loss(p, p->r->lost[i], texts[i].what, texts[i].why);
	write_loss(p, p->r->lost_processes, "processes of the host", "no room in the ring buffer");
	if (p->r->skipped_runs != TP_UNKNOWN)
		write_loss(p, p->r->skipped_runs, "events of any process", "the kernel skipped a program");
	write_loss(p, p->r->lost_reports, "reports", "nobody read them in time");
}

static void write_switched_off(struct page *p)
{
	const struct report *r = p->r;
	const char *separator = "  ";

	line__add(&p->line, "switched off to keep within %.3g %% of a CPU (--max-overhead):",
		  100 * r->max_overhead_ratio);
	page__end_line(p);
	for (size_t i = 0; i < TP_NR_DETAILS; i++) {
		if (!(r->details_off & 1U << i))
			continue;
		line__add(&p->line, "%s%s", separator, tp_detail_names[i]);
		separator = ", ";
	}
	page__end_line(p);
}

static void write_cost(struct page *p)
{
	const struct report *r = p->r;
	struct line *l = &p->line;
	bool have_bpf = r->bpf_ns != TP_UNKNOWN, have_cpu = r->user_cpu_ns != TP_UNKNOWN;
	double duration_ns = r->duration_ns;

	page__end_line(p);
	line__add(l, "own cost: CPU %s", have_cpu ? DURATION(r->user_cpu_ns) : DASH);
	if (have_cpu && r->duration_ns)
		line__add(l, " (%s)", PERCENT((double)r->user_cpu_ns, duration_ns));
	line__add(l, ", in the kernel %s", have_bpf ? DURATION(r->bpf_ns) : DASH);
	line__add(l, ", %s", r->rss_bytes == TP_UNKNOWN ? DASH : BYTES(r->rss_bytes + r->map_bytes));
	line__add(l, ", %s events", COUNT(r->events, 9));
	page__end_line(p);
	if (have_bpf && have_cpu && r->duration_ns) {
		line__add(l, "          together %s of a CPU", PERCENT((double)r->user_cpu_ns + (double)r->bpf_ns, duration_ns));
		if (nr_requests(r))
			line__add(l, "; in the kernel %s a request", DURATION(r->bpf_ns / nr_requests(r)));
		page__end_line(p);
	}
	if (r->details_off)
		write_switched_off(p);
}

int text__write_interval(FILE *out, const struct report *r, const struct text_options *o)
{
	struct page p = { .out = out, .r = r, .o = o };

	line__init(&p.line, o->columns, o->color);
	write_header(&p);
	page__write_findings(&p);
	page__write_changes(&p);
	write_headline(&p);
	write_alarms(&p);
	page__write_lock_probes(&p);
	write_metrics(&p);
	page__write_locks(&p);
	page__write_lock_calls(&p);
	page__write_peers(&p);
	page__write_files(&p);
	page__write_thieves(&p);
	page__write_bursts(&p);
	page__write_slow_requests(&p);
	page__write_threads(&p);
	write_losses(&p);
	write_cost(&p);
	page__end_line(&p);
	return p.err;
}
