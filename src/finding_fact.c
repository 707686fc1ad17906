// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "finding_fact.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "units.h"

const struct finding_limit_entry finding_limits[NR_LIMITS] = {
	[LIMIT_SHARE] = { "share", 0.20,
		"below a fifth, removing the cause is hardly felt; a quiet host shows up to a tenth" },
	[LIMIT_LOAD] = { "load", 0.05,
		"together the requests lose a twentieth of one thread's time: what is rarer and "
		"shorter does no harm" },
	[LIMIT_PER_REQUEST] = { "per_request_ms", 1,
		"or each request loses a millisecond, which its client can notice" },
	[LIMIT_LOAD_FLOOR] = { "load_floor", 0.005,
		"and not a single request now and then" },
	[LIMIT_STAY] = { "stay", 0.5,
		"a finding stays until half of its limit, so that it does not flicker at the limit" },
	[LIMIT_HOLD] = { "hold_intervals", 2,
		"a cause that comes and goes is one finding: it is held for so many intervals" },
	[LIMIT_BURST_SLOWDOWN] = { "burst_slowdown", 2,
		"latency inside a burst is twice that around it: chance varies it less" },
	[LIMIT_BURST_SHARE] = { "burst_share", 0.02,
		"a short burst is felt by those it hits, however long the interval" },
	[LIMIT_THROTTLED] = { "throttled", 0.01,
		"a hundredth of the interval: a limit that is reached once hurts nobody" },
	[LIMIT_CPU_FULL] = { "cpu_full", 0.85,
		"own threads fill the CPUs: the rest is switching, the kernel and ourselves" },
	[LIMIT_CPU_HIGH] = { "cpu_high", 0.60,
		"the same where own threads were also seen to wait for each other" },
	[LIMIT_CPU_FREE] = { "cpu_free", 0.10,
		"less idle CPU than this is none that more threads could use, unless requests wait "
		"for a CPU for less of their time than this" },
	[LIMIT_POOL_BUSY] = { "pool_busy", 0.85,
		"the rest is the way from one request to the next" },
	[LIMIT_UNUSED_THREADS] = { "unused_threads", 8,
		"fewer cost next to nothing" },
	[LIMIT_UNUSED_RATIO] = { "unused_ratio", 0.5,
		"a pool needs room for a peak: up to twice what is used" },
	[LIMIT_POOL_TURNS] = { "pool_turns", 2,
		"had each had its turn, each would have had two requests" },
	[LIMIT_OVERFLOWS] = { "overflows", 1,
		"each is a client that was turned away; a quiet host has none" },
	[LIMIT_RETRY] = { "retry_s", 1,
		"what a client that was turned away waits until it tries again (RFC 6298)" },
	[LIMIT_LOST_RATIO] = { "lost_ratio", 0.001,
		"one in a thousand events: less changes no number that is printed" },
	[LIMIT_UNEXPLAINED] = { "unexplained", 0.5,
		"half of the time in a state that has no cause of its own: not healthy, not known" },
};

double limit(enum finding_limit which)
{
	return finding_limits[which].value;
}

/* --- whose time --- */

static double sum(const double *ns)
{
	double total = 0;

	for (int i = 0; i < TP_NR_PARTS; i++)
		total += ns[i];
	return total;
}

/* What threads did that had requests in hand. */
static void add_busy_threads(struct finding_facts *f)
{
	for (size_t i = 0; i < f->r->nr_listed; i++) {
		const struct report_thread *thread = &f->r->threads[i];

		for (int j = 0; thread->busy_ns && j < TP_NR_STATES; j++)
			f->part_ns[j] += j == TP_IDLE ? 0 : (double)thread->state_ns[j];
	}
}

static void read_queue(struct finding_facts *f)
{
	const struct report *r = f->r;

	if (!r->have_requests)
		return;
	f->queue_ns = (r->queue_avg + r->accept_avg) * (double)r->duration_ns;
	if (!r->accepted && r->have_accept_queue) /* stuck: nothing was taken out of it */
		f->queue_ns += (double)r->accept_now * (double)r->duration_ns;
	if (f->of_requests)
		f->queue_ns += f->part_ns[TP_HANDOFF];
}

void facts__read(struct finding_facts *f, const struct report *r)
{
	*f = (struct finding_facts){ .r = r, .easing = 1 };
	if (r->have_requests && r->latency && r->latency->count) {
		f->requests = (double)r->latency->count;
		for (int i = 0; i < TP_NR_PARTS; i++)
			f->part_ns[i] = (double)r->part_ns[i];
		f->whole_ns = sum(f->part_ns);
		f->of_requests = !r->have_threads || f->whole_ns >= (double)r->busy_ns / 2;
	}
	if (!f->of_requests && r->have_threads) {
		memset(f->part_ns, 0, sizeof(f->part_ns));
		add_busy_threads(f);
		for (int i = 0; !r->busy_ns && i < TP_NR_STATES; i++)
			f->part_ns[i] = i == TP_IDLE || i == TP_SLEEP || i == TP_OTHER ? 0 : (double)r->state_ns[i];
		f->whole_ns = sum(f->part_ns);
	}
	read_queue(f);
}

double facts__share(const struct finding_facts *f, double ns)
{
	double share = f->whole_ns > 0 ? ns / f->whole_ns : 0;

	return share > 1 ? 1 : share;
}

bool facts__is_worth(const struct finding_facts *f, double ns)
{
	double load = f->r->duration_ns ? ns / (double)f->r->duration_ns : 0;
	double each_ms = f->of_requests ? ns / f->requests / 1e6 : 0;

	if (facts__share(f, ns) < f->easing * limit(LIMIT_SHARE))
		return false;
	return load >= f->easing * limit(LIMIT_LOAD) ||
	       (each_ms >= f->easing * limit(LIMIT_PER_REQUEST) && load >= f->easing * limit(LIMIT_LOAD_FLOOR));
}

