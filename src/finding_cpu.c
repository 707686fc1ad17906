// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/* Findings about CPU time: taken by others, limited, used up. */
#include <stdio.h>
#include <string.h>

#include "finding_fact.h"
#include "units.h"

/* --- a limit of the cgroup --- */

static double larger(double a, double b)
{
	return a > b ? a : b;
}

/*
 * The part of all waiting for a CPU that came from the limit, at least: the share of the time that it stopped
 * the target's CPUs, or of the waiting while nobody ran. Who runs meanwhile has taken nothing.
 */
static double throttled_ratio(const struct finding_facts *f)
{
	const struct report_host *host = &f->r->host;
	double runq_ns = f->r->have_threads ? (double)f->r->state_ns[TP_RUNQ] : 0, ratio, alone, stopped;

	if (!host->known || !host->throttled || runq_ns <= 0 ||
	    (double)host->throttled_ns < f->easing * limit(LIMIT_THROTTLED) * (double)f->r->duration_ns)
		return 0;
	alone = (runq_ns - facts__taken_ns(f, true) - facts__taken_ns(f, false)) / runq_ns;
	stopped = (double)host->throttled_ns / ((double)f->r->duration_ns * host->cpus);
	ratio = larger((double)host->throttled_ns / runq_ns, larger(alone, stopped));
	return ratio > 1 ? 1 : ratio;
}

bool rule__cpu_throttled(const struct finding_facts *f, struct report_finding *finding)
{
	const struct report_host *host = &f->r->host;
	double ns = f->part_ns[TP_RUNQ] * throttled_ratio(f);
	char share[64], each[64];

	if (!facts__is_worth(f, ns))
		return false;
	finding__add_share(finding, f, ns);
	finding__add_count(finding, "throttled", host->throttled);
	finding__add_count(finding, "throttled_ns", host->throttled_ns);
	finding__say(finding, "%s is waiting for the end of the cgroup's CPU limit%s: it stopped the target %s times, "
			      "for %s together",
		     facts__share_text(f, ns, share), facts__each_text(f, ns, each), COUNT(host->throttled, 9),
		     DURATION(host->throttled_ns));
	finding__advise(finding, "raise the container's CPU limit (cpu.max), or lower the number of its threads");
	return true;
}

/* --- others --- */

static const struct report_thief *top_thief(const struct finding_facts *f)
{
	for (size_t i = 0; f->r->have_thieves && i < f->r->nr_thieves; i++) {
		if (!f->r->thieves[i].own)
			return &f->r->thieves[i];
	}
	return NULL;
}

/* A burst in this interval that made the requests in hand much slower than those around it. */
static bool burst_hurts(const struct finding_facts *f)
{
	const struct report_burst *b = f->burst;

	return b && f->burst_is_new && b->stolen_ns && b->nr_inside && b->nr_outside &&
	       (double)b->inside_ns >= limit(LIMIT_BURST_SLOWDOWN) * (double)b->outside_ns;
}

/* What the requests in hand lost by it, of the time of those and the ones around it. */
static double burst_share(const struct report_burst *b)
{
	double inside = (double)b->nr_inside * (double)b->inside_ns;
	double outside = (double)b->nr_outside * (double)b->outside_ns;

	return (inside - (double)b->nr_inside * (double)b->outside_ns) / (inside + outside + 1);
}

static void say_burst(const struct report_burst *b, struct report_finding *finding)
{
	char makers[REPORT_MAX_ANCESTRY * (TP_COMM_LEN + 4)] = "";
	size_t length = 0, first = b->nr_ancestry > 3 ? b->nr_ancestry - 3 : 0;

	for (size_t i = first; i < b->nr_ancestry; i++)
		length += (size_t)snprintf(makers + length, sizeof(makers) - length, "%s%s", i > first ? " > " : "",
					   b->ancestry[i]);
	finding__say(finding, ": bursts of %s short-lived processes, launched by %s", COUNT(b->count, 9),
		     makers[0] ? makers : "?");
	if (b->period_ns)
		finding__say(finding, ", every %s", DURATION(b->period_ns));
	if (b->nr_inside && b->nr_outside)
		finding__say(finding, "; a request takes %s meanwhile, else %s", DURATION(b->inside_ns),
			     DURATION(b->outside_ns));
	finding__add_text(finding, "launcher", b->launcher);
	finding__add_text(finding, "launched_by", makers);
	finding__add_count(finding, "processes", b->count);
	finding__add_count(finding, "period_ns", b->period_ns ? b->period_ns : TP_UNKNOWN);
	finding__add_count(finding, "burst_stolen_ns", b->stolen_ns);
	finding__add_count(finding, "latency_inside_ns", b->inside_ns);
	finding__add_count(finding, "latency_outside_ns", b->outside_ns);
}

