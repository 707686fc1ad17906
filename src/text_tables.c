// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "text_page.h"

#include <inttypes.h>
#include <string.h>

static size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* A blank line, then a line in bold that the caller ends. */
static struct line *start_table(struct page *p)
{
	page__end_line(p);
	line__style(&p->line, LINE_BOLD);
	return &p->line;
}

/* ---- what was waited for ---- */

#define MAX_NAME_COLUMNS 72 /* so that on a wide terminal the eye finds the row's numbers */

#define WAIT_SHARE(r, ns) PERCENT((double)(ns), (double)page__wait_whole(r))

static const char *share_title(const struct report *r)
{
	return page__has_busy_time(r) ? "of busy" : "non-idle";
}

static void write_more(struct page *p, size_t nr, size_t shown)
{
	if (nr <= shown)
		return;
	line__add(&p->line, "and %s more", COUNT(nr - shown, 9));
	page__end_line(p);
}

/* "  tid 4711 worker-3 held it for 88 % of it, in disk 71 %, cpu 29 %" */
static void write_holder(struct page *p, const struct report_lock *lock, const struct report_holder *h)
{
	struct line *l = &p->line;
	struct part parts[TP_NR_STATES];
	size_t used = page__sort_parts(parts, h->state_ns, TP_NR_STATES);
	double known = 0;

	line__add(l, "  tid %" PRIu32 " ", h->tid);
	line__name(l, TP_COMM_LEN, h->comm, sizeof(h->comm));
	line__add(l, "%sheld it in %s of that time", h->comm[0] ? " " : "",
		  PERCENT((double)h->ns, (double)lock->wait_ns));
	for (size_t i = 0; i < used; i++)
		known += (double)parts[i].ns;
	for (size_t i = 0; i < used && i < 2 && (double)parts[i].ns > known / 20; i++)
		line__add(l, "%s %s %s", i ? "," : ", while in", parts[i].name, PERCENT((double)parts[i].ns, known));
	page__end_line(p);
}

/* Where a lock was waited for, and who held it meanwhile. */
static void write_lock_details(struct page *p, const struct report_lock *lock)
{
	struct line *l = &p->line;

	if (lock->site[0]) {
		line__add(l, "  at ");
		line__name(l, line__room(l), lock->site, sizeof(lock->site));
		page__end_line(p);
	}
	for (size_t i = 0; i < lock->nr_holders && i < 2; i++) {
		/* a second one only where it is more than a detail */
		if (!i || lock->holders[i].ns > lock->holders[0].ns / 4)
			write_holder(p, lock, &lock->holders[i]);
	}
}

static void write_lock(struct page *p, const struct report_lock *lock, size_t name_columns)
{
	struct line *l = &p->line;
	char owner[16];

	if (p->r->nr_pids > 1)
		line__add(l, "%" PRIu32 " ", lock->tgid);
	if (lock->name[0])
		line__name(l, name_columns - l->columns, lock->name, sizeof(lock->name));
	else
		line__add(l, "0x%" PRIx64, lock->addr);
	line__pad(l, name_columns);
	snprintf(owner, sizeof(owner), "%" PRIu32, lock->owner_tid);
	line__right(l, 10, tp_lock_kind_name(lock->kind));
	line__right(l, 8, COUNT(lock->waits, 7));
	line__right(l, 10, DURATION(lock->wait_ns));
	line__right(l, 10, DURATION(lock->max_ns));
	line__right(l, 9, WAIT_SHARE(p->r, lock->wait_ns));
	line__right(l, 9, lock->owner_tid ? owner : DASH);
	page__end_line(p);
	write_lock_details(p, lock);
}

