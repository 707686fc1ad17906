/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * Probes on the lock functions of the target's processes, for --locks=uprobe: puts them in, sees to it that
 * they cost no more than they may, and takes them away. Whatever goes wrong, the scheduler's view of the same
 * locks goes on beside it.
 */
#ifndef THREADPROF_LOCK_PROBES_H
#define THREADPROF_LOCK_PROBES_H

#include <stdbool.h>
#include <stdint.h>

#include "report.h"
#include "session.h"

struct lock_probes;

/*
 * Measures on threadprof itself what a probed call costs here, which takes about 0.1 s. @max_ratio: the share
 * of one CPU that may be lost. NULL when there is no memory; what else is wrong lock_probes__feature() says.
 */
struct lock_probes *lock_probes__new(struct session *session, double max_ratio);
/* Takes the probes away. NULL is fine. */
void lock_probes__free(struct lock_probes *probes);

/*
 * A process of the target, that runs, or that has just begun or become another program: then its libraries may
 * come a little later. Its probes are put in by the next lock_probes__run() after @due_ns. -ENOMEM, or 0.
 */
int lock_probes__on_process(struct lock_probes *probes, uint32_t tgid, bool has_begun, uint64_t due_ns);
void lock_probes__on_exit(struct lock_probes *probes, uint32_t tgid);

/* To be called many times a second: takes all probes away if they cost too much; puts those in that are due. */
void lock_probes__run(struct lock_probes *probes, uint64_t now_ns);

/* Are there any, or would there be some if they were not paused? */
bool lock_probes__are_in(const struct lock_probes *probes);

/*
 * Takes all probes away for some time, as long as measuring costs too much (not the probes alone, for which there is
 * the guard); false: puts them in again. No effect once the guard has taken them away.
 */
void lock_probes__pause(struct lock_probes *probes, bool is_paused, uint64_t now_ns);

/* True if what is to be said has changed since the last call. @feature refers to @probes. */
bool lock_probes__feature(struct lock_probes *probes, struct report_feature *feature);

/* Fills report->lock_probes; the counters start anew. */
void lock_probes__report(struct lock_probes *probes, struct report *report);

/* Takes the probes away before the last report goes out. */
void lock_probes__detach(struct lock_probes *probes);

#endif /* THREADPROF_LOCK_PROBES_H */
