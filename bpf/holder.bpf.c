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

/* The counters of @h, a thread or NULL, as they are now, added to or taken from @ns. */
static __always_inline bool holder__read(const struct thread *h, __s64 *ns, bool add)
{
	__u64 open_ns;
	__u32 state;

	if (!h || !h->since_ns || h->exited)
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

/* The same of @owner, if it is a thread of process @tgid. */
static __always_inline bool owner__read(struct task_struct *owner, __u32 tgid, __s64 *ns, bool add)
{
	const struct thread *h = bpf_task_storage_get(&threads, owner, 0, 0);

	return (__u32)owner->tgid == tgid && holder__read(h, ns, add);
}

/* The calling thread begins to wait. What was taken for its lock's owner may be no thread of this process. */
static __always_inline bool holder__begin(struct thread *t, __u32 tgid)
{
	struct task_struct *owner = has_task_from_vpid ? bpf_task_from_vpid(t->lock_owner) :
							 bpf_task_from_pid(t->lock_owner);
	bool known;

	if (!owner)
		return false;
	known = owner__read(owner, tgid, t->holder_ns, false);
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
	known = owner__read(owner, tgid, t->holder_ns, true);
	bpf_task_release(owner);
	return known;
}

/* Where threads are in a map, their ids are all that it takes. @prev: the calling thread. */
static __always_inline bool holder__begin_by_id(struct thread *t, const struct task_struct *prev, __u32 tgid)
{
	struct task_struct *owner = pidns__find(prev, t->lock_owner);
	__u64 id = owner ? task__id(owner) : 0;

	if (id >> 32 != tgid)
		return false;
	t->holder_pid = id;
	return holder__read(bpf_map_lookup_elem(&threads_by_id, &id), t->holder_ns, false);
}

static __always_inline bool holder__end_by_id(struct thread *t, __u32 tgid)
{
	__u64 id = thread__id(tgid, t->holder_pid);

	return holder__read(bpf_map_lookup_elem(&threads_by_id, &id), t->holder_ns, true);
}

/* @t begins to wait; @known: the counters of the lock's owner are. */
static __always_inline void holder__has_begun(struct thread *t, bool known, bool knows_namespace)
{
	if (known) {
		t->holder_phase = HOLDER_BASE;
		return;
	}
	/* Without the tid's namespace it may be a thread that was not found. */
	if (knows_namespace)
		t->lock_owner = 0;
	holder__forget(t);
}

static __always_inline void holder__has_ended(struct thread *t, bool known)
{
	holder__forget(t);
	if (known)
		t->holder_phase = HOLDER_KNOWN;
}

SEC("?tp_btf/sched_switch")
int holder_switch(__u64 *ctx)
{
	struct task_struct *prev = (struct task_struct *)ctx[1], *next = (struct task_struct *)ctx[2];
	struct thread *t;

	if (!active || nr_asked <= 0)
		return 0;
	t = task__may_be_target(prev) ? thread__get(prev) : NULL;
	if (t && t->holder_phase == HOLDER_ASKED)
		holder__has_begun(t, holder__begin(t, prev->tgid), has_task_from_vpid);
	t = task__may_be_target(next) ? thread__get(next) : NULL;
	if (t && t->holder_phase == HOLDER_BASE)
		holder__has_ended(t, holder__end(t, next->tgid));
	return 0;
}

/* The same where threads are in a map, whatever kind of tracepoint sees the switch. */
SEC("?raw_tp/sched_switch")
int holder_switch_raw(__u64 *ctx)
{
	struct task_struct *prev = (struct task_struct *)ctx[1], *next = (struct task_struct *)ctx[2];
	__u64 id = bpf_get_current_pid_tgid();
	struct thread *t;

	if (!active || nr_asked <= 0)
		return 0;
	t = caller__may_be_target() ? bpf_map_lookup_elem(&threads_by_id, &id) : NULL;
	if (t && t->holder_phase == HOLDER_ASKED)
		holder__has_begun(t, holder__begin_by_id(t, prev, id >> 32), true);
	id = task__id(next);
	t = target_filter[(__u16)(id >> 32)] ? bpf_map_lookup_elem(&threads_by_id, &id) : NULL;
	if (t && t->holder_phase == HOLDER_BASE)
		holder__has_ended(t, holder__end_by_id(t, id >> 32));
	return 0;
}
