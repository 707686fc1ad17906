// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * What the holder of a lock does while another thread waits for it: its counters when the wait begins, taken off
 * those when it is over. Called by what sees switches, after it has kept the waiter's own states. Where threads are in
 * task storage the holder is found with kernel functions that only newer kernels have.
 */
#include "threadprof.bpf.h"

const volatile bool has_holders = true; /* userspace: the kernel lets a program find them */

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
static __always_inline bool holder__find(struct thread *t, __u32 tgid)
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

static __always_inline bool holder__find_again(struct thread *t, __u32 tgid)
{
	struct task_struct *owner = bpf_task_from_pid(t->holder_pid);
	bool known;

	if (!owner)
		return false;
	known = owner__read(owner, tgid, t->holder_ns, true);
	bpf_task_release(owner);
	return known;
}

/* Where threads are in a map, their ids are all that it takes. */
static __always_inline bool holder__find_by_id(struct thread *t, const struct task_struct *waiter, __u32 tgid)
{
	struct task_struct *owner = pidns__find(waiter, t->lock_owner);
	__u64 id = owner ? task__id(owner) : 0;

	if (id >> 32 != tgid)
		return false;
	t->holder_pid = id;
	return holder__read(bpf_map_lookup_elem(&threads_by_id, &id), t->holder_ns, false);
}

static __always_inline bool holder__find_again_by_id(struct thread *t, __u32 tgid)
{
	__u64 id = thread__id(tgid, t->holder_pid);

	return holder__read(bpf_map_lookup_elem(&threads_by_id, &id), t->holder_ns, true);
}

void holder__begin(struct thread *t, const struct task_struct *waiter, __u32 tgid)
{
	bool known;

	if (!has_holders)
		return;
	known = has_task_storage ? holder__find(t, tgid) : holder__find_by_id(t, waiter, tgid);
	t->holder_phase = known ? HOLDER_BASE : HOLDER_NONE;
	/* Without the tid's namespace it may be a thread that was not found. */
	if (!known && (has_task_from_vpid || !has_task_storage))
		t->lock_owner = 0;
}

void holder__end(struct thread *t, __u32 tgid)
{
	bool known;

	if (!has_holders)
		return;
	known = has_task_storage ? holder__find_again(t, tgid) : holder__find_again_by_id(t, tgid);
	t->holder_phase = known ? HOLDER_KNOWN : HOLDER_NONE;
}
