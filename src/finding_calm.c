// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/* What is said where no cause was found: what can't be seen, what can't be explained, or that all is well. */
#include <stdio.h>
#include <string.h>

#include "finding_fact.h"
#include "units.h"

static uint64_t nr_lost(const struct report *r)
{
	uint64_t lost = r->lost_processes + r->lost_reports;

	/* Not all of them were events of the target. */
	if (r->skipped_runs != TP_UNKNOWN)
		lost += r->skipped_runs;

	for (int i = 0; i < TP_NR_LOSSES; i++)
		lost += r->lost[i];
	return lost;
}

static void add_off(char *names, size_t size, const char *name)
{
	size_t length = strlen(names);

	snprintf(names + length, size - length, "%s%s", length ? ", " : "", name);
}

bool rule__blind_spot(const struct finding_facts *f, struct report_finding *finding)
{
	const struct report *r = f->r;
	uint64_t lost = nr_lost(r), nr_off = 0;
	const char *remedy = NULL, *separator = "";
	char off[200] = "";

	if ((double)lost <= limit(LIMIT_LOST_RATIO) * (double)r->events)
		lost = 0;
	for (size_t i = 0; i < r->nr_features; i++) {
		if (strcmp(r->features[i].state, "off"))
			continue;
		nr_off++;
		remedy = r->features[i].remedy;
		add_off(off, sizeof(off), r->features[i].name);
	}
	if (!lost && !nr_off && !r->io_urings)
		return false;
	finding__add_count(finding, "lost", lost);
	finding__add_count(finding, "io_urings", r->io_urings);
	finding__add_text(finding, "features_off", off);
	finding__say(finding, "there is more than these numbers show: ");
	if (r->io_urings) {
		finding__say(finding, "the target uses io_uring, whose reads and writes are no system calls and are not "
				      "seen");
		separator = "; ";
		finding__advise(finding, "count its requests where they come from; thread states still hold. ");
	}
	if (lost) {
		finding__say(finding, "%s%s events were lost", separator, COUNT(lost, 13));
		separator = "; ";
		finding__advise(finding, "the report's LOST lines say why. ");
	}
	if (nr_off) {
		finding__say(finding, "%soff here: %s", separator, off);
		finding__advise(finding, "%s", remedy ? remedy : "run with --verbose for the kernel's own words");
	}
	return true;
}

bool rule__unexplained(const struct finding_facts *f, struct report_finding *finding)
{
	static const struct {
		int part;
		const char *meaning;
		const char *next;
	} states[] = {
		{ TP_WAIT, "waiting for another thread (a condition variable, semaphore or future)",
		  "see in the list of threads which other ones are busy meanwhile, and with what" },
		{ TP_HANDOFF, "between two threads that share a request", "see how busy the threads are that answer" },
		{ TP_SLEEP, "asleep in nanosleep", "find who sleeps on purpose: a retry, a rate limit, a poll" },
		{ TP_OTHER, "blocked in something else (a pipe, a child process)",
		  "'strace -p' or /proc/PID/task/TID/stack of such a thread says where" },
		{ TP_RUNQ, "waiting for a CPU, and nobody was seen to take it",
		  "see whether the machine itself is short of CPUs (steal time in vmstat), or idles deeply" },
		{ TP_LOCK, "waiting for locks, none of which stands out", "see the table of locks" },
	};
	char share[64], each[64];
	size_t most = 0;

	for (size_t i = 1; i < sizeof(states) / sizeof(states[0]); i++) {
		if (f->part_ns[states[i].part] > f->part_ns[states[most].part])
			most = i;
	}
	if (facts__share(f, f->part_ns[states[most].part]) < limit(LIMIT_UNEXPLAINED) ||
	    !facts__is_worth(f, f->part_ns[states[most].part]))
		return false;
	finding__add_share(finding, f, f->part_ns[states[most].part]);
	finding__add_text(finding, "state", tp_part_names[states[most].part]);
	finding__say(finding, "%s is spent %s%s", facts__share_text(f, f->part_ns[states[most].part], share),
		     states[most].meaning, facts__each_text(f, f->part_ns[states[most].part], each));
	finding__advise(finding, "%s", states[most].next);
	return true;
}

static void add_part(const struct finding_facts *f, struct report_finding *finding, const char *name, int part)
{
	if (f->whole_ns > 0)
		finding__add_ratio(finding, name, facts__share(f, f->part_ns[part]));
	else
		finding__add_text(finding, name, NULL);
}

bool rule__all_clear(const struct finding_facts *f, struct report_finding *finding)
{
	const struct report *r = f->r;
	bool any = r->have_requests && r->latency && r->latency->count;
	double busy = r->wall_ns ? (double)r->busy_ns / (double)r->wall_ns : 0;

	finding__add_count(finding, "requests", any ? r->latency->count : r->have_requests ? 0 : TP_UNKNOWN);
	finding__add_count(finding, "latency_p99_ns", any ? histogram__percentile(r->latency, 99) : TP_UNKNOWN);
	add_part(f, finding, "lock_ratio", TP_LOCK);
	add_part(f, finding, "runq_ratio", TP_RUNQ);
	add_part(f, finding, "disk_ratio", TP_DISK);
	add_part(f, finding, "net_ratio", TP_NET);
	finding__add_ratio(finding, "busy_ratio", busy);
	finding__add_ratio(finding, "waiting_avg", r->duration_ns ? f->queue_ns / (double)r->duration_ns : 0);
	finding__add_count(finding, "overflows", r->have_accept_queue ? r->accept_overflows : TP_UNKNOWN);
	finding__add_count(finding, "lost", nr_lost(r));
	finding__say(finding, "nothing stands out: ");
	if (!any) {
		finding__say(finding, "no request was answered, and the threads used %s of CPU time",
			     DURATION(r->have_threads ? r->state_ns[TP_CPU] : 0));
		if (r->have_requests && r->open)
			finding__say(finding, "; %s connection%s open, and what was asked on one before threadprof "
					      "came is not known",
				     COUNT(r->open, 9), r->open == 1 ? " is" : "s are");
	} else {
		finding__say(finding, "%s requests, p99 %s, of whose time %s in lock, %s in runq, %s in disk, %s in net; "
				      "threads busy %s, %s waiting for one",
			     COUNT(r->latency->count, 9), DURATION(histogram__percentile(r->latency, 99)),
			     PERCENT(f->part_ns[TP_LOCK], f->whole_ns), PERCENT(f->part_ns[TP_RUNQ], f->whole_ns),
			     PERCENT(f->part_ns[TP_DISK], f->whole_ns), PERCENT(f->part_ns[TP_NET], f->whole_ns),
			     PERCENT(busy, 1.0), NUMBER(f->queue_ns / ((double)r->duration_ns + 1)));
	}
	finding__advise(finding, "if it is slow all the same, look at its clients, and at the servers that it asks");
	return true;
}
