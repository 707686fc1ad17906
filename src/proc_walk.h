/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* The processes and threads that /proc has, by their ids. */
#ifndef THREADPROF_PROC_WALK_H
#define THREADPROF_PROC_WALK_H

#include <stdint.h>

/* Anything but 0 ends the walk. */
typedef int (*proc_walk_fn)(void *context, uint32_t id);

/* Each process. What @fn returned last, or negative errno. */
int proc_walk__processes(proc_walk_fn fn, void *context);

/* Each thread of process @tgid; a process that is gone has none. */
int proc_walk__threads(uint32_t tgid, proc_walk_fn fn, void *context);

#endif /* THREADPROF_PROC_WALK_H */
