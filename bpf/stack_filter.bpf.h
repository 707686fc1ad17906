/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * Whether a thread may be a target's, where a program is given user registers instead of a task, to ask for which takes
 * a call: they lie on the thread's kernel stack.
 */
#ifndef THREADPROF_STACK_FILTER_BPF_H
#define THREADPROF_STACK_FILTER_BPF_H

#include "vmlinux.h"

#include "compat.bpf.h"
#include "threadprof.h"

/*
 * A byte for each 16 KiB in 1 GiB, set for the stacks of the targets' threads, and not taken back when one ends: who
 * passes here is asked by task__may_be_target() and thread__get() as well.
 */
#define STACK_SHIFT 14
extern __u8 stack_filter[TP_FILTER_SIZE];

static __always_inline __u16 stack__index(__u64 regs)
{
	return regs >> STACK_SHIFT;
}

/* Where registers are on a stack must be known before the first thread is: see compat__learn_regs(). */
static __always_inline void stack__note(struct task_struct *task)
{
	if (reads_by_cast && regs_at)
		stack_filter[stack__index(compat__stack(task) + regs_at)] = 1;
}

static __always_inline bool stack__may_be_targets(struct pt_regs *regs)
{
	__u64 low;

	if (!reads_by_cast || !regs_at)
		return true;
	/* The half of a pointer is a number to the verifier; a pointer can't be shifted. */
	asm volatile("r1 = %1\n\tw1 = w1\n\t%0 = r1" : "=r"(low) : "r"(regs) : "r1");
	return stack_filter[stack__index(low)];
}

#endif /* THREADPROF_STACK_FILTER_BPF_H */
