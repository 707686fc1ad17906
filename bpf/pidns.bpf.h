/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * Ids of processes and threads as the one who runs threadprof sees them. In a PID namespace the kernel's own
 * ids (task_struct::pid, ::tgid) mean nothing to userspace, and /proc lists others. So every id that
 * userspace gives or gets is translated where a task comes into view, and kept in struct thread; in the
 * initial namespace that is the kernel's id, and the code for the rest is dead.
 */
#ifndef THREADPROF_PIDNS_BPF_H
#define THREADPROF_PIDNS_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

/* Userspace: threadprof runs in a PID namespace other than the initial one. */
extern const volatile bool is_in_pid_namespace;

/* The namespace of threadprof: its depth, and its address. Set by pidns__note_viewer(). */
extern __u32 viewer_level;
extern __u64 viewer_ns;

/* The number that @pid has in the namespace at @level of those it is in, and that namespace; 0: none. */
static __always_inline __u32 pid__number(__u64 pid, __u32 level, __u64 *ns)
{
	const struct upid *upid;

	*ns = 0;
	if (!pid || level > BPF_CORE_READ((const struct pid *)pid, level))
		return 0;
	upid = (const struct upid *)(pid + bpf_core_field_offset(struct pid, numbers) +
				     level * bpf_core_type_size(struct upid));
	*ns = (__u64)BPF_CORE_READ(upid, ns);
	return BPF_CORE_READ(upid, nr);
}

/* Called by a program that threadprof itself runs: an iterator. Before it, nobody is in the namespace. */
static __always_inline void pidns__note_viewer(void)
{
	struct task_struct *self;
	__u64 pid, ns;

	if (!is_in_pid_namespace || viewer_ns)
		return;
	self = (struct task_struct *)bpf_get_current_task();
	pid = (__u64)BPF_CORE_READ(self, thread_pid);
	viewer_level = BPF_CORE_READ((const struct pid *)pid, level);
	pid__number(pid, viewer_level, &ns);
	viewer_ns = ns;
}

/* The id of @task, any thread, in threadprof's namespace; 0: it is not in that. */
static __always_inline __u32 pidns__tid(struct task_struct *task)
{
	__u64 ns;
	__u32 tid;

	if (!is_in_pid_namespace)
		return BPF_CORE_READ(task, pid);
	tid = pid__number((__u64)BPF_CORE_READ(task, thread_pid), viewer_level, &ns);
	return ns && ns == viewer_ns ? tid : 0;
}

/* The same for its process. */
static __always_inline __u32 pidns__tgid(struct task_struct *task)
{
	__u64 ns;
	__u32 tgid;

	if (!is_in_pid_namespace)
		return BPF_CORE_READ(task, tgid);
	tgid = pid__number((__u64)BPF_CORE_READ(task, group_leader, thread_pid), viewer_level, &ns);
	return ns && ns == viewer_ns ? tgid : 0;
}

/* The id of @task as it sees it itself: what gettid(2) returns to it, and what glibc keeps in its locks. */
static __always_inline __u32 pidns__own_tid(struct task_struct *task)
{
	__u64 pid = (__u64)BPF_CORE_READ(task, thread_pid), ns;

	return pid ? pid__number(pid, BPF_CORE_READ((const struct pid *)pid, level), &ns) : 0;
}

#define XA_INTERNAL 2 /* the two lowest bits of an entry that is no pointer to what is kept */
#define MAX_XA_LEVELS 8 /* of 64 slots, or of 16, for the 22 bits of an id */

/* What the tree @xa keeps for number @nr; 0: nothing. Whoever calls is in an RCU read section, as programs are. */
static __always_inline __u64 xarray__find(const struct xarray *xa, __u32 nr)
{
	__u64 entry = (__u64)BPF_CORE_READ(xa, xa_head);
	__u32 nr_slots = bpf_core_field_size(((struct xa_node *)0)->slots) / sizeof(void *);

	for (int i = 0; i < MAX_XA_LEVELS && (entry & 3) == XA_INTERNAL; i++) {
		const struct xa_node *node = (const struct xa_node *)(entry - XA_INTERNAL);
		const void *slots = (const void *)node + bpf_core_field_offset(node->slots);
		__u32 place = nr >> (BPF_CORE_READ(node, shift) & 31);

		if (!i && place >= nr_slots)
			return 0;
		/* Where an entry is internal and no node, this can't be read. */
		if (bpf_probe_read_kernel(&entry, sizeof(entry), slots + (place & (nr_slots - 1)) * sizeof(entry)))
			return 0;
	}
	return entry & 3 ? 0 : entry;
}

/*
 * The thread that has id @nr in the namespace that @of lives in, by its address; NULL: there is none. It is valid
 * until the program ends.
 */
static __always_inline struct task_struct *pidns__find(const struct task_struct *of, __u32 nr)
{
	__u64 pid = (__u64)BPF_CORE_READ(of, thread_pid), ns, ns_found, node;
	struct task_struct *task;
	__u32 level;

	level = BPF_CORE_READ((const struct pid *)pid, level);
	pid__number(pid, level, &ns);
	if (!ns)
		return NULL;
	pid = xarray__find(&((const struct pid_namespace *)ns)->idr.idr_rt, nr);
	if (!pid || pid__number(pid, level, &ns_found) != nr || ns_found != ns)
		return NULL;
	node = (__u64)BPF_CORE_READ((const struct pid *)pid, tasks[0].first);
	if (!node)
		return NULL;
	task = (struct task_struct *)(node - bpf_core_field_offset(struct task_struct, pid_links));
	return (__u64)BPF_CORE_READ(task, thread_pid) == pid ? task : NULL;
}

#endif /* THREADPROF_PIDNS_BPF_H */
