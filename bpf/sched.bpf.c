// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * Thread states, from the scheduler: every nanosecond of a target's thread belongs to the state that it
 * entered last, and each switch or wake-up closes one stretch and opens the next.
 */
#include "threadprof.bpf.h"
#include "syscalls.bpf.h"
#include "task_copy.bpf.h"

/* --- CPU time that others take while a target's thread waits for that CPU --- */

/*
 * Per run queue: how many target threads wait on it (waiters), and, as for struct tp_queue, sums from
 * which the integral of waiters over time follows, each only ever added to. What the integral grew by
 * while a task ran is what that task took from the target.
 */
struct run_queue {
	__s64 waiters;
	__s64 ts_sum;
	__u64 taken_at_switch; /* integral when the running task came on */
	__u32 running;	       /* tid of that task */
	__u32 pad;
	__u64 apart[12]; /* each CPU writes to its own at each switch: none shares a line, or a pair of them */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* userspace: as many as there are CPUs */
	__type(key, __u32);
	__type(value, struct run_queue);
} run_queues SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct tp_thief_key);
	__type(value, struct tp_thief);
} thieves SEC(".maps");

static __always_inline void run_queue__add(__u32 cpu, int waiters, __u64 now)
{
	struct run_queue *rq = bpf_map_lookup_elem(&run_queues, &cpu);

	if (!rq)
		return;
	__sync_fetch_and_add(&rq->waiters, waiters);
	__sync_fetch_and_add(&rq->ts_sum, waiters > 0 ? -now : now);
}

static __always_inline __u64 run_queue__taken(const struct run_queue *rq, __u64 now)
{
	return rq->waiters * now + rq->ts_sum;
}

static __noinline void thief__add(struct task_struct *task, __u64 ns)
{
	struct tp_thief_key key = { .tgid = is_in_pid_namespace ? pidns__tgid(task) : task->tgid, .epoch = epoch };
	struct tp_thief *thief, first = {};

	if (!key.tgid)
		key.tgid = TP_THIEF_OUTSIDE | task->tgid;
	thief = bpf_map_lookup_elem(&thieves, &key);
	if (!thief) {
		bpf_probe_read_kernel(first.comm, sizeof(first.comm), task->group_leader->comm);
		bpf_map_update_elem(&thieves, &key, &first, BPF_NOEXIST);
		thief = bpf_map_lookup_elem(&thieves, &key);
		if (!thief) {
			loss__count(TP_LOSS_DETAIL_MAP);
			return;
		}
	}
	__sync_fetch_and_add(&thief->ns, ns);
}

/*
 * @prev leaves this CPU to @next: charge it with what it took since it came on. Returns the time, 0 if it was not
 * asked for.
 */
static __always_inline __u64 run_queue__charge(struct task_struct *prev, struct task_struct *next)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct run_queue *rq = bpf_map_lookup_elem(&run_queues, &cpu);
	bool saw_it_come;
	__u64 taken, now;

	if (!rq)
		return 0;
	if (!detail__is_on(TP_DETAIL_THIEVES)) {
		rq->running = 0; /* nobody was seen to come */
		return 0;
	}
	saw_it_come = rq->running == (__u32)prev->pid;
	rq->running = next->pid;
	if (!rq->waiters && (__u64)rq->ts_sum == rq->taken_at_switch)
		return 0;
	now = bpf_ktime_get_ns();
	taken = run_queue__taken(rq, now);
	if (saw_it_come && prev->pid && (__s64)(taken - rq->taken_at_switch) > 0)
		thief__add(prev, taken - rq->taken_at_switch);
	rq->taken_at_switch = taken;
	return now;
}

/* --- the thread's way through its states --- */

static __always_inline void thread__wait_for_cpu(struct thread *t, __u32 cpu, __u64 now)
{
	thread__enter(t, TP_RUNQ, now);
	t->runq_cpu = cpu;
	run_queue__add(cpu, 1, now);
}

static __always_inline bool thread__is_blocked(const struct thread *t)
{
	return t->state != TP_CPU && t->state != TP_RUNQ;
}

