// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * The target's threads and processes as they come and go. Tasks are read by address, whatever kind of program it is:
 * raw tracepoints have no other way.
 */
#include "threadprof.bpf.h"

const volatile bool follow_forks = false;

static __always_inline void process__report(struct task_struct *task, __u32 what, __u64 now)
{
	struct tp_rec_process *rec = rec__reserve(struct tp_rec_process, TP_REC_PROCESS, now);

	if (!rec)
		return;
	rec->what = what;
	rec->tgid = pidns__tgid(task);
	rec->ppid = pidns__tgid(BPF_CORE_READ(task, real_parent));
	rec->pad = 0;
	bpf_probe_read_kernel(rec->comm, sizeof(rec->comm), task->comm);
	rec__submit(rec);
}

static __always_inline void target__add(struct task_struct *task)
{
	__u32 tgid = pidns__tgid(task);
	__u8 one = 1;

	target_filter[(__u16)BPF_CORE_READ(task, tgid)] = 1;
	if (bpf_map_update_elem(&targets, &tgid, &one, BPF_ANY))
		loss__count(TP_LOSS_THREAD);
}

/* @child is a thread or a process that @parent, the calling thread, has just made; it has not run yet. */
static __always_inline void on_fork(struct task_struct *parent, struct task_struct *child)
{
	struct thread *t;
	bool is_process;
	__u64 now;

	if (!active || !caller__may_be_target())
		return;
	is_process = BPF_CORE_READ(child, tgid) != (pid_t)(bpf_get_current_pid_tgid() >> 32);
	if ((is_process && !follow_forks) || !thread__get_calling(parent))
		return;
	now = bpf_ktime_get_ns();
	if (is_process)
		target__add(child);
	t = thread__create(child);
	if (!t) {
		loss__count(TP_LOSS_THREAD);
		return;
	}
	thread__begin(t, TP_RUNQ, now);
	t->runq_cpu = RUNQ_NOWHERE;
	if (is_process)
		process__report(child, TP_PROCESS_FORK, now);
}

/* A thread that executes a program takes the id of its process's first thread, which has ended. */
static __always_inline void caller__move(__u32 old_tid)
{
	__u64 id = bpf_get_current_pid_tgid(), old_id = thread__id(id >> 32, old_tid);
	struct thread *t;

	if (has_task_storage || id == old_id)
		return;
	t = bpf_map_lookup_elem(&threads_by_id, &old_id);
	if (!t)
		return;
	bpf_map_update_elem(&threads_by_id, &id, t, BPF_ANY);
	bpf_map_delete_elem(&threads_by_id, &old_id);
}

/* All other threads have ended and the image is new; what the old one had in hand is gone. */
static __always_inline void on_exec(struct task_struct *task, __u32 old_tid)
{
	struct thread *t;

	if (!active || !caller__may_be_target())
		return;
	caller__move(old_tid);
	t = thread__get_calling(task);
	if (!t)
		return;
	if (t->in_hand > 0)
		t->busy_ns += bpf_ktime_get_ns() - t->busy_since;
	t->in_hand = 0;
	t->tent_file = 0;
	thread__note_ids(t, task);
	process__report(task, TP_PROCESS_EXEC, bpf_ktime_get_ns());
}

static __always_inline void on_exit(struct task_struct *task, __u64 start_ns, bool group_dead)
{
	struct tp_rec_thread *rec;
	struct thread *t;
	__u32 tid;
	__u64 now;

	if (!active || !caller__may_be_target())
		return;
	t = thread__get_calling(task);
	if (!t || t->exited)
		return;
	tid = t->tid;
	now = bpf_ktime_get_ns();
	if (!t->since_ns)
		thread__begin(t, TP_CPU, now);
	thread__enter(t, TP_CPU, now);
	if (thread__has_in_hand(t, tid))
		t->busy_ns += now - t->busy_since;
	t->in_hand = 0;
	t->exited = 1;
	if (nr_debts)
		bpf_map_delete_elem(&debts, &tid);
	rec = rec__reserve(struct tp_rec_thread, TP_REC_THREAD, now);
	if (rec) {
		thread__fill(rec, t, task, start_ns);
		rec->flags = TP_THREAD_EXITED;
		rec__submit(rec);
	}
	if (group_dead) {
		__u32 tgid = t->tgid;

		process__report(task, TP_PROCESS_EXIT, now);
		bpf_map_delete_elem(&targets, &tgid);
	}
	thread__forget(task);
}

SEC("?tp_btf/sched_process_fork")
int BPF_PROG(process_fork, struct task_struct *parent, struct task_struct *child)
{
	on_fork(parent, child);
	return 0;
}

SEC("?tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *task, pid_t old_tid)
{
	on_exec(task, old_tid);
	return 0;
}

SEC("?tp_btf/sched_process_exit")
int process_exit(__u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx[0];

	on_exit(task, task->start_time, has_group_dead ? ctx[1] & 1 : !task->signal->live.counter);
	return 0;
}

/* The same where tp_btf is refused. */
SEC("?raw_tp/sched_process_fork")
int process_fork_raw(__u64 *ctx)
{
	on_fork((struct task_struct *)ctx[0], (struct task_struct *)ctx[1]);
	return 0;
}

SEC("?raw_tp/sched_process_exec")
int process_exec_raw(__u64 *ctx)
{
	on_exec((struct task_struct *)ctx[0], ctx[1]);
	return 0;
}

SEC("?raw_tp/sched_process_exit")
int process_exit_raw(__u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx[0];

	on_exit(task, BPF_CORE_READ(task, start_time),
		has_group_dead ? ctx[1] & 1 : !BPF_CORE_READ(task, signal, live.counter));
	return 0;
}

/* The same three where the kernel would let them be preempted: see compat.bpf.h. */
SEC("?tp_btf/sched_wakeup_new")
int BPF_PROG(process_fork_new, struct task_struct *child)
{
	on_fork(caller__task(), child);
	return 0;
}

SEC("?raw_tp/sched_wakeup_new")
int process_fork_new_raw(__u64 *ctx)
{
	on_fork(caller__task(), (struct task_struct *)ctx[0]);
	return 0;
}

SEC("?tp/sched/sched_process_exec")
int process_exec_perf(struct trace_event_raw_sched_process_exec *ctx)
{
	on_exec(caller__task(), ctx->old_pid);
	return 1;
}

SEC("?tp/sched/sched_process_exit")
int process_exit_perf(struct trace_event_raw_sched_process_exit *ctx)
{
	struct task_struct *task = caller__task();

	on_exit(task, BPF_CORE_READ(task, start_time), compat__event_is_group_dead(ctx, task));
	return 1;
}

/* … and where there are no such events: what it does to the thread is done whole. */
SEC("?tp_btf/sched_process_exit")
int process_exit_guarded(__u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx[0];

	bpf_preempt_disable();
	on_exit(task, task->start_time, has_group_dead ? ctx[1] & 1 : !task->signal->live.counter);
	bpf_preempt_enable();
	return 0;
}