void page__write_locks(struct page *p)
{
	const struct report *r = p->r;
	size_t nr = r->nr_locks, shown, name_columns;
	struct line *l;

	/* Where calls are seen, there are locks without a wait; they come last. */
	while (nr && r->locks[nr - 1].calls.calls && !r->locks[nr - 1].waits && !r->locks[nr - 1].wait_ns)
		nr--;
	shown = min_size(nr, p->o->top_waits);
	if (!r->have_locks || !shown)
		return;
	l = start_table(p);
	name_columns = min_size(line__room(l) - (10 + 8 + 10 + 10 + 9 + 9), MAX_NAME_COLUMNS);
	line__add(l, r->nr_pids > 1 ? "waits for locks, by pid" : "waits for locks");
	line__pad(l, name_columns);
	line__right(l, 10, "kind");
	line__right(l, 8, "waits");
	line__right(l, 10, "total");
	line__right(l, 10, "max");
	line__right(l, 9, share_title(r));
	line__right(l, 9, "owner");
	page__end_line(p);
	for (size_t i = 0; i < shown; i++)
		write_lock(p, &r->locks[i], name_columns);
	write_more(p, nr, shown);
}

#define WAIT_COLUMNS (9 + 11 + 11 + 10)

static void start_waits(struct page *p, const char *title)
{
	struct line *l = start_table(p);

	line__add(l, "%s", title);
	line__pad(l, min_size(l->max - WAIT_COLUMNS, MAX_NAME_COLUMNS));
	line__right(l, 9, "waits");
	line__right(l, 11, "total");
	line__right(l, 11, "mean");
	line__right(l, 10, share_title(p->r));
	page__end_line(p);
}

static void write_waits_on(struct page *p, const char *name, size_t max, uint64_t waits,
			   uint64_t wait_ns)
{
	struct line *l = &p->line;
	size_t name_columns = min_size(l->max - WAIT_COLUMNS, MAX_NAME_COLUMNS);

	line__name(l, name_columns, name, max);
	line__pad(l, name_columns);
	line__right(l, 9, COUNT(waits, 8));
	line__right(l, 11, DURATION(wait_ns));
	line__right(l, 11, waits ? DURATION(wait_ns / waits) : "");
	line__right(l, 10, WAIT_SHARE(p->r, wait_ns));
	page__end_line(p);
}

static void write_peer(struct page *p, const struct report_peer *peer)
{
	if (peer->name[0])
		write_waits_on(p, peer->name, sizeof(peer->name), peer->waits, peer->wait_ns);
	else
		write_waits_on(p, peer->addr, sizeof(peer->addr), peer->waits, peer->wait_ns);
}

/* Most of its answers were waited for in a poll of many connections. */
static bool is_polled(const struct report_peer *peer)
{
	return peer->answer_ns + peer->unanswered_ns > 2 * peer->wait_ns;
}

static void write_polled_peer(struct page *p, const struct report_peer *peer)
{
	struct line *l = &p->line;
	size_t name_columns = min_size(l->max - WAIT_COLUMNS, MAX_NAME_COLUMNS);

	line__name(l, name_columns, peer->name[0] ? peer->name : peer->addr,
		   peer->name[0] ? sizeof(peer->name) : sizeof(peer->addr));
	line__pad(l, name_columns);
	line__right(l, 9, COUNT(peer->answers, 8));
	line__right(l, 11, DURATION(peer->answer_ns));
	line__right(l, 11, peer->answers ? DURATION(peer->answer_ns / peer->answers) : DASH);
	line__right(l, 10, COUNT(peer->unanswered, 9));
	page__end_line(p);
}

static void start_polled(struct page *p)
{
	struct line *l = start_table(p);

	line__add(l, "answers that polls waited for");
	line__pad(l, min_size(l->max - WAIT_COLUMNS, MAX_NAME_COLUMNS));
	line__right(l, 9, "answers");
	line__right(l, 11, "total");
	line__right(l, 11, "mean");
	line__right(l, 10, "open");
	page__end_line(p);
}

/* Those that are @polled, or those that a thread slept for alone. */
static void write_peers(struct page *p, bool polled)
{
	size_t nr = 0;

	for (size_t i = 0; i < p->r->nr_peers; i++) {
		const struct report_peer *peer = &p->r->peers[i];

		if (polled ? !is_polled(peer) : !peer->waits && !peer->wait_ns)
			continue;
		if (nr++ >= p->o->top_waits)
			continue;
		if (nr == 1 && polled)
			start_polled(p);
		else if (nr == 1)
			start_waits(p, "waits for the network");
		if (polled)
			write_polled_peer(p, peer);
		else
			write_peer(p, peer);
	}
	write_more(p, nr, min_size(nr, p->o->top_waits));
}