/* @now, or if that was before the open stretch, the begin of it: a stretch that would have been negative. */
static __always_inline __u64 thread__not_before(const struct thread *t, __u64 now)
{
	if (now >= t->since_ns)
		return now;
	loss__count(TP_LOSS_CLOCK_BACKWARDS);
	return t->since_ns;
}

/* A blocked stretch ends: what it was can now be said for sure. */
static __always_inline void thread__unblock(struct thread *t, __u32 tid, __u64 now)
{
	bool was_idle;

	now = thread__not_before(t, now);
	if (t->not_in_hand < TP_NR_STATES && !thread__has_in_hand(t, tid)) {
		t->state = t->not_in_hand;
		t->block_what = BLOCK_NOTHING;
	}
	if (t->tent_state == TP_WAIT)
		t->tent_wait_ns += now - t->since_ns;
	else if (t->tent_state == TP_NET)
		t->tent_net_ns += now - t->since_ns;
	t->block_ns = now - t->block_since;
	thread__note_tentative(t);
	if (stacks_of_all)
		stack__sample(t, t->state);
	was_idle = t->state == TP_IDLE;
	thread__enter(t, TP_RUNQ, now);
	if (was_idle)
		thread__note_free(t, now);
}

/*
 * There are kernels that do not trace every switch (from the idle task after some interrupts) or run no BPF
 * program while certain tasks are current, in their interrupts neither. What was missed so is in the
 * kernel's own accounts: since when the thread has its CPU, and how long it waited for it.
 */
static __always_inline __u64 thread__came_on_ns(const struct thread *t, struct task_struct *task, __u64 now)
{
	__u64 came_ns;

	if (compat__has_run_delay() && t->clock_offset)
		came_ns = task->sched_info.last_arrival + t->clock_offset;
	else
		came_ns = now - (task->se.sum_exec_runtime - t->exec_ns);
	if (came_ns > now)
		return now;
	return came_ns > t->since_ns ? came_ns : t->since_ns;
}

/* The thread was blocked and came on its CPU at @came_ns, and nobody was seen to wake it. */
static __always_inline void thread__woken_unseen(struct thread *t, __u32 tid, __u64 run_delay_ns, __u64 came_ns)
{
	__u64 waited_ns = run_delay_ns - t->run_delay_ns;

	thread__unblock(t, tid, waited_ns < came_ns - t->since_ns ? came_ns - waited_ns : t->since_ns);
}

/* The thread runs, and we did not see it come on. */
static __noinline void thread__came_on_unseen(struct thread *t, struct task_struct *task, __u64 now)
{
	__u64 came_ns = thread__came_on_ns(t, task, thread__not_before(t, now));

	if (thread__is_blocked(t))
		thread__woken_unseen(t, t->tid, compat__run_delay(task), came_ns);
	if (t->runq_cpu != RUNQ_NOWHERE)
		run_queue__add(t->runq_cpu, -1, came_ns);
	t->runq_cpu = RUNQ_NOWHERE;
	thread__enter(t, TP_CPU, came_ns);
}

int thread__runs_unseen(__u64 now)
{
	struct task_struct *task = task__current(COPY_OF_CALLER);
	struct thread *t = task ? thread__get(task) : NULL;

	if (!t)
		return 0;
	task__copy_current_accounts(task);
	thread__came_on_unseen(t, task, now);
	return 0;
}

/* Remembers what the kernel's accounts are when the thread leaves its CPU. */
static __always_inline void thread__note_accounts(struct thread *t, struct task_struct *task, __u64 now)
{
	__u64 clock = compat__run_queue_clock(task);

	t->clock_offset = clock ? now - clock : 0;
	t->exec_ns = task->se.sum_exec_runtime;
	t->run_delay_ns = compat__run_delay(task);
}

