/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * The host's other processes, as far as they matter to a server's report: bursts of short-lived ones, what
 * CPU time they took from the target, and what a process was that has ended since.
 */
#ifndef THREADPROF_NEIGHBOURS_H
#define THREADPROF_NEIGHBOURS_H

#include <stddef.h>
#include <stdint.h>

#include "object_cost.h"
#include "report.h"
#include "request.h"
#include "threadprof.h"

struct neighbours;

/* Attaches the probes of process begins, execs and ends. Negative errno after a sentence on stderr. */
int neighbours__new(struct neighbours **neighbours);
void neighbours__free(struct neighbours *neighbours);

/* Takes in what happened; many times in an interval. Negative errno. */
int neighbours__drain(struct neighbours *neighbours);

/* The executable of a process that lives, or has ended in this interval; "" where it is not known. */
const char *neighbours__exe(struct neighbours *neighbours, uint32_t tgid);

/* A process took CPU time that the target's threads waited for. */
void neighbours__on_thief(struct neighbours *neighbours, uint32_t tgid, uint64_t ns);

/*
 * Fills report->bursts with those that ended in this interval, each with what it took from the target and
 * with the latency of the requests in hand while it lasted, and around it. @final: also those that go
 * on. Valid until neighbours__next(). -ENOMEM, or 0.
 */
int neighbours__report(struct neighbours *neighbours, const struct requests *requests, bool final,
		       struct report *report);
void neighbours__next(struct neighbours *neighbours);

/* Runs of its programs that the kernel left out since the load; TP_UNKNOWN: it does not tell. */
uint64_t neighbours__skipped_runs(const struct neighbours *neighbours);

/* Records that were lost since the start. */
uint64_t neighbours__nr_lost(const struct neighbours *neighbours);

/* What the programs take: their maps' memory, and the programs themselves, to be measured. */
uint64_t neighbours__map_bytes(const struct neighbours *neighbours);
void neighbours__each_program(const struct neighbours *neighbours, program_fn fn, void *context);

#endif /* THREADPROF_NEIGHBOURS_H */
