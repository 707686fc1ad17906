/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * Carries what the session has to the reducers, at each interval's end and in between: the only place that
 * knows both.
 */
#ifndef THREADPROF_COLLECT_H
#define THREADPROF_COLLECT_H

#include <stdbool.h>
#include <stdint.h>

#include "host.h"
#include "lock_probes.h"
#include "names.h"
#include "neighbours.h"
#include "own_cost.h"
#include "profile.h"
#include "resolve.h"
#include "session.h"
#include "socket.h"
#include "stacks.h"
#include "target.h"

struct collector {
	struct session *session;
	struct targets *targets;
	struct profile profile;
	struct sockets *sockets;
	struct names *names;
	struct stacks *stacks;
	bool stacks_of_all; /* come, and are kept for collector__write_folded() */
	struct neighbours *neighbours; /* NULL: the host's other processes are not seen */
	struct lock_probes *lock_probes; /* NULL: not asked for; not owned */
	bool counts_locks;
	uint64_t lost_processes_before;
	uint64_t skipped_before; /* runs of programs */
	struct own_cost *cost;
	struct resolver *resolver; /* NULL: addresses stay as they are */
	struct host *host; /* NULL: not looked at */
	struct report_pool pool; /* whose unused threads' stacks were measured last */
	uint32_t *pids; /* of the report */
	uint64_t begin_ns; /* of the interval */
	bool sweep_due; /* connections may be gone without a close(2) */
	bool ranges_changed; /* of locks whose kind is known by their place */
};

/* -ENOMEM, or 0. The collector uses, and does not own, @session and @targets. */
int collector__init(struct collector *collector, struct session *session, struct targets *targets,
		    const struct requests_config *config, bool resolve);
void collector__free(struct collector *collector);

/* Tells the session of the targets, adopts their threads and connections, and begins the first interval. */
int collector__start(struct collector *collector);

/* Does the same for targets that were added since, by other means than the kernel side's own word. Negative errno. */
int collector__admit(struct collector *collector);

/* Takes what is in the ring buffer; many times in an interval. Negative errno. */
int collector__drain(struct collector *collector);

/* Has the cost judged; many times in an interval. True: @feature went off or came back. */
bool collector__mind_cost(struct collector *collector, struct report_feature *feature);

/* Looks for connections that are gone, if something happened that may have closed them unseen. */
int collector__sweep_if_due(struct collector *collector);

/* Fills @report for the interval that ends now; valid until collector__next(). Negative errno. */
int collector__report(struct collector *collector, bool final, struct report *report);
void collector__next(struct collector *collector);

/* Keeps the stacks of all waits from now on, … */
void collector__keep_stacks(struct collector *collector);
/* … and writes them. Negative errno. */
int collector__write_folded(struct collector *collector, const char *path);

#endif /* THREADPROF_COLLECT_H */