void page__write_peers(struct page *p)
{
	if (!p->r->have_peers || !p->o->top_waits)
		return;
	write_peers(p, false);
	write_peers(p, true);
}

void page__write_files(struct page *p)
{
	const struct report *r = p->r;
	size_t shown = min_size(r->nr_files, p->o->top_waits);

	if (!r->have_peers || !shown)
		return;
	start_waits(p, "waits for the disk");
	for (size_t i = 0; i < shown; i++)
		write_waits_on(p, r->files[i].name, sizeof(r->files[i].name), r->files[i].waits,
			       r->files[i].wait_ns);
	write_more(p, r->nr_files, shown);
}

void page__write_thieves(struct page *p)
{
	const struct report *r = p->r;
	size_t shown = min_size(r->nr_thieves, p->o->top_waits), name_columns;
	struct line *l;

	if (!r->have_thieves || !shown)
		return;
	l = start_table(p);
	name_columns = min_size(line__room(l) - 21, MAX_NAME_COLUMNS);
	line__add(l, "waits for a CPU that ran");
	line__pad(l, name_columns);
	line__right(l, 11, "total");
	line__right(l, 10, "of runq");
	page__end_line(p);
	for (size_t i = 0; i < shown; i++) {
		const struct report_thief *t = &r->thieves[i];

		line__name(l, 16, t->comm, sizeof(t->comm));
		line__add(l, "  ");
		line__pad(l, 18);
		line__add(l, "%s", t->own ? "(its own) " : "");
		line__name(l, name_columns - l->columns, t->exe, sizeof(t->exe));
		line__pad(l, name_columns);
		line__right(l, 11, DURATION(t->ns));
		line__right(l, 10,
			    r->have_threads ? PERCENT((double)t->ns, (double)r->state_ns[TP_RUNQ])
					    : DASH);
		page__end_line(p);
	}
	write_more(p, r->nr_thieves, shown);
}

/* "cron > sh > worker": who launched it, and what it is. */
static void write_burst_kind(struct page *p, const struct report_burst *b)
{
	const char *slash = strrchr(b->exe, '/');
	const char *name = slash && slash[1] ? slash + 1 : b->exe;
	struct line *l = &p->line;

	line__pad(l, 2);
	for (size_t i = 0; i < b->nr_ancestry; i++) {
		line__name(l, TP_COMM_LEN, b->ancestry[i], sizeof(b->ancestry[i]));
		line__add(l, " > ");
	}
	line__name(l, line__room(l), name, sizeof(b->exe) - (size_t)(name - b->exe));
	page__end_line(p);
}

static void write_burst(struct page *p, const struct report_burst *b, size_t name_columns)
{
	const char *slash = strrchr(b->exe, '/');
	const char *name = slash && slash[1] ? slash + 1 : b->exe;
	const struct report *r = p->r;
	struct line *l = &p->line;

	line__name(l, name_columns, name, sizeof(b->exe) - (size_t)(name - b->exe));
	line__pad(l, name_columns);
	line__right(l, 8, COUNT(b->count, 7));
	line__right(l, 8, COUNT(b->peak, 7));
	line__right(l, 11, DURATION(histogram__mean(&b->life)));
	line__right(l, 10, b->period_ns ? DURATION(b->period_ns) : DASH);
	line__right(l, 10, DURATION(b->stolen_ns));
	line__right(l, 9, r->have_threads ? PERCENT((double)b->stolen_ns, (double)r->state_ns[TP_RUNQ]) : DASH);
	page__end_line(p);
	if (b->nr_ancestry)
		write_burst_kind(p, b);
	if (b->inside_ns == TP_UNKNOWN || b->outside_ns == TP_UNKNOWN)
		return;
	line__add(l, "  requests took %s on average while it lasted, %s around it", DURATION(b->inside_ns),
		  DURATION(b->outside_ns));
	page__end_line(p);
}

