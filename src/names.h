/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* Names for the locks of the target's processes, and where CPython keeps its GIL in them. */
#ifndef THREADPROF_NAMES_H
#define THREADPROF_NAMES_H

#include <stddef.h>
#include <stdint.h>

#include "symbols.h"
#include "threadprof.h"
#include "unwind.h"

struct names;

struct names *names__new(void); /* NULL when there is no memory */
void names__free(struct names *names);

/* A process that is profiled from now on, or that has become another program. Looks for its GIL, and whether it is Go. */
void names__on_process(struct names *names, uint32_t tgid);

/* A process that was forked: what is known of its parent holds for it. Cheap. */
void names__on_fork(struct names *names, uint32_t tgid, uint32_t parent_tgid);

/* Forgets a process that has ended. */
void names__on_exit(struct names *names, uint32_t tgid);

/* The address ranges of locks whose kind is known by their place. Valid until the next change. */
const struct tp_range *names__ranges(const struct names *names, size_t *count);

/*
 * Names a lock: "big_lock", "pool+0x40", "GIL (_PyRuntime+0x1b0)"; "" where it lies in no program or library.
 * May read symbol tables when it meets a module for the first time.
 */
void names__lock(struct names *names, uint32_t tgid, uint64_t addr, uint32_t kind, char *buf, size_t size);

/*
 * The calls in a stack, and what runs at one of them: see unwinder__walk() and symbols__frame(). These two may be
 * called by another thread than the rest; a call of one thread waits for that of the other.
 */
size_t names__unwind(struct names *names, const struct tp_rec_stack *rec, uint64_t pcs[UNWIND_MAX]);
int names__frames(struct names *names, uint32_t tgid, uint64_t pc, struct symbols_frame *frames, size_t max);

/* From now on a process's mappings are read again when it is looked at the next time. */
void names__next(struct names *names);

#endif /* THREADPROF_NAMES_H */
