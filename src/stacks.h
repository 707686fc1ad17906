/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * Where waits happened: takes the stacks that the kernel side has copied, and unwinds and names them in a thread
 * of its own, so that neither delays the reader of the ring buffer. What is in hand is bounded: no more stacks are
 * asked for than there is room.
 */
#ifndef THREADPROF_STACKS_H
#define THREADPROF_STACKS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "names.h"
#include "report.h"
#include "threadprof.h"

struct stacks;

/* Uses, and does not own, @names. Starts the thread. -ENOMEM, -EAGAIN, or 0. */
int stacks__new(struct names *names, struct stacks **out);

/*
 * Gives the thread a second: it may be reading a file of a gigabyte. False: it still runs, and uses @stacks and the
 * names, which are left to it; only for the end of the program.
 */
bool stacks__free(struct stacks *stacks);

/* How many more stacks may come before the next call. */
unsigned int stacks__room(struct stacks *stacks);

/* Copies @rec. */
void stacks__submit(struct stacks *stacks, const struct tp_rec_stack *rec);

/* Waits until all that was submitted is named, or the time is over. */
void stacks__settle(struct stacks *stacks, unsigned int timeout_ms);

/*
 * Fills in the site and the stack of a lock: of all that were taken in this interval, the one for which most was
 * waited. Nothing where none was. Valid until stacks__next().
 */
void stacks__fill(struct stacks *stacks, struct report_lock *lock);

void stacks__next(struct stacks *stacks);

/*
 * From now on keeps what every stack was waited with, by state, until the end: for the stacks of all waits. Beyond
 * STACKS_MAX_KEPT stacks new ones are kept together, without frames.
 */
#define STACKS_MAX_KEPT 16384
void stacks__keep(struct stacks *stacks);

/* Calls @fn for each stack that is kept: its frames, the innermost one first, and how long was waited there. */
typedef void (*stacks_fn)(void *context, char *const *frames, size_t nr_frames, const uint64_t *state_ns);
void stacks__each(struct stacks *stacks, stacks_fn fn, void *context);

#endif /* THREADPROF_STACKS_H */