const char *facts__share_text(const struct finding_facts *f, double ns, char *buf)
{
	snprintf(buf, 64, "%s of %s time", PERCENT(facts__share(f, ns), 1.0),
		 f->of_requests ? "request" : f->r->busy_ns ? "busy thread" : "thread");
	return buf;
}

const char *facts__each_text(const struct finding_facts *f, double ns, char *buf)
{
	buf[0] = '\0';
	if (f->of_requests)
		snprintf(buf, 64, " (%s per request)", DURATION((uint64_t)(ns / f->requests)));
	return buf;
}

/* --- threads --- */

uint64_t facts__serving(const struct finding_facts *f, double *busy_ratio)
{
	double busy_ns = 0, wall_ns = 0;
	uint64_t nr = 0;

	for (size_t i = 0; i < f->r->nr_listed; i++) {
		const struct report_thread *thread = &f->r->threads[i];

		if (!thread->requests && !thread->busy_ns)
			continue;
		nr++;
		busy_ns += (double)thread->busy_ns;
		wall_ns += (double)thread->wall_ns;
	}
	*busy_ratio = wall_ns > 0 ? busy_ns / wall_ns : 0;
	return nr;
}

const struct report_thread *facts__thread(const struct finding_facts *f, uint32_t tid)
{
	for (size_t i = 0; tid && i < f->r->nr_listed; i++) {
		if (f->r->threads[i].tid == tid)
			return &f->r->threads[i];
	}
	return NULL;
}

enum tp_state states__main(const uint64_t state_ns[TP_NR_STATES], uint32_t but, double *share)
{
	uint64_t most_ns = 0, whole = 0;
	enum tp_state most = TP_CPU;

	for (enum tp_state i = 0; i < TP_NR_STATES; i++) {
		if (but & 1U << i)
			continue;
		whole += state_ns[i];
		if (state_ns[i] > most_ns) {
			most_ns = state_ns[i];
			most = i;
		}
	}
	*share = whole ? (double)most_ns / (double)whole : 0;
	return most;
}

double facts__taken_ns(const struct finding_facts *f, bool own)
{
	double ns = 0;

	for (size_t i = 0; f->r->have_thieves && i < f->r->nr_thieves; i++)
		ns += f->r->thieves[i].own == own ? (double)f->r->thieves[i].ns : 0;
	return ns;
}

/* The part of the requests' waiting for a CPU that is due to who took @taken_ns from all threads. */
double facts__runq_ns(const struct finding_facts *f, double taken_ns)
{
	double whole = facts__taken_ns(f, true) + facts__taken_ns(f, false);

	if (f->r->have_threads && (double)f->r->state_ns[TP_RUNQ] > whole)
		whole = (double)f->r->state_ns[TP_RUNQ];
	return whole > 0 ? f->part_ns[TP_RUNQ] * taken_ns / whole : 0;
}

/* --- what is said --- */

void finding__say(struct report_finding *finding, const char *format, ...)
{
	size_t used = strlen(finding->text);
	va_list args;

	va_start(args, format);
	vsnprintf(finding->text + used, sizeof(finding->text) - used, format, args);
	va_end(args);
}

void finding__advise(struct report_finding *finding, const char *format, ...)
{
	size_t used = strlen(finding->next);
	va_list args;

	va_start(args, format);
	vsnprintf(finding->next + used, sizeof(finding->next) - used, format, args);
	va_end(args);
}

static struct report_evidence *add(struct report_finding *finding, const char *name)
{
	static struct report_evidence no_room;
	struct report_evidence *e = &no_room;

	if (finding->nr_evidence < REPORT_MAX_EVIDENCE)
		e = &finding->evidence[finding->nr_evidence++];
	*e = (struct report_evidence){ .name = name };
	return e;
}

void finding__add_count(struct report_finding *finding, const char *name, uint64_t count)
{
	struct report_evidence *e = add(finding, name);

	e->kind = count == TP_UNKNOWN ? EVIDENCE_UNKNOWN : EVIDENCE_COUNT;
	e->count = count;
}

void finding__add_ns(struct report_finding *finding, const char *name, double ns)
{
	finding__add_count(finding, name, ns > 0 ? (uint64_t)ns : 0);
}

void finding__add_ratio(struct report_finding *finding, const char *name, double ratio)
{
	struct report_evidence *e = add(finding, name);

	e->kind = EVIDENCE_RATIO;
	e->ratio = ratio;
}

void finding__add_text(struct report_finding *finding, const char *name, const char *text)
{
	struct report_evidence *e = add(finding, name);

	e->kind = text && text[0] ? EVIDENCE_TEXT : EVIDENCE_UNKNOWN;
	snprintf(e->text, sizeof(e->text), "%s", text ? text : "");
}

void finding__add_name(struct report_finding *finding, const char *name, const char *text, size_t max)
{
	char copy[256];

	snprintf(copy, sizeof(copy), "%.*s", (int)max, text);
	finding__add_text(finding, name, copy);
}

void finding__add_share(struct report_finding *finding, const struct finding_facts *f, double ns)
{
	finding->share = facts__share(f, ns);
	finding__add_ratio(finding, f->of_requests ? "request_share_ratio" : "thread_share_ratio", finding->share);
	finding__add_ns(finding, "wait_ns", ns);
	finding__add_count(finding, "wait_per_request_ns", f->of_requests ? (uint64_t)(ns / f->requests) : TP_UNKNOWN);
}

const char *path__last(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}
