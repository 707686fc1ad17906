// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "report.h"

const char *const tp_part_names[TP_NR_PARTS] = {
	[TP_CPU] = "cpu",     [TP_RUNQ] = "runq",	[TP_LOCK] = "lock", [TP_WAIT] = "wait",
	[TP_DISK] = "disk",   [TP_NET] = "net",		[TP_IDLE] = "idle", [TP_SLEEP] = "sleep",
	[TP_OTHER] = "other", [TP_HANDOFF] = "handoff",
};

const char *const tp_loss_names[TP_NR_LOSSES] = {
	[TP_LOSS_RING_BUFFER] = "ring_buffer",	       [TP_LOSS_CONN_MAP] = "conn_map_full",
	[TP_LOSS_DETAIL_MAP] = "detail_map_full",      [TP_LOSS_THREAD] = "thread_storage",
	[TP_LOSS_CLOCK_BACKWARDS] = "clock_backwards", [TP_LOSS_UNMATCHED] = "unmatched",
	[TP_LOSS_LOCK_CALL] = "lock_calls",
};

const char *tp_lock_kind_name(uint32_t kind)
{
	switch (kind) {
	case TP_LOCK_MUTEX:
		return "mutex";
	case TP_LOCK_RWLOCK:
		return "rwlock";
	case TP_LOCK_CONDVAR:
		return "condvar";
	case TP_LOCK_GIL:
		return "gil";
	case TP_LOCK_SEMAPHORE:
		return "semaphore";
	case TP_LOCK_FUTEX:
	default:
		return "futex";
	}
}

const char *const tp_detail_names[TP_NR_DETAILS] = {
	[TP_DETAIL_STACKS] = "stacks",
	[TP_DETAIL_CALLS] = "lock_calls",
	[TP_DETAIL_BREAKDOWN] = "request_breakdown",
	[TP_DETAIL_WAITS] = "peers_and_files",
	[TP_DETAIL_THIEVES] = "cpu_thieves",
};
