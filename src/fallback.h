/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* What only some kernels offer and the programs have a lesser variant for, by the names of --force-fallback. */
#ifndef THREADPROF_FALLBACK_H
#define THREADPROF_FALLBACK_H

#include <stddef.h>

enum fallback {
	FALLBACK_KERNEL_BTF,	   /* a file's, and programs that the kernel needs none for */
	FALLBACK_TASK_STORAGE,	   /* a hash map */
	FALLBACK_TP_BTF,	   /* raw tracepoints for thread switches */
	FALLBACK_CURRENT_TASK_BTF, /* the task's address, and a copy of what is read of it */
	FALLBACK_TASK_PT_REGS,	   /* their place on the stack, learned at the start */
	FALLBACK_PREV_STATE,	   /* the state that is noted in the task */
	FALLBACK_GROUP_DEAD,	   /* the group's count of live threads */
	FALLBACK_MEM_ALLOC,	   /* maps that are allocated as a whole */
	FALLBACK_RDONLY_CAST,	   /* a helper that copies what is at an address */
	FALLBACK_STEADY_SYS_EXIT,  /* the tracepoint's perf event, or runs that the kernel skips */
	FALLBACK_STEADY_PROCESSES, /* the same for begin, exec and end of a process */
	NR_FALLBACKS,
};

#define FALLBACK_BIT(which) (1U << (which))

const char *fallback__name(enum fallback which);

/* Adds the names in @list, separated by commas, to @forced, a bit each. -EINVAL after a sentence on stderr. */
int fallback__parse(const char *list, unsigned *forced);

#endif /* THREADPROF_FALLBACK_H */
