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

#include "kfunc_calls.h"

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

/*
 * Only a tp_btf program gets its tasks as pointers that can be read through. Of any other task, but the current
 * one where has_current_task_btf, the program makes a copy of the members that are read of it. Then what is
 * reached from a task must be read by address, for the shared code takes both kinds.
 */
extern const volatile bool tasks_are_copies;

/*
 * bpf_rdonly_cast() (6.2, a35b9af4ec2c) makes of an address a pointer that can be read through. It is no call: the
 * read is a load of the program's own, where bpf_probe_read_kernel() takes as long as a look into a map. Only where
 * tasks are no copies: an address in a copy is none of the kernel's.
 */
static void *(*const bpf_rdonly_cast)(const void *address, __u32 type) = (void *)TP_KFUNC_CALL(TP_RDONLY_CAST);
extern const volatile bool reads_by_cast;

#define compat__cast(type, address) \
	((type *)bpf_rdonly_cast((const void *)(address), bpf_core_type_id_kernel(type)))

/* BPF_CORE_READ() of a @type at @address, both ways. */
#define compat__read(type, address, ...)                                            \
	({                                                                          \
		type *at_ = (type *)(address);                                      \
		___type(at_, ##__VA_ARGS__) value_;                                 \
                                                                                    \
		if (reads_by_cast)                                                  \
			value_ = ___arrow(compat__cast(type, at_), ##__VA_ARGS__);  \
		else                                                                \
			value_ = BPF_CORE_READ(at_, ##__VA_ARGS__);                 \
		value_;                                                             \
	})

/* What the kernel has at @address: a pointer, as a number. By a type that begins with one: struct rb_node. */
static __always_inline __u64 compat__read_address(const void *address)
{
	__u64 value = 0;

	if (reads_by_cast)
		return compat__cast(struct rb_node, address)->__rb_parent_color;
	bpf_probe_read_kernel(&value, sizeof(value), address);
	return value;
}

static __always_inline long compat__task_state(const struct task_struct *task)
{
	const struct task_struct___new_state *new_task = (const void *)task;

	if (bpf_core_field_exists(new_task->__state))
		return compat__read(struct task_struct___new_state, task, __state);
	return BPF_CORE_READ((const struct task_struct___state *)task, state);
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

static __always_inline void compat__copy_task_cpu(struct task_struct *copy, const struct task_struct *task)
{
	const struct task_struct___cpu *with_cpu = (const void *)task;

	if (bpf_core_field_exists(with_cpu->cpu))
		bpf_core_read(&((struct task_struct___cpu *)copy)->cpu, sizeof(with_cpu->cpu), &with_cpu->cpu);
	else
		bpf_core_read(&copy->thread_info.cpu, sizeof(copy->thread_info.cpu), &task->thread_info.cpu);
}

/*
 * Does a task that has just left its CPU wait for one, as opposed to being blocked? What sched_switch says
 * by its arguments, preemption included; for a program that does not have these. EEVDF leaves a blocked task
 * on its run queue for a while, marked as sched_delayed (6.12).
 */
struct sched_entity___delayed {
	unsigned char sched_delayed;
} __attribute__((preserve_access_index));

static __always_inline bool compat__task_is_runnable(const struct task_struct *task)
{
	const struct sched_entity___delayed *se = (const void *)&task->se;

	/* These read as many bytes as the member has in this kernel. */
	if (!BPF_CORE_READ_BITFIELD_PROBED(task, on_rq))
		return false;
	return !bpf_core_field_exists(se->sched_delayed) || !BPF_CORE_READ_BITFIELD_PROBED(se, sched_delayed);
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
 * Task storage for tracing programs came with 5.12 (a10787e6d58c), and takes only a pointer to a task that the
 * verifier trusts. Without it threads are kept in a hash map.
 */
extern const volatile bool has_task_storage;

/*
 * bpf_get_current_task_btf() came with 5.11 (3ca1032ab7ab): the current task as a pointer that can be read
 * through. Before, bpf_get_current_task() returns its mere address.
 */
extern const volatile bool has_current_task_btf;

/* The calling thread, to be read by address: what has_current_task_btf gives is so much more. */
static __always_inline struct task_struct *caller__task(void)
{
	if (has_current_task_btf)
		return bpf_get_current_task_btf();
	return (struct task_struct *)bpf_get_current_task();
}

/* bpf_task_pt_regs() came with 5.15 (dd6e10fbd9fb), and takes a trusted pointer too. */
extern const volatile bool has_task_pt_regs;

/* sched_entity::cfs_rq and cfs_rq::rq are there with CONFIG_FAIR_GROUP_SCHED, in all kernels of distributions. */
static __always_inline bool compat__has_run_queue(void)
{
	return bpf_core_field_exists(((struct sched_entity *)0)->cfs_rq) &&
	       bpf_core_field_exists(((struct cfs_rq *)0)->rq);
}

/*
 * The clock of the run queue that @task is on, in which sched_info has its moments. It stands still between
 * the scheduler's looks at it, and every switch begins with one (update_rq_clock() in __schedule()), unless a
 * wake-up has just asked for the switch. 0: not known.
 */
static __always_inline __u64 compat__run_queue_clock(struct task_struct *task)
{
	if (!compat__has_run_queue())
		return 0;
	return tasks_are_copies ? BPF_CORE_READ(task, se.cfs_rq, rq, clock) : task->se.cfs_rq->rq->clock;
}

/*
 * The same as compat__run_delay() for a task that comes on this CPU, the wait that ends now included: the
 * kernel adds that after its tracepoint (sched_info_arrive() in prepare_task_switch()).
 */
static __always_inline __u64 compat__run_delay_of_next(struct task_struct *task)
{
	__u64 clock, queued;

	if (!compat__has_run_delay())
		return 0;
	clock = compat__run_queue_clock(task);
	queued = task->sched_info.last_queued;
	return task->sched_info.run_delay + (queued && clock > queued ? clock - queued : 0);
}

#define TASK_COPY_SIZE 16384 /* at least that of the kernel's struct task_struct; most have 10000 */
#define REGS_COPY_SIZE 512   /* the same for struct pt_regs */

/* A place for each task that a program looks at while the programs that may interrupt it have their own. */
enum task_copy_of {
	COPY_OF_LEAVING, /* the CPU */
	COPY_OF_OTHER,	 /* that comes on it, is woken or migrates */
	COPY_OF_CALLER,	 /* whose system call ends */
	COPY_OF_WAKER,
	NR_TASK_COPIES,
};

struct task_copy {
	__u64 own_regs[REGS_COPY_SIZE / 8];   /* of the task copied here */
	__u64 other_regs[REGS_COPY_SIZE / 8]; /* of one that is none, which an iterator looks at */
	__u8 task[TASK_COPY_SIZE];
};

struct task_copies_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, NR_TASK_COPIES);
	__type(key, __u32);
	__type(value, struct task_copy);
};

extern struct task_copies_map task_copies SEC(".maps");

/* Where there are no registers: a system call number that there isn't. */
static const __u64 no_regs[REGS_COPY_SIZE / 8] = { [0 ... REGS_COPY_SIZE / 8 - 1] = -1 };

static __always_inline struct task_copy *compat__task_copy(enum task_copy_of which)
{
	__u32 key = which;

	return bpf_map_lookup_elem(&task_copies, &key);
}

/*
 * How far above the begin of a task's kernel stack its user registers are: the same for all tasks of a kernel.
 * Learned at the end of a system call, which has their address, where the helper is not there or does not take the
 * task; 0: not yet. To compute it takes THREAD_SIZE, which BTF does not always tell, and what each architecture
 * leaves free at the top of a stack (nothing on x86-64 before FRED, 6.9).
 */
extern __u64 regs_at;

/* Copies the user registers of the task with @stack to @regs. */
static __always_inline void compat__copy_regs(__u64 *regs, __u64 stack)
{
	bpf_probe_read_kernel(regs, bpf_core_type_size(struct pt_regs), (void *)(stack + regs_at));
}

/* The begin of its kernel stack, as a number: from 6.17 on a pointer to void is one that can be read through. */
static __always_inline __u64 compat__stack(struct task_struct *task)
{
	return reads_by_cast ? compat__read_address(&task->stack) : (__u64)task->stack;
}

/* The same from the helper, which takes a call: by a program that nobody else runs meanwhile. */
static __always_inline void compat__learn_regs(struct task_struct *task)
{
	static __u64 volatile regs; /* written and read again: a number, no pointer any more */

	if (!reads_by_cast || !has_task_pt_regs || regs_at)
		return;
	regs = (__u64)bpf_task_pt_regs(task);
	regs_at = regs - compat__stack(task);
}

/* The user registers that the kernel saved when @task entered it. A copy, the one of @which, has no stack. */
static __always_inline struct pt_regs *compat__task_regs(struct task_struct *task, enum task_copy_of which)
{
	struct task_copy *copy;
	__u64 stack;

	if (reads_by_cast && has_task_pt_regs && regs_at)
		return compat__cast(struct pt_regs, compat__stack(task) + regs_at);
	if (!tasks_are_copies && has_task_pt_regs)
		return (struct pt_regs *)bpf_task_pt_regs(task);
	copy = compat__task_copy(which);
	if (!copy)
		return (struct pt_regs *)no_regs;
	stack = compat__stack(task);
	if (!stack)
		return (struct pt_regs *)copy->own_regs;
	compat__copy_regs(copy->other_regs, stack);
	return (struct pt_regs *)copy->other_regs;
}

/* A copy of @regs, of the task that the copy @which is of, where the program may not read through them. */
static __always_inline struct pt_regs *compat__copied_regs(const void *regs, enum task_copy_of which)
{
	struct task_copy *copy = compat__task_copy(which);

	if (!copy)
		return (struct pt_regs *)no_regs;
	bpf_probe_read_kernel(copy->own_regs, bpf_core_type_size(struct pt_regs), regs);
	return (struct pt_regs *)copy->own_regs;
}

/*
 * sched_switch got prev_state as a fourth argument in 5.18 (fa2c3254d7cf). Where it is missing the task's own
 * state field is nearly as good: a waker may have put TASK_WAKING there (since 5.8, c6e7bd7afaeb), but nobody
 * puts TASK_RUNNING there before the task has left its CPU.
 */
extern const volatile bool has_prev_state;

/*
 * Until 6.15 (8feb053d5319) the argument is also that of a task which was about to block and goes on because
 * a signal came: then its own state field says that it runs.
 */
static __always_inline long compat__checked_prev_state(const struct task_struct *prev, long prev_state)
{
	return compat__task_state(prev) ? prev_state : 0;
}

/*
 * Kernel functions that find a task by its tid: bpf_task_from_pid() came with 6.2 (3f0e6f2b41d3), and with 6.14 one
 * for the tid in the caller's pid namespace, which is what a program in a container has in its locks. Userspace puts
 * them in the place of these numbers: src/kfunc.h says why.
 */
static struct task_struct *(*const bpf_task_from_pid)(s32 pid) = (void *)TP_KFUNC_CALL(TP_TASK_FROM_PID);
static struct task_struct *(*const bpf_task_from_vpid)(s32 vpid) = (void *)TP_KFUNC_CALL(TP_TASK_FROM_VPID);
static void (*const bpf_task_release)(struct task_struct *task) = (void *)TP_KFUNC_CALL(TP_TASK_RELEASE);
extern const volatile bool has_task_from_vpid;

/*
 * From 7.2 on (439ebd5b5708) a program on sys_enter or sys_exit may be preempted: what it does is no longer done
 * before the thread is switched away, and whoever meets it half-way on the same CPU is skipped (since 6.1, 05b24ff9b2cf;
 * bpf_prog_info::recursion_misses counts that). Classic programs on the tracepoint of a single system call fare the same
 * (57918341dd19). Those on the perf event of raw_syscalls:sys_exit do not: perf_trace_sys_exit() goes on to disable
 * preemption, for the buffer that it fills. It takes the event's number, which only tracefs tells, and costs more.
 *
 * Where preemption can be disabled from inside (since 6.10, fc7566ad0a82), what the program does is whole again, but the
 * thread is then switched away at the program's end, and others are still skipped.
 */
static void (*const bpf_preempt_disable)(void) = (void *)TP_KFUNC_CALL(TP_PREEMPT_DISABLE);
static void (*const bpf_preempt_enable)(void) = (void *)TP_KFUNC_CALL(TP_PREEMPT_ENABLE);

/*
 * The stack of a program on a kprobe or uprobe, if it is 64 bytes or more, is memory of its CPU since 6.13 (on x86, then
 * on arm64), which the next one who comes to the program on that CPU uses as well. One on a kprobe is not preempted,
 * and whoever comes to a tracing program half-way is skipped. One on a uprobe is preempted where the kernel is: what it
 * has on its stack, addresses included, is then that of another thread's call.
 */
extern const volatile bool has_private_stack;

/* The first and the last that such a program does: nothing is on the stack before or after. */
static __always_inline void compat__begin_uprobe(void)
{
	if (has_private_stack)
		bpf_preempt_disable();
}

static __always_inline void compat__end_uprobe(void)
{
	if (has_private_stack)
		bpf_preempt_enable();
}

/* sched_process_exit got group_dead as a second argument in 6.16; before, the group's count of live threads. */
extern const volatile bool has_group_dead;

/*
 * Any other tracepoint disabled preemption for its programs too (6.18 does), until it became a reader of an SRCU
 * that does not (7.3: __DECLARE_TRACE()). Now it depends on who tells it. The scheduler has interrupts off;
 * sched_process_fork, _exec and _exit come from a thread that may be switched away. In their place:
 * - of a fork, sched_wakeup_new, which comes next: with interrupts off, in the parent, before the child can run;
 * - of the others their perf events, as of sys_exit.
 * A program of a perf event returns 1: 0 would keep the event from everybody else who reads it.
 */
static __always_inline bool compat__event_is_group_dead(struct trace_event_raw_sched_process_exit *event,
							struct task_struct *task)
{
	if (has_group_dead && bpf_core_field_exists(event->group_dead))
		return event->group_dead;
	return !BPF_CORE_READ(task, signal, live.counter);
}

#endif /* THREADPROF_COMPAT_BPF_H */
