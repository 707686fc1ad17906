// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "programs.h"

#include <stddef.h>
#include <string.h>

#define BTF_WAYS (1U << WAY_BTF_TRACEPOINT | 1U << WAY_BTF_TRACEPOINT_HASH)
#define RAW_WAY (1U << WAY_RAW_TRACEPOINT)
#define FUNCTION_WAY (1U << WAY_FUNCTION)
#define ALL_WAYS ((1U << NR_WAYS) - 1)

const struct program programs[] = {
	{ "sched_switch", SESSION_SCHED, true, BTF_WAYS },
	{ "sched_switch_raw", SESSION_SCHED, true, RAW_WAY },
	{ SWITCH_FUNCTION, SESSION_SCHED, true, FUNCTION_WAY },
	{ "sched_wakeup", SESSION_SCHED, true, BTF_WAYS | FUNCTION_WAY },
	{ "sched_wakeup_raw", SESSION_SCHED, true, RAW_WAY },
	{ "sched_waking", SESSION_SCHED, true, BTF_WAYS | FUNCTION_WAY },
	{ "sched_waking_raw", SESSION_SCHED, true, RAW_WAY },
	{ "process_fork", SESSION_SCHED, true, ALL_WAYS },
	{ "process_exec", SESSION_SCHED, true, ALL_WAYS },
	{ "process_exit", SESSION_SCHED, true, ALL_WAYS },
	{ "adopt_threads", SESSION_SCHED, true, ALL_WAYS },
	{ "snapshot_threads", SESSION_SCHED, true, ALL_WAYS },
	{ "sched_migrate_task", SESSION_MIGRATE, false, BTF_WAYS | FUNCTION_WAY },
	{ "sched_migrate_task_raw", SESSION_MIGRATE, false, RAW_WAY },
	{ "learn_regs", SESSION_REGS, true, ALL_WAYS },
	{ "holder_switch", SESSION_HOLDERS, false, 1U << WAY_BTF_TRACEPOINT }, /* after sched_switch */
	{ "request_sys_exit", SESSION_REQUESTS, false, ALL_WAYS },
	{ EXIT_EVENT_PROGRAM, SESSION_REQUESTS, false, ALL_WAYS },
	{ "request_sys_exit_guarded", SESSION_REQUESTS, false, ALL_WAYS },
	{ "snapshot_sockets", SESSION_SOCKETS, false, ALL_WAYS },
	{ "lock_call_enter", SESSION_LOCK_CALLS, false, ALL_WAYS },
	{ "lock_call_return", SESSION_LOCK_CALLS, false, ALL_WAYS },
	{ NULL, 0, false, 0 },
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

static const char *const sys_exit_programs[NR_SYS_EXITS] = {
	[SYS_EXIT_TRACEPOINT] = "request_sys_exit",
	[SYS_EXIT_EVENT] = EXIT_EVENT_PROGRAM,
	[SYS_EXIT_PREEMPTED] = "request_sys_exit_guarded",
};

bool program__is_of_sys_exit(const struct program *program, enum session_sys_exit sys_exit)
{
	return program->part != SESSION_REQUESTS || !strcmp(program->name, sys_exit_programs[sys_exit]);
}

bool program__sees_switches(const struct program *program)
{
	return program->required && program->ways != ALL_WAYS;
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