/* @is_current: what the task's process has in memory can be read. */
static __always_inline void thread__leave_cpu(struct thread *t, struct task_struct *task, bool preempt,
					      long task_state, bool is_current, __u64 now)
{
	if (t->exited)
		return;
	if (!t->since_ns)
		thread__begin(t, TP_CPU, now);
	if (t->state != TP_CPU)
		thread__came_on_unseen(t, task, now);
	if (t->block_what)
		block__account(t, t->tgid);
	thread__note_accounts(t, task, now);
	if (preempt || !task_state)
		thread__wait_for_cpu(t, bpf_get_smp_processor_id(), now);
	else
		thread__enter(t, block__classify(t, task, task_state, now, is_current), now);
}

static __always_inline void thread__get_cpu(struct thread *t, struct task_struct *task, __u64 now)
{
	if (t->exited)
		return;
	if (!t->since_ns)
		thread__begin(t, TP_RUNQ, now);
	else if (thread__is_blocked(t))
		thread__woken_unseen(t, t->tid, compat__run_delay_of_next(task), now);
	else if (t->state == TP_RUNQ && t->runq_cpu != RUNQ_NOWHERE)
		run_queue__add(t->runq_cpu, -1, now);
	t->runq_cpu = RUNQ_NOWHERE;
	thread__enter(t, TP_CPU, now);
	if (t->block_what)
		block__account(t, t->tgid);
}

/* The moment of a switch, @now if it was asked for. Not before @t began, which may have been adopted since. */
static __always_inline __u64 thread__switch_ns(const struct thread *t, __u64 now)
{
	return now && now >= t->since_ns ? now : bpf_ktime_get_ns();
}

/* @leaving: @prev itself, of which @prev may be a copy. */
static __always_inline void on_switch(bool preempt, struct task_struct *prev, struct task_struct *next,
				      const struct task_struct *leaving, long prev_state, bool prev_is_current)
{
	struct thread *t;
	__u64 now; /* one look at the clock for all: it costs more than anything else here */

	if (!active)
		return;
	now = run_queue__charge(prev, next);
	if (task__may_be_target(prev)) {
		t = thread__get(prev);
		if (t && has_prev_state && prev_state)
			prev_state = compat__checked_prev_state(leaving, prev_state);
		if (t) {
			now = thread__switch_ns(t, now);
			thread__leave_cpu(t, prev, preempt, prev_state, prev_is_current, now);
			if (t->state == TP_LOCK && t->lock_owner)
				holder__begin(t, leaving, prev->tgid);
		}
	}
	if (task__may_be_target(next)) {
		t = thread__get(next);
		if (!t)
			return;
		thread__get_cpu(t, next, thread__switch_ns(t, now));
		if (t->holder_phase == HOLDER_BASE)
			holder__end(t, next->tgid);
	}
}

static __always_inline void on_wakeup(struct task_struct *task)
{
	struct thread *t;
	__u64 now;

	if (!active || !task__may_be_target(task))
		return;
	t = thread__get(task);
	if (!t || t->exited)
		return;
	now = bpf_ktime_get_ns();
	if (!t->since_ns) {
		thread__begin(t, TP_RUNQ, now);
		t->runq_cpu = RUNQ_NOWHERE;
	}
	if (!thread__is_blocked(t))
		return; /* woken before it slept, or a thread's first wake-up */
	thread__unblock(t, t->tid, now);
	t->runq_cpu = compat__task_cpu(task);
	run_queue__add(t->runq_cpu, 1, now);
}

/*
 * The thread that hands a request over wakes the one that takes it up, by a system call: in an interrupt the
 * current task is not the waker. Who it was shows only here: sched_wakeup may come on the other's CPU.
 */
static __always_inline void on_waking(struct task_struct *task)
{
	struct task_struct *waker;
	struct thread *t;

	if (!active || !task__may_be_target(task))
		return;
	waker = task__current(COPY_OF_WAKER);
	if (!waker || !task__may_be_target(waker))
		return;
	task__copy_current_rest(waker, COPY_OF_WAKER);
	if (!regs__hands_over(compat__task_regs(waker, COPY_OF_WAKER)))
		return;
	t = thread__get(task);
	if (!t)
		return;
	t->waker_tid = is_in_pid_namespace ? pidns__tid(waker) : waker->pid;
}

