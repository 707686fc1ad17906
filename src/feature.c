// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "feature.h"

#include <errno.h>
#include <string.h>

struct feature {
	const char *name;
	enum session_part part;
	const char *without; /* what is missing when it is off */
};

static const struct feature table[NR_FEATURES] = {
	{ "thread_states", SESSION_SCHED, "the kernel refuses the scheduler tracepoints" },
	{ "requests", SESSION_REQUESTS, "the kernel refuses the tracepoint sys_exit: requests, connections and "
					"queues are not measured" },
	{ "existing_connections", SESSION_SOCKETS, "the kernel refuses the task_file iterator: connections that "
						   "were open before, and accept queues, are not seen" },
	{ "stolen_cpu", SESSION_MIGRATE, "the kernel refuses the tracepoint sched_migrate_task: it is not known "
					 "whose CPU time waiting threads lose" },
};

static const char *remedy(int err)
{
	switch (err) {
	case -EPERM:
	case -EACCES:
		return "run as root, and check the kernel's lockdown mode and LSM policy";
	case -ENOENT:
	case -EOPNOTSUPP:
	case -EINVAL:
		return "a newer kernel, or one built with CONFIG_BPF_EVENTS and CONFIG_FTRACE_SYSCALLS";
	default:
		return "run with --verbose for the kernel's own words";
	}
}

void features__read(const struct session *session, struct report_feature features[NR_FEATURES])
{
	for (size_t i = 0; i < NR_FEATURES; i++) {
		int err = session__part_error(session, table[i].part);

		features[i] = (struct report_feature){
			.name = table[i].name,
			.state = err ? "off" : "on",
			.reason = err ? table[i].without : NULL,
			.remedy = err ? remedy(err) : NULL,
		};
	}
}
