/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* The BPF programs by name: what each is for, and which of them go together. */
#ifndef THREADPROF_PROGRAMS_H
#define THREADPROF_PROGRAMS_H

#include <stdbool.h>

#include "probes.h"
#include "session.h"

#define SWITCH_FUNCTION "finish_task_switch"
#define EXIT_EVENT_PROGRAM "request_sys_exit_perf"
#define EXIT_EVENT "raw_syscalls/sys_exit"
#define EXEC_EVENT "sched/sched_process_exec"
#define END_EVENT "sched/sched_process_exit"

enum program_role {
	SEES_SWITCHES = 1, /* another way to see switches needs another program in its place */
	IS_RUN = 2,	   /* by userspace (test_run.h), and attached to nothing */
	FINDS_HOLDERS = 4, /* of locks, where it is allowed: SESSION_HOLDERS has no program of its own */
};

struct program {
	const char *name;
	enum session_part part; /* what does not work without it */
	bool required;
	unsigned ways; /* to see thread switches, that it is a part of: a bit for each enum session_way */
	unsigned role; /* enum program_role */
	enum session_hooked hooked; /* HOOKED_NOTHING: it is there in any case */
	unsigned hooks;		    /* that it is for: a bit for each enum session_hook */
	const char *event;	    /* whose perf event it is attached to; NULL: to what its section names */
};

/* All of them; the last one has no name. */
extern const struct program programs[];

/* NULL: there is none of this name. */
const struct program *program__find(const char *name);

bool program__is_of_way(const struct program *program, enum session_way way);

/* True also of all that are there in any case. */
bool program__is_of_hooks(const struct program *program, const enum session_hook hooks[NR_HOOKED]);

/* The best way to see it, as far as is known before the load. @has_event: its perf event could be opened. */
enum session_hook hook__choose(enum session_hooked hooked, const struct probes *probes, bool has_event);

bool program__sees_switches(const struct program *program);
bool program__is_run(const struct program *program);
bool program__finds_holders(const struct program *program);

/* May switches be seen in this way, as far as is known before the load: from what was asked for, and from BTF. */
bool way__is_allowed(enum session_way way, enum switch_probe asked, const struct probes *probes);

#endif /* THREADPROF_PROGRAMS_H */
