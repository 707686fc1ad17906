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

#define STEADY (1U << HOOK_TRACEPOINT)
#define EVENT (1U << HOOK_EVENT)
#define PREEMPTED (1U << HOOK_PREEMPTED)
#define UNHOOKED HOOKED_NOTHING, 0, NULL
#define PROCESSES(hooks) HOOKED_PROCESSES, hooks, NULL
#define SYS_EXIT(hooks) HOOKED_SYS_EXIT, hooks, NULL

const struct program programs[] = {
	{ "sched_switch", SESSION_SCHED, true, BTF_WAYS, SEES_SWITCHES | FINDS_HOLDERS, UNHOOKED },
	{ "sched_switch_raw", SESSION_SCHED, true, RAW_WAY, SEES_SWITCHES | FINDS_HOLDERS, UNHOOKED },
	{ SWITCH_FUNCTION, SESSION_SCHED, true, FUNCTION_WAY, SEES_SWITCHES, UNHOOKED },
	{ "sched_wakeup", SESSION_SCHED, true, BTF_WAYS, SEES_SWITCHES, UNHOOKED },
	{ "sched_wakeup_raw", SESSION_SCHED, true, RAW_WAYS, SEES_SWITCHES, UNHOOKED },
	{ "sched_waking", SESSION_SCHED, true, BTF_WAYS, SEES_SWITCHES, UNHOOKED },
	{ "sched_waking_raw", SESSION_SCHED, true, RAW_WAYS, SEES_SWITCHES, UNHOOKED },
	{ "process_fork", SESSION_SCHED, true, BTF_WAYS, 0, PROCESSES(STEADY) },
	{ "process_fork_raw", SESSION_SCHED, true, RAW_WAYS, 0, PROCESSES(STEADY) },
	{ "process_fork_new", SESSION_SCHED, true, BTF_WAYS, 0, PROCESSES(EVENT | PREEMPTED) },
	{ "process_fork_new_raw", SESSION_SCHED, true, RAW_WAYS, 0, PROCESSES(EVENT | PREEMPTED) },
	{ "process_exec", SESSION_SCHED, true, BTF_WAYS, 0, PROCESSES(STEADY | PREEMPTED) },
	{ "process_exec_raw", SESSION_SCHED, true, RAW_WAYS, 0, PROCESSES(STEADY | PREEMPTED) },
	{ "process_exec_perf", SESSION_SCHED, true, ALL_WAYS, 0, HOOKED_PROCESSES, EVENT, EXEC_EVENT },
	{ "process_exit", SESSION_SCHED, true, BTF_WAYS, 0, PROCESSES(STEADY) },
	{ "process_exit_raw", SESSION_SCHED, true, RAW_WAYS, 0, PROCESSES(STEADY) },
	{ "process_exit_perf", SESSION_SCHED, true, ALL_WAYS, 0, HOOKED_PROCESSES, EVENT, END_EVENT },
	{ "process_exit_guarded", SESSION_SCHED, true, ALL_WAYS, 0, PROCESSES(PREEMPTED) },
	{ "adopt_threads", SESSION_SCHED, true, BTF_WAYS, 0, UNHOOKED },
	{ "adopt_thread", SESSION_SCHED, true, RAW_WAYS, IS_RUN, UNHOOKED },
	{ "snapshot_threads", SESSION_SCHED, true, BTF_WAYS, 0, UNHOOKED },
	{ "snapshot_thread", SESSION_SCHED, true, RAW_WAYS, IS_RUN, UNHOOKED },
	{ "sched_migrate_task", SESSION_MIGRATE, false, BTF_WAYS, 0, UNHOOKED },
	{ "sched_migrate_task_raw", SESSION_MIGRATE, false, RAW_WAYS, 0, UNHOOKED },
	{ "learn_regs", SESSION_REGS, true, ALL_WAYS, 0, UNHOOKED },
	{ "request_sys_exit", SESSION_REQUESTS, false, BTF_WAYS, 0, SYS_EXIT(STEADY) },
	{ "request_sys_exit_raw", SESSION_REQUESTS, false, RAW_WAYS, 0, SYS_EXIT(STEADY) },
	{ EXIT_EVENT_PROGRAM, SESSION_REQUESTS, false, ALL_WAYS, 0, HOOKED_SYS_EXIT, EVENT, EXIT_EVENT },
	{ "request_sys_exit_guarded", SESSION_REQUESTS, false, ALL_WAYS, 0, SYS_EXIT(PREEMPTED) },
	{ "snapshot_sockets", SESSION_SOCKETS, false, BTF_WAYS, 0, UNHOOKED },
	{ "snapshot_thread_sockets", SESSION_SOCKETS, false, RAW_WAYS, IS_RUN, UNHOOKED },
	{ "lock_call_enter", SESSION_LOCK_CALLS, false, ALL_WAYS, 0, UNHOOKED },
	{ "lock_call_return", SESSION_LOCK_CALLS, false, ALL_WAYS, 0, UNHOOKED },
	{ NULL, 0, false, 0, 0, UNHOOKED },
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

bool program__is_of_hooks(const struct program *program, const enum session_hook hooks[NR_HOOKED])
{
	return program->hooked == HOOKED_NOTHING || program->hooks & 1U << hooks[program->hooked];
}

enum session_hook hook__choose(enum session_hooked hooked, const struct probes *probes, bool has_event)
{
	if (hooked == HOOKED_SYS_EXIT)
		return probes->has_steady_sys_exit ? HOOK_TRACEPOINT : has_event ? HOOK_EVENT : HOOK_PREEMPTED;
	if (probes->has_steady_processes)
		return HOOK_TRACEPOINT;
	if (has_event)
		return HOOK_EVENT;
	return probes->kfunc_ids[TP_PREEMPT_DISABLE] && probes->kfunc_ids[TP_PREEMPT_ENABLE] ? HOOK_PREEMPTED :
											       HOOK_TRACEPOINT;
}

bool program__sees_switches(const struct program *program)
{
	return program->role & SEES_SWITCHES;
}

bool program__is_run(const struct program *program)
{
	return program->role & IS_RUN;
}

bool program__finds_holders(const struct program *program)
{
	return program->role & FINDS_HOLDERS;
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