bool rule__cpu_stolen(const struct finding_facts *f, struct report_finding *finding)
{
	const struct report_thief *thief = top_thief(f);
	double taken_ns = facts__taken_ns(f, false), ns = facts__runq_ns(f, taken_ns), room;
	bool by_burst = burst_hurts(f) && burst_share(f->burst) >= limit(LIMIT_BURST_SHARE);
	bool names_burst;
	const char *exe;
	char share[64], each[64];

	room = f->part_ns[TP_RUNQ] * (1 - throttled_ratio(f));
	ns = ns < room ? ns : room;
	if (!by_burst && (!thief || !facts__is_worth(f, ns)))
		return false;
	names_burst = f->burst && (by_burst || !strcmp(f->burst->exe, thief->exe));
	exe = names_burst ? f->burst->exe : thief->exe[0] ? thief->exe : thief->comm;
	finding__add_share(finding, f, ns);
	if (by_burst && burst_share(f->burst) > finding->share)
		finding->share = burst_share(f->burst);
	finding__add_count(finding, "taken_ns", (uint64_t)taken_ns);
	finding__add_text(finding, "executable", exe);
	if (thief)
		finding__add_name(finding, "comm", thief->comm, sizeof(thief->comm));
	finding__add_ratio(finding, "executable_ratio", thief && taken_ns > 0 ? (double)thief->ns / taken_ns : 0);
	finding__say(finding, "%s is waiting for a CPU%s that %.*s", facts__share_text(f, ns, share),
		     facts__each_text(f, ns, each), MAX_QUOTED, path__last(exe));
	if (!names_burst && strncmp(path__last(exe), thief->comm, sizeof(thief->comm) - 1))
		finding__say(finding, " (%.*s)", TP_COMM_LEN, thief->comm); /* an interpreter's name says little */
	finding__say(finding, "%s", names_burst || (double)thief->ns > 0.9 * taken_ns ? " takes" : " and others take");
	if (names_burst)
		say_burst(f->burst, finding);
	finding__advise(finding, names_burst ? "see what its launcher is told to start, and how often; give it lower "
					       "priority (nice, cpu.weight) or other CPUs"
					     : "give that program lower priority (nice, cpu.weight) or other CPUs; "
					       "'threadprof snoop' shows who starts it");
	return true;
}

/* --- the target itself --- */

bool rule__cpu_saturated(const struct finding_facts *f, struct report_finding *finding)
{
	const struct report_host *host = &f->r->host;
	double own_ns = facts__runq_ns(f, facts__taken_ns(f, true)), ns = f->part_ns[TP_CPU] + own_ns, used;
	char share[64], each[64];

	if (!host->known || !f->r->have_threads || !f->r->duration_ns)
		return false;
	used = (double)f->r->state_ns[TP_CPU] / ((double)f->r->duration_ns * host->cpus);
	if (used < f->easing * limit(LIMIT_CPU_HIGH) ||
	    (used < limit(LIMIT_CPU_FULL) && facts__share(f, own_ns) < f->easing * limit(LIMIT_SHARE)))
		return false;
	if (!facts__is_worth(f, ns))
		return false;
	finding__add_share(finding, f, ns);
	finding__add_ratio(finding, "cpus_used", used * host->cpus);
	finding__add_count(finding, "cpus", host->cpus);
	finding__add_ns(finding, "own_runq_ns", own_ns);
	finding__say(finding, "the target's own threads keep %s of %u CPUs busy: %s is computing or waiting for a CPU "
			      "that its own threads use%s",
		     NUMBER(used * host->cpus), host->cpus, facts__share_text(f, ns, share),
		     facts__each_text(f, ns, each));
	finding__advise(finding, "more threads will not help: give it more CPUs, or find what computes with a profiler "
				 "(perf top -p)");
	return true;
}
