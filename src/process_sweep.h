/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* After ends were lost: which of the processes that we take for living are gone? */
#ifndef THREADPROF_PROCESS_SWEEP_H
#define THREADPROF_PROCESS_SWEEP_H

#include <stdint.h>

#include "process.h"
#include "snoop_session.h"

/* All zero at first. */
struct process_sweep {
	uint64_t nr_lost; /* ends, when it was last looked */
	uint64_t at_ns;
};

/*
 * Called again and again. If the session has lost ends since the last time, at most once a second: asks the
 * kernel for all processes, and takes those out that are gone. @fn is called with @context for each record
 * and must hand it to @processes. Negative errno.
 */
int process_sweep__run(struct process_sweep *sweep, struct snoop_session *session, struct processes *processes,
		       snoop_record_fn fn, void *context);

#endif /* THREADPROF_PROCESS_SWEEP_H */
