/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* Which burst a process may be a part of, by what it executes and who made it. */
#ifndef THREADPROF_PROCESS_BURST_H
#define THREADPROF_PROCESS_BURST_H

#include "burst.h"
#include "process.h"

/* Puts @process into the group of what it executes now, out of the one it was in. -ENOMEM, or 0. */
int process__enter_burst(struct process *process, struct bursts *bursts);

/* Takes @process out of the group it is in, if any. */
void process__leave_burst(struct process *process);

#endif /* THREADPROF_PROCESS_BURST_H */
