// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/* Findings about the number of threads, and about the queue in front of them. */
#include <stdio.h>

#include "finding_fact.h"
#include "units.h"

/* Requests wait until a thread is free, and more threads would have CPU time and no lock in their way. */
static bool more_threads_would_help(const struct finding_facts *f)
{
	const struct report_host *host = &f->r->host;
	double idle;

	if (facts__share(f, f->part_ns[TP_LOCK]) >= limit(LIMIT_SHARE))
		return false;
	if (!host->known)
		return true;
	if (host->throttled_ns >= limit(LIMIT_THROTTLED) * (double)f->r->duration_ns)
		return false;
	idle = (double)host->idle_ns / ((double)f->r->duration_ns * host->cpus);
	return idle >= f->easing * limit(LIMIT_CPU_FREE) || facts__share(f, f->part_ns[TP_RUNQ]) < limit(LIMIT_CPU_FREE);
}

bool rule__pool_too_small(const struct finding_facts *f, struct report_finding *finding)
{
	const struct report_host *host = &f->r->host;
	double busy_ratio, waiting, share, idle = 0;
	uint64_t threads = facts__serving(f, &busy_ratio);

	if (!threads || !f->r->duration_ns || f->whole_ns <= 0)
		return false;
	waiting = f->queue_ns / (double)f->r->duration_ns;
	share = f->queue_ns / (f->queue_ns + f->whole_ns - (f->of_requests ? f->part_ns[TP_HANDOFF] : 0));
	if (share < f->easing * limit(LIMIT_SHARE) || waiting < f->easing * limit(LIMIT_LOAD) ||
	    busy_ratio < limit(LIMIT_POOL_BUSY) || !more_threads_would_help(f))
		return false;
	finding->share = share;
	finding__add_ratio(finding, "request_share_ratio", share);
	finding__add_ratio(finding, "waiting_avg", waiting);
	finding__add_count(finding, "serving_threads", threads);
	finding__add_ratio(finding, "busy_ratio", busy_ratio);
	if (host->known) {
		idle = (double)host->idle_ns / ((double)f->r->duration_ns * host->cpus);
		finding__add_ratio(finding, "cpu_idle_ratio", idle);
	}
	finding__say(finding, "requests wait for a free thread: %s at a time, for %s of the time until they are answered; "
			      "the %s%s busy %s of their time",
		     NUMBER(waiting), PERCENT(share, 1.0), threads == 1 ? "one" : COUNT(threads, 9),
		     threads == 1 ? " thread that serves is" : " threads that serve are", PERCENT(busy_ratio, 1.0));
	if (host->known)
		finding__say(finding, ", and %s of the CPU is idle", PERCENT(idle, 1.0));
	finding__advise(finding, "more threads (or processes, in Python), as far as what they wait for can take more");
	return true;
}

bool rule__pool_too_large(const struct finding_facts *f, struct report_finding *finding)
{
	const struct report_pool *pool = &f->r->pool;

	if (!f->r->have_threads || !f->r->have_requests ||
	    (double)pool->unused < f->easing * limit(LIMIT_UNUSED_THREADS) ||
	    (double)pool->unused < f->easing * limit(LIMIT_UNUSED_RATIO) * (double)pool->threads ||
	    (double)pool->requests < limit(LIMIT_POOL_TURNS) * (double)pool->threads)
		return false;
	finding__add_count(finding, "unused_threads", pool->unused);
	finding__add_count(finding, "threads", pool->threads);
	finding__add_name(finding, "name", pool->name, TP_COMM_LEN);
	finding__add_count(finding, "requests", pool->requests);
	finding__add_count(finding, "stack_bytes", pool->stack_bytes);
	finding__add_count(finding, "stack_reserved_bytes", pool->reserved_bytes);
	finding__say(finding, "%s of %s threads named %.*s never had one of %s requests", COUNT(pool->unused, 9),
		     COUNT(pool->threads, 9), TP_COMM_LEN, pool->name, COUNT(pool->requests, 9));
	if (pool->stack_bytes != TP_UNKNOWN)
		finding__say(finding, "; their stacks hold %s (%s of address space)", BYTES(pool->stack_bytes),
			     BYTES(pool->reserved_bytes));
	finding__advise(finding, "a pool of %s would do for this load; watch a peak before you shrink it",
			COUNT(2 * (pool->threads - pool->unused), 9));
	return true;
}

bool rule__accept_queue_overflow(const struct finding_facts *f, struct report_finding *finding)
{
	const struct report *r = f->r;
	double retry_ns;

	if (!r->have_accept_queue || (double)r->accept_overflows < limit(LIMIT_OVERFLOWS))
		return false;
	/* What the clients wait that were turned away is a part of their requests that no server sees. */
	retry_ns = (double)r->accept_overflows * limit(LIMIT_RETRY) * 1e9;
	finding->share = retry_ns / (retry_ns + f->queue_ns + f->whole_ns);
	finding__add_ratio(finding, "request_share_ratio", finding->share);
	finding__add_count(finding, "overflows", r->accept_overflows);
	finding__add_count(finding, "accepted", r->have_requests ? r->accepted : TP_UNKNOWN);
	finding__add_count(finding, "limit", r->accept_limit);
	finding__add_count(finding, "max", r->accept_max);
	finding__say(finding, "the accept queue overflowed: %s client%s turned away and will wait a second or more; it "
			      "holds %s",
		     COUNT(r->accept_overflows, 9), r->accept_overflows == 1 ? " was" : "s were",
		     COUNT(r->accept_limit, 9));
	finding__advise(finding, "a larger backlog in listen() (and net.core.somaxconn), and a thread that accepts in "
				 "time");
	return true;
}
