// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/* Programs that do nothing, on the hooks that threadprof uses or might: what the hook itself costs. */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

__u8 filter[65536];
__u64 count; /* keeps the program that looks from being optimised away */

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define EMPTY(section, name)   \
	SEC("?" section)       \
	int name(void *ctx)    \
	{                      \
		return 0;      \
	}

EMPTY("tp_btf/sys_enter", btf_sys_enter)
EMPTY("tp_btf/sys_exit", btf_sys_exit)
EMPTY("raw_tp/sys_exit", raw_sys_exit)
EMPTY("tp_btf/sock_recv_length", btf_sock_recv)
EMPTY("tp_btf/sock_send_length", btf_sock_send)
EMPTY("tp_btf/sched_switch", btf_sched_switch)
EMPTY("tp_btf/sched_wakeup", btf_sched_wakeup)
EMPTY("tp/syscalls/sys_exit_accept4", tp_accept4)
EMPTY("tp/syscalls/sys_exit_close", tp_close)
EMPTY("tp/syscalls/sys_exit_read", tp_read)
EMPTY("tp/syscalls/sys_exit_recvfrom", tp_recvfrom)
EMPTY("tp/syscalls/sys_exit_writev", tp_writev)
EMPTY("tp/syscalls/sys_exit_write", tp_write)

/* No more than the question whether this is a process that matters. */
SEC("?tp_btf/sys_exit")
int btf_sys_exit_filter(void *ctx)
{
	if (filter[(__u16)bpf_get_current_task_btf()->tgid])
		count++;
	return 0;
}

/* The same by the helper that needs no task. */
SEC("?tp_btf/sys_exit")
int btf_sys_exit_pid(void *ctx)
{
	if (filter[(__u16)(bpf_get_current_pid_tgid() >> 32)])
		count++;
	return 0;
}

/* … and the time of day. */
SEC("?tp_btf/sys_exit")
int btf_sys_exit_clock(void *ctx)
{
	count = bpf_ktime_get_ns();
	return 0;
}

/* --- what the pieces of a program cost: each does one thing with the task that it asks for first --- */

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u64);
} storage SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, __u64);
} hash SEC(".maps");

extern void *bpf_rdonly_cast(const void *address, __u32 type) __ksym __weak;

#define PIECE(name, statement)                                     \
	SEC("?tp_btf/sys_exit")                                    \
	int name(void *ctx)                                        \
	{                                                          \
		struct task_struct *task = bpf_get_current_task_btf(); \
                                                                   \
		statement;                                         \
		return 0;                                          \
	}

static __always_inline void look_into_hash(void)
{
	__u64 key = 1, first = 0, *value = bpf_map_lookup_elem(&hash, &key);

	if (value)
		count = *value;
	else
		bpf_map_update_elem(&hash, &key, &first, BPF_ANY);
}

static __always_inline void look_into_storage(struct task_struct *task)
{
	__u64 *value = bpf_task_storage_get(&storage, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);

	if (value)
		count = *value;
}

static __always_inline void copy_pointer(struct task_struct *task)
{
	__u64 value = 0;

	bpf_probe_read_kernel(&value, sizeof(value), &task->stack);
	count = value;
}

PIECE(piece_task, count = task->tgid)
PIECE(piece_clock, count = bpf_ktime_get_ns())
PIECE(piece_storage, look_into_storage(task))
PIECE(piece_hash, look_into_hash())
PIECE(piece_probe_read, copy_pointer(task))
PIECE(piece_cast, count = ((struct rb_node *)bpf_rdonly_cast(&task->stack, bpf_core_type_id_kernel(struct rb_node)))
				->__rb_parent_color)
PIECE(piece_regs, count = ((struct pt_regs *)bpf_task_pt_regs(task))->sp)
