// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "programs.h"

#include <stddef.h>
#include <string.h>

/*
 * The ways of BTF tracepoints load programs that take the kernel's own BTF; the others none but those that the end of
 * system calls may need, see enum session_sys_exit.
 */
#define BTF_WAYS (1U << WAY_BTF_TRACEPOINT | 1U << WAY_BTF_TRACEPOINT_HASH)
#define RAW_WAY (1U << WAY_RAW_TRACEPOINT)
#define FUNCTION_WAY (1U << WAY_FUNCTION)
#define RAW_WAYS (RAW_WAY | FUNCTION_WAY)
#define ALL_WAYS ((1U << NR_WAYS) - 1)

const struct program programs[] = {
	{ "sched_switch", SESSION_SCHED, true, BTF_WAYS, SEES_SWITCHES },
	{ "sched_switch_raw", SESSION_SCHED, true, RAW_WAY, SEES_SWITCHES },
	{ SWITCH_FUNCTION, SESSION_SCHED, true, FUNCTION_WAY, SEES_SWITCHES },
	{ "sched_wakeup", SESSION_SCHED, true, BTF_WAYS, SEES_SWITCHES },
	{ "sched_wakeup_raw", SESSION_SCHED, true, RAW_WAYS, SEES_SWITCHES },
	{ "sched_waking", SESSION_SCHED, true, BTF_WAYS, SEES_SWITCHES },
	{ "sched_waking_raw", SESSION_SCHED, true, RAW_WAYS, SEES_SWITCHES },
	{ "process_fork", SESSION_SCHED, true, BTF_WAYS, 0 },
	{ "process_fork_raw", SESSION_SCHED, true, RAW_WAYS, 0 },
	{ "process_exec", SESSION_SCHED, true, BTF_WAYS, 0 },
	{ "process_exec_raw", SESSION_SCHED, true, RAW_WAYS, 0 },
	{ "process_exit", SESSION_SCHED, true, BTF_WAYS, 0 },
	{ "process_exit_raw", SESSION_SCHED, true, RAW_WAYS, 0 },
	{ "adopt_threads", SESSION_SCHED, true, BTF_WAYS, 0 },
	{ "adopt_thread", SESSION_SCHED, true, RAW_WAYS, IS_RUN },
	{ "snapshot_threads", SESSION_SCHED, true, BTF_WAYS, 0 },
	{ "snapshot_thread", SESSION_SCHED, true, RAW_WAYS, IS_RUN },
	{ "sched_migrate_task", SESSION_MIGRATE, false, BTF_WAYS, 0 },
	{ "sched_migrate_task_raw", SESSION_MIGRATE, false, RAW_WAYS, 0 },
	{ "learn_regs", SESSION_REGS, true, ALL_WAYS, 0 },
	/* after sched_switch */
	{ "holder_switch", SESSION_HOLDERS, false, 1U << WAY_BTF_TRACEPOINT, 0 },
	{ "holder_switch_raw", SESSION_HOLDERS, false, 1U << WAY_BTF_TRACEPOINT_HASH | RAW_WAY, 0 },
	{ "request_sys_exit", SESSION_REQUESTS, false, BTF_WAYS, 0 },
	{ "request_sys_exit_raw", SESSION_REQUESTS, false, RAW_WAYS, 0 },
	{ EXIT_EVENT_PROGRAM, SESSION_REQUESTS, false, ALL_WAYS, 0 },
	{ "request_sys_exit_guarded", SESSION_REQUESTS, false, ALL_WAYS, 0 },
	{ "snapshot_sockets", SESSION_SOCKETS, false, BTF_WAYS, 0 },
	{ "snapshot_thread_sockets", SESSION_SOCKETS, false, RAW_WAYS, IS_RUN },
	{ "lock_call_enter", SESSION_LOCK_CALLS, false, ALL_WAYS, 0 },
	{ "lock_call_return", SESSION_LOCK_CALLS, false, ALL_WAYS, 0 },
	{ NULL, 0, false, 0, 0 },
};

const struct program *program__find(const char *name)
{
	for (const struct program *program = programs; program->name; program++) {
		if (!strcmp(program->name, name))
			return program;
	}
	return NULL;
}

bool program__is_of_way(const struct program *program, enum session_way way)
{
	return program->ways & 1U << way;
}

bool program__is_of_sys_exit(const struct program *program, enum session_sys_exit sys_exit)
{
	if (program->part != SESSION_REQUESTS)
		return true;
	if (!strcmp(program->name, EXIT_EVENT_PROGRAM))
		return sys_exit == SYS_EXIT_EVENT;
	if (!strcmp(program->name, "request_sys_exit_guarded"))
		return sys_exit == SYS_EXIT_PREEMPTED;
	return sys_exit == SYS_EXIT_TRACEPOINT;
}

bool program__sees_switches(const struct program *program)
{
	return program->role & SEES_SWITCHES;
}

bool program__is_run(const struct program *program)
{
	return program->role & IS_RUN;
}

bool way__is_allowed(enum session_way way, enum switch_probe asked, const struct probes *probes)
{
	if (way == WAY_FUNCTION)
		return asked != SWITCH_PROBE_TRACEPOINT;
	if (asked == SWITCH_PROBE_FUNCTION)
		return false;
	switch (way) {
	case WAY_BTF_TRACEPOINT:
		return probes->has_tp_btf && probes->has_task_storage && probes->has_current_task_btf;
	case WAY_BTF_TRACEPOINT_HASH:
		return probes->has_tp_btf;
	default:
		return true;
	}
}
