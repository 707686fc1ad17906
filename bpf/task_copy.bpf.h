/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/* Tasks that a program may not read through: copies of the members that are read of them. */
#ifndef THREADPROF_TASK_COPY_BPF_H
#define THREADPROF_TASK_COPY_BPF_H

#include "threadprof.bpf.h"

#define copy_member(copy, task, member) \
	bpf_core_read(&(copy)->member, sizeof((copy)->member), &(task)->member)

/* Who @task is, and where it runs: this much of any task. NULL only to please the verifier. */
static __always_inline struct task_struct *task__copy(const struct task_struct *task, enum task_copy_of which)
{
	struct task_copy *scratch = compat__task_copy(which);
	struct task_struct *copy;

	if (!scratch)
		return NULL;
	copy = (struct task_struct *)scratch->task;
	copy_member(copy, task, pid);
	copy_member(copy, task, tgid);
	copy_member(copy, task, group_leader);
	if (compat__has_run_delay()) {
		copy_member(copy, task, sched_info.run_delay);
		copy_member(copy, task, sched_info.last_arrival);
		copy_member(copy, task, sched_info.last_queued);
	}
	if (compat__has_run_queue())
		copy_member(copy, task, se.cfs_rq);
	if (is_in_pid_namespace)
		copy_member(copy, task, thread_pid);
	compat__copy_task_cpu(copy, task);
	return copy;
}

/* What is read of a task that runs or has just run. What is not copied here is 0 for all readers. */
static __always_inline void task__copy_accounts(struct task_struct *copy, const struct task_struct *task)
{
	copy_member(copy, task, files);
	copy_member(copy, task, se.sum_exec_runtime);
}

/* The rest that is read of a task when it leaves its CPU. */
static __always_inline void task__copy_rest(struct task_struct *copy, const struct task_struct *task,
					    enum task_copy_of which)
{
	__u32 io_at = bpf_core_field_offset(task->in_iowait), io_size = bpf_core_field_size(task->in_iowait);
	struct task_copy *scratch = compat__task_copy(which);

	if (!scratch)
		return;
	task__copy_accounts(copy, task);
	bpf_probe_read_kernel((void *)copy + io_at, io_size, (const void *)task + io_at);
	compat__copy_regs(scratch->own_regs, (__u64)BPF_CORE_READ(task, stack));
}

/* A task that was looked for: all that is read of one where an iterator would have it. */
static __always_inline struct task_struct *task__copy_found(const struct task_struct *task, enum task_copy_of which)
{
	__u32 on_cpu_at = bpf_core_field_offset(task->on_cpu), on_cpu_size = bpf_core_field_size(task->on_cpu);
	struct task_struct *copy = task__copy(task, which);

	if (!copy)
		return NULL;
	task__copy_rest(copy, task, which);
	copy_member(copy, task, start_time);
	bpf_probe_read_kernel((void *)copy + on_cpu_at, on_cpu_size, (const void *)task + on_cpu_at);
	return copy;
}

/* The current task: itself where the kernel gives it in a way to be read, otherwise who it is. */
static __always_inline struct task_struct *task__current(enum task_copy_of which)
{
	if (has_current_task_btf)
		return bpf_get_current_task_btf();
	return task__copy((const struct task_struct *)bpf_get_current_task(), which);
}

/* The accounts of what task__current() returned, if that is a copy. */
static __always_inline void task__copy_current_accounts(struct task_struct *copy)
{
	if (!has_current_task_btf)
		task__copy_accounts(copy, (const struct task_struct *)bpf_get_current_task());
}

/* The rest of what task__current() returned, if that is a copy. */
static __always_inline void task__copy_current_rest(struct task_struct *copy, enum task_copy_of which)
{
	if (!has_current_task_btf)
		task__copy_rest(copy, (const struct task_struct *)bpf_get_current_task(), which);
}

#endif /* THREADPROF_TASK_COPY_BPF_H */