void page__write_bursts(struct page *p)
{
	const struct report *r = p->r;
	size_t shown = min_size(r->nr_bursts, p->o->top_waits), name_columns;
	struct line *l;

	if (!r->have_bursts || !shown)
		return;
	l = start_table(p);
	name_columns = min_size(line__room(l) - 56, MAX_NAME_COLUMNS);
	line__add(l, "bursts of processes");
	line__pad(l, name_columns);
	line__right(l, 8, "count");
	line__right(l, 8, "at once");
	line__right(l, 11, "mean life");
	line__right(l, 10, "every");
	line__right(l, 10, "took");
	line__right(l, 9, "of runq");
	page__end_line(p);
	for (size_t i = 0; i < shown; i++)
		write_burst(p, &r->bursts[i], name_columns);
	write_more(p, r->nr_bursts, shown);
}

/* ---- slow requests ---- */

static void write_slow_parts(struct page *p, const struct tp_request *q)
{
	struct line *l = &p->line;
	struct part parts[TP_NR_PARTS];
	uint64_t ns[TP_NR_PARTS];
	size_t used;

	for (size_t i = 0; i < TP_NR_PARTS; i++)
		ns[i] = q->part_ns[i];
	used = page__sort_parts(parts, ns, TP_NR_PARTS);
	line__pad(l, 11);
	line__add(l, "fd %" PRId32 " #%" PRIu32 ":", q->fd, q->seq);
	for (size_t i = 0; i < used && i < 3; i++)
		line__add(l, "%s %s %s", i ? "," : "", parts[i].name, DURATION(parts[i].ns));
	if (q->queue_wait_ns != TP_NO_QUEUE_WAIT)
		line__add(l, "; queued %s", DURATION(q->queue_wait_ns));
	page__end_line(p);
}

static void write_slow_request(struct page *p, const struct report_request *slow)
{
	const struct tp_request *q = &slow->r;
	struct line *l = &p->line;
	char time[40], tids[32];
	size_t client_columns;

	snprintf(tids, sizeof(tids), "%" PRIu32, q->read_tid);
	if (q->write_tid != q->read_tid)
		snprintf(tids, sizeof(tids), "%" PRIu32 "->%" PRIu32, q->read_tid, q->write_tid);
	line__right(l, 9, q->end_ns >= q->start_ns ? DURATION(q->end_ns - q->start_ns) : DASH);
	line__add(l, "  %s.%03ldZ  ", page__time(time, &slow->start, false),
		  slow->start.tv_nsec / 1000000 % 1000);
	client_columns = l->columns + 22;
	line__name(l, line__room(l) - strlen(tids) - 3 - TP_COMM_LEN,
		   slow->client[0] ? slow->client : DASH, sizeof(slow->client));
	line__pad(l, client_columns);
	line__add(l, "  %s ", tids);
	line__name(l, line__room(l), slow->comm, sizeof(slow->comm));
	page__end_line(p);
	write_slow_parts(p, q);
}

void page__write_slow_requests(struct page *p)
{
	const struct report *r = p->r;
	size_t shown = min_size(r->nr_slow, p->o->top_slow);

	if (!r->have_requests || !shown)
		return;
	line__add(start_table(p), "slow requests");
	page__end_line(p);
	for (size_t i = 0; i < shown; i++)
		write_slow_request(p, &r->slow[i]);
	write_more(p, r->nr_slow, shown);
}

/* ---- threads ---- */

#define TID_COLUMNS 7
#define THREAD_FIXED_COLUMNS 65 /* of a row, but for the name */

static double sum_states(const uint64_t *state_ns)
{
	double sum = 0;

	for (size_t state = 0; state < TP_NR_STATES; state++)
		sum += (double)state_ns[state];
	return sum;
}

/* A whole number of percent; 0 only for nothing and 100 only for all. */
static void add_percent(struct line *l, size_t width, double part, double whole)
{
	double percent = whole > 0 ? 100.0 * part / whole : 0;
	char text[16];

	if (!(whole > 0)) {
		line__right(l, width, DASH);
		return;
	}
	if (percent > 99 && percent < 100)
		percent = 99;
	if (percent > 999)
		percent = 999;
	snprintf(text, sizeof(text), percent > 0 && percent < 0.5 ? "<1" : "%.0f", percent);
	line__right(l, width, text);
}