/* The load balancer moves a waiting thread. */
static __always_inline void on_migrate(struct task_struct *task, __u32 dest_cpu)
{
	struct thread *t;
	__u64 now;

	if (!active || !task__may_be_target(task))
		return;
	t = thread__get(task);
	if (!t || t->exited || t->state != TP_RUNQ || t->runq_cpu == RUNQ_NOWHERE)
		return;
	now = bpf_ktime_get_ns();
	run_queue__add(t->runq_cpu, -1, now);
	t->runq_cpu = dest_cpu;
	run_queue__add(dest_cpu, 1, now);
}

/* --- the probes --- */

/* Arguments by position: BPF_PROG() would read a fourth one on kernels that have three. */
SEC("tp_btf/sched_switch")
int sched_switch(__u64 *ctx)
{
	struct task_struct *prev = (struct task_struct *)ctx[1];
	struct task_struct *next = (struct task_struct *)ctx[2];

	on_switch(ctx[0], prev, next, prev, has_prev_state ? ctx[3] : compat__task_state(prev), true);
	return 0;
}

SEC("tp_btf/sched_wakeup")
int BPF_PROG(sched_wakeup, struct task_struct *task)
{
	on_wakeup(task);
	return 0;
}

SEC("tp_btf/sched_waking")
int BPF_PROG(sched_waking, struct task_struct *task)
{
	on_waking(task);
	return 0;
}

SEC("tp_btf/sched_migrate_task")
int BPF_PROG(sched_migrate_task, struct task_struct *task, int dest_cpu)
{
	on_migrate(task, dest_cpu);
	return 0;
}

/* The same where tp_btf is refused; the task that leaves is still the current one. */
SEC("?raw_tp/sched_switch")
int sched_switch_raw(__u64 *ctx)
{
	const struct task_struct *task = (const struct task_struct *)ctx[1];
	struct task_struct *prev, *next;

	if (!active)
		return 0;
	prev = task__current(COPY_OF_LEAVING);
	next = task__copy((struct task_struct *)ctx[2], COPY_OF_OTHER);
	if (!prev || !next)
		return 0;
	if (task__may_be_target(prev))
		task__copy_current_rest(prev, COPY_OF_LEAVING);
	on_switch(ctx[0], prev, next, task, has_prev_state ? ctx[3] : compat__task_state(task), true);
	return 0;
}

SEC("?raw_tp/sched_wakeup")
int sched_wakeup_raw(__u64 *ctx)
{
	struct task_struct *task;

	if (!active)
		return 0;
	task = task__copy((struct task_struct *)ctx[0], COPY_OF_OTHER);
	if (task)
		on_wakeup(task);
	return 0;
}

SEC("?raw_tp/sched_waking")
int sched_waking_raw(__u64 *ctx)
{
	struct task_struct *task;

	if (!active)
		return 0;
	task = task__copy((struct task_struct *)ctx[0], COPY_OF_OTHER);
	if (task)
		on_waking(task);
	return 0;
}

SEC("?raw_tp/sched_migrate_task")
int sched_migrate_task_raw(__u64 *ctx)
{
	struct task_struct *task;

	if (!active)
		return 0;
	task = task__copy((struct task_struct *)ctx[0], COPY_OF_OTHER);
	if (task)
		on_migrate(task, ctx[1]);
	return 0;
}

/*
 * finish_task_switch(prev), called by the task that has come on its CPU, before it lets go of prev: nobody
 * can have woken prev yet. The memory that the CPU sees is that of the new task.
 */
SEC("?kprobe")
int finish_task_switch(struct pt_regs *ctx)
{
	const struct task_struct *task = (const struct task_struct *)PT_REGS_PARM1(ctx);
	struct task_struct *prev, *next;

	if (!active)
		return 0;
	prev = task__copy(task, COPY_OF_LEAVING);
	next = task__current(COPY_OF_OTHER);
	if (!prev || !next)
		return 0;
	if (task__may_be_target(prev))
		task__copy_rest(prev, task, COPY_OF_LEAVING);
	on_switch(compat__task_is_runnable(task), prev, next, task, compat__task_state(task),
		  prev->tgid == next->tgid);
	return 0;
}
