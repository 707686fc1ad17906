// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * What the holder of a lock does while another thread waits for it: its counters when the wait begins, taken off
 * those when it is over. Another thread's counters are found with kernel functions that only newer kernels have,
 * so this is a program of its own, called after the one that keeps the states.
 */
#include "threadprof.bpf.h"

bool has_holders; /* userspace: holder_switch is at work */
__s64 nr_asked;	  /* threads whose wait is measured now: 0 costs a switch next to nothing */

void holder__ask(struct thread *t)
{
	if (!has_holders)
		return;
	t->holder_phase = HOLDER_ASKED;
	__sync_fetch_and_add(&nr_asked, 1);
}

void holder__forget(struct thread *t)
{
	if (t->holder_phase == HOLDER_ASKED || t->holder_phase == HOLDER_BASE)
		__sync_fetch_and_add(&nr_asked, -1);
	t->holder_phase = HOLDER_NONE;
}

/* The counters of @task, if it is a thread of process @tgid, as they are now, added to or taken from @ns. */
static __always_inline bool holder__read(struct task_struct *task, __u32 tgid, __s64 *ns, bool add)
{
	const struct thread *h = bpf_task_storage_get(&threads, task, 0, 0);
	__u64 open_ns;
	__u32 state;

	if (!h || (__u32)task->tgid != tgid || !h->since_ns || h->exited)
		return false;
	state = h->state;
	open_ns = bpf_ktime_get_ns() - h->since_ns;
#pragma unroll
	for (__u32 i = 0; i < TP_NR_STATES; i++) {
		__s64 sum = h->state_ns[i] + (i == state ? open_ns : 0);

		ns[i] = add ? ns[i] + sum : -sum;
	}
	return true;
}

/* The calling thread begins to wait. What was taken for its lock's owner may be no thread of this process. */
static __always_inline bool holder__begin(struct thread *t, __u32 tgid)
{
	struct task_struct *owner = has_task_from_vpid ? bpf_task_from_vpid(t->lock_owner) :
							 bpf_task_from_pid(t->lock_owner);
	bool known;

	if (!owner)
		return false;
	known = holder__read(owner, tgid, t->holder_ns, false);
	t->holder_pid = owner->pid;
	bpf_task_release(owner);
	return known;
}

static __always_inline bool holder__end(struct thread *t, __u32 tgid)
{
	struct task_struct *owner = bpf_task_from_pid(t->holder_pid);
	bool known;

	if (!owner)
		return false;
	known = holder__read(owner, tgid, t->holder_ns, true);
	bpf_task_release(owner);
	return known;
}

SEC("?tp_btf/sched_switch")
int holder_switch(__u64 *ctx)
{
	struct task_struct *prev = (struct task_struct *)ctx[1], *next = (struct task_struct *)ctx[2];
	struct thread *t;

	if (!active || nr_asked <= 0)
		return 0;
	t = task__may_be_target(prev) ? thread__get(prev) : NULL;
	if (t && t->holder_phase == HOLDER_ASKED) {
		if (holder__begin(t, prev->tgid)) {
			t->holder_phase = HOLDER_BASE;
		} else {
			/* Without the tid's namespace it may be a thread that was not found. */
			if (has_task_from_vpid)
				t->lock_owner = 0;
			holder__forget(t);
		}
	}
	t = task__may_be_target(next) ? thread__get(next) : NULL;
	if (t && t->holder_phase == HOLDER_BASE) {
		bool known = holder__end(t, next->tgid);

		holder__forget(t);
		if (known)
			t->holder_phase = HOLDER_KNOWN;
	}
	return 0;
}
