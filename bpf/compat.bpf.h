/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * Every difference between kernels that the programs care about, each with the version it comes from and
 * each decided at run time from the running kernel's BTF.
 */
#ifndef THREADPROF_COMPAT_BPF_H
#define THREADPROF_COMPAT_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

/* Task states of include/linux/sched.h; the values have not changed since 4.14. */
#define TASK_UNINTERRUPTIBLE 0x0002
#define TASK_STOPPED_OR_TRACED (0x0004 | 0x0008)

/* task_struct::state became ::__state in 5.14 (2f064a59a11f). */
struct task_struct___state {
	volatile long state;
} __attribute__((preserve_access_index));

struct task_struct___new_state {
	unsigned int __state;
} __attribute__((preserve_access_index));

static __always_inline long compat__task_state(struct task_struct *task)
{
	struct task_struct___new_state *new_task = (void *)task;

	if (bpf_core_field_exists(new_task->__state))
		return BPF_CORE_READ(new_task, __state);
	return BPF_CORE_READ((struct task_struct___state *)task, state);
}

/* The CPU moved from task_struct into thread_info with 4.9 (x86) and 5.16 (arm64, 001430c1910d). */
struct task_struct___cpu {
	unsigned int cpu;
} __attribute__((preserve_access_index));

static __always_inline __u32 compat__task_cpu(struct task_struct *task)
{
	struct task_struct___cpu *with_cpu = (void *)task;

	if (bpf_core_field_exists(with_cpu->cpu))
		return BPF_CORE_READ(with_cpu, cpu);
	return task->thread_info.cpu;
}

/* task_struct::sched_info is there with CONFIG_SCHEDSTATS or CONFIG_TASK_DELAY_ACCT. */
static __always_inline bool compat__has_run_delay(void)
{
	return bpf_core_field_exists(((struct task_struct *)0)->sched_info.run_delay);
}

/* How long the task has waited for a CPU in its life; 0 where the kernel does not count it. */
static __always_inline __u64 compat__run_delay(struct task_struct *task)
{
	return compat__has_run_delay() ? task->sched_info.run_delay : 0;
}

/* file::f_count became ::f_ref in 6.13 (90ee6ed776c0): a count that goes below zero when the last is put. */
struct file___f_ref {
	struct {
		atomic_long_t refcnt;
	} f_ref;
} __attribute__((preserve_access_index));

struct file___f_count {
	atomic_long_t f_count;
} __attribute__((preserve_access_index));

/* Does anybody still hold the open file? Also right for one whose memory was freed a moment ago. */
static __always_inline bool compat__file_is_held(struct file *file)
{
	struct file___f_ref *with_ref = (void *)file;

	if (bpf_core_field_exists(with_ref->f_ref))
		return BPF_CORE_READ(with_ref, f_ref.refcnt.counter) >= 0;
	return BPF_CORE_READ((struct file___f_count *)file, f_count.counter) > 0;
}

/*
 * sched_switch got prev_state as a fourth argument in 5.18 (fa2c3254d7cf). Where it is missing the
 * task's own state field is as good: the tracepoint fires before anybody can change it.
 */
extern const volatile bool has_prev_state;

/* sched_process_exit got group_dead as a second argument in 6.16; before, the group's count of live threads. */
extern const volatile bool has_group_dead;

#endif /* THREADPROF_COMPAT_BPF_H */
