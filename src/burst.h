/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * Finds bursts: many processes of the same executable and the same ancestry that start within a
 * short time. Pure: told of every process, asked now and then what has come to its end.
 *
 * Processes belong together by the names of their makers, not by their pids: cron starts another
 * shell every minute, and it is the same burst that comes back.
 */
#ifndef THREADPROF_BURST_H
#define THREADPROF_BURST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "histogram.h"

#define BURST_MAX_ANCESTORS 32

struct burst_config {
	uint64_t min; /* so many starts, at least 2, … */
	uint64_t window_ns; /* … within this time are a burst */
};

struct burst {
	const char *exe;
	const char *launcher; /* name of the maker; "" where it is not known */
	const char *ancestry[BURST_MAX_ANCESTORS]; /* the first maker first, the launcher last */
	size_t nr_ancestry;
	uint64_t start_ns; /* first start */
	uint64_t end_ns; /* last end */
	uint64_t count;
	uint64_t peak; /* most that lived at once */
	struct histogram *life;
	struct histogram *cpu; /* of each; fewer than count where that is not known */
	bool continues; /* it has not ended: the rest will be reported as another */
	uint64_t seen; /* bursts of this kind so far, this one included */
	/*
	 * Time from start to start, and its largest deviation; 0: it does not repeat, or at no
	 * fixed time.
	 */
	uint64_t period_ns;
	uint64_t jitter_ns;
};

struct bursts;
struct burst_group;

struct bursts *bursts__new(const struct burst_config *config); /* NULL: no memory */
void bursts__free(struct bursts *bursts);

/*
 * A process now executes @exe; @names are its makers', the first one first. Returns the group that
 * it belongs to, until bursts__leave() or bursts__end(); NULL when there is no memory.
 */
struct burst_group *bursts__enter(struct bursts *bursts, const char *exe, const char *const *names,
				  size_t nr_names);

/*
 * The process is no longer of @group, and never was: it executes something else, or is of no
 * interest.
 */
void bursts__leave(struct burst_group *group);

/*
 * The process has ended. @cpu_ns: UINT64_MAX where it is not known. 0 or -ENOMEM; it has left in
 * any case.
 */
int bursts__end(struct burst_group *group, uint64_t start_ns, uint64_t end_ns, uint64_t cpu_ns);

typedef void (*burst_fn)(void *context, const struct burst *burst);

/*
 * Delivers the bursts that nothing can be added to any more at @now_ns; @final: all there are. A
 * burst that goes on for a minute, or for more than 65536 processes, is delivered in pieces. 0 or
 * -ENOMEM.
 */
int bursts__expire(struct bursts *bursts, uint64_t now_ns, bool final, burst_fn fn, void *context);

#endif /* THREADPROF_BURST_H */