static size_t state_columns(size_t state)
{
	size_t len = strlen(tp_part_names[state]);

	return (len < 3 ? 3 : len) + 1;
}

static void add_states(struct line *l, const uint64_t *state_ns)
{
	double whole = sum_states(state_ns);

	for (size_t state = 0; state < TP_NR_STATES; state++) {
		bool waits = state == TP_RUNQ || state == TP_LOCK || state == TP_WAIT ||
			     state == TP_DISK || state == TP_NET;
		bool much = waits && (double)state_ns[state] > whole / 4;

		if (much)
			line__style(l, LINE_WARN);
		add_percent(l, state_columns(state), (double)state_ns[state], whole);
		if (much)
			line__style(l, LINE_PLAIN);
	}
}

static void write_thread(struct page *p, const struct report_thread *t, size_t name_columns)
{
	struct line *l = &p->line;
	bool have = p->r->have_requests;
	char tid[16];

	snprintf(tid, sizeof(tid), "%" PRIu32, t->tid);
	line__right(l, TID_COLUMNS, tid);
	line__add(l, t->exited ? "*" : " ");
	line__name(l, name_columns, t->comm, sizeof(t->comm));
	line__pad(l, TID_COLUMNS + 1 + name_columns);
	line__right(l, 7, have ? COUNT(t->requests, 6) : DASH);
	if (have)
		add_percent(l, 5, (double)t->busy_ns, (double)t->wall_ns);
	else
		line__right(l, 5, DASH);
	add_states(l, t->state_ns);
	page__end_line(p);
}

/* Threads worth a row: idle for less than 99.9 % of their time. They come first in the report. */
static size_t nr_busy_threads(const struct page *p)
{
	const struct report *r = p->r;
	size_t nr = 0, max = min_size(r->nr_listed, p->o->top_threads);

	while (nr < max) {
		const uint64_t *state_ns = r->threads[nr].state_ns;
		double whole = sum_states(state_ns);

		if (whole - (double)state_ns[TP_IDLE] <= whole / 1000)
			break;
		nr++;
	}
	return nr;
}

static void write_rest(struct page *p, size_t shown, size_t name_columns)
{
	const struct report *r = p->r;
	struct line *l = &p->line;
	uint64_t rest = r->rest_threads + (r->nr_listed - shown);
	uint64_t state_ns[TP_NR_STATES];

	if (!rest)
		return;
	memcpy(state_ns, r->rest_state_ns, sizeof(state_ns));
	for (size_t i = shown; i < r->nr_listed; i++) {
		for (size_t state = 0; state < TP_NR_STATES; state++)
			state_ns[state] += r->threads[i].state_ns[state];
	}
	line__pad(l, TID_COLUMNS + 1);
	line__add(l, shown ? "and %s more" : "all %s", COUNT(rest, 6));
	line__pad(l, TID_COLUMNS + 1 + name_columns + 7 + 5);
	add_states(l, state_ns);
	page__end_line(p);
}

void page__write_threads(struct page *p)
{
	const struct report *r = p->r;
	size_t shown, name_columns;
	bool any_exited = false;
	struct line *l;

	if (!r->have_threads)
		return;
	l = start_table(p);
	shown = nr_busy_threads(p);
	name_columns = min_size(line__room(l) - THREAD_FIXED_COLUMNS, 32);
	line__right(l, TID_COLUMNS, "tid");
	line__add(l, " thread, %% time");
	line__pad(l, TID_COLUMNS + 1 + name_columns);
	line__right(l, 7, "reqs");
	line__right(l, 5, "busy");
	for (size_t state = 0; state < TP_NR_STATES; state++)
		line__right(l, state_columns(state), tp_part_names[state]);
	page__end_line(p);
	for (size_t i = 0; i < shown; i++) {
		write_thread(p, &r->threads[i], name_columns);
		any_exited |= r->threads[i].exited;
	}
	write_rest(p, shown, name_columns);
	if (any_exited) {
		line__pad(l, TID_COLUMNS);
		line__add(l, "* ended in this interval");
		page__end_line(p);
	}
}
