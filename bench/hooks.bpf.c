// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/* Programs that do nothing, on the hooks that threadprof uses or might: what the hook itself costs. */
#include "vmlinux.h"
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
