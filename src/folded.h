/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * Stacks of waits in the folded form that flame graph tools read, one a line:
 * "STATE;ROOT;…;LEAF MICROSECONDS".
 */
#ifndef THREADPROF_FOLDED_H
#define THREADPROF_FOLDED_H

#include <stdio.h>

#include "stacks.h"

/* One stack: as many lines as there are states in which it was waited with. @frames: the innermost one first. */
void folded__write_stack(FILE *out, char *const *frames, size_t nr_frames, const uint64_t state_ns[TP_NR_STATES]);

/* Can a file be made there? 0, or negative errno. */
int folded__check(const char *path);

/* Writes all that @stacks has kept; the file is there as a whole or not at all. Negative errno. */
int folded__write(struct stacks *stacks, const char *path);

#endif /* THREADPROF_FOLDED_H */
