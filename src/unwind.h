/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * From a copy of a thread's registers and the top of its stack to the chain of its calls, by the unwind tables
 * of the programs and libraries that it runs, as debuggers do it. The process is not touched. Code without
 * tables (compiled at run time, or assembled) is passed by the frame pointer, where it keeps one.
 */
#ifndef THREADPROF_UNWIND_H
#define THREADPROF_UNWIND_H

#include <stddef.h>
#include <stdint.h>

#include "symbols.h"
#include "threadprof.h"

#define UNWIND_MAX 64

struct unwinder;

/*
 * For the process that @symbols is of, with the mappings that it knows now: where symbols__version() changes, a
 * new one is needed. NULL when there is no memory. One thread only.
 */
struct unwinder *unwinder__new(struct symbols *symbols);
void unwinder__free(struct unwinder *unwinder);

/*
 * The calls in @rec, innermost first: addresses in the calling instruction, fit for symbols__frame(). Returns
 * their number, at least the first.
 */
size_t unwinder__walk(struct unwinder *unwinder, const struct tp_rec_stack *rec, uint64_t pcs[UNWIND_MAX]);

#endif /* THREADPROF_UNWIND_H */
