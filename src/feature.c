// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "feature.h"

#include "pidns.h"

#include <errno.h>
#include <string.h>

struct feature {
	const char *name;
	enum session_part part;
	const char *without; /* what is missing when it is off */
};

static const struct feature table[] = {
	{ "thread_states", SESSION_SCHED, "the kernel refuses the scheduler tracepoints" },
	{ "requests", SESSION_REQUESTS, "the kernel refuses the tracepoint sys_exit: requests, connections and "
					"queues are not measured" },
	{ "existing_connections", SESSION_SOCKETS, "the kernel refuses the program that lists open sockets: "
						   "connections that were open before, and accept queues, are "
						   "not seen" },
	{ "stolen_cpu", SESSION_MIGRATE, "the kernel refuses the tracepoint sched_migrate_task: it is not known "
					 "whose CPU time waiting threads lose" },
	{ "lock_holders", SESSION_HOLDERS, "the kernel refuses a program on sched_switch that finds other threads: what the "
					   "holders of locks do meanwhile is not known" },
};

#define NR_PARTS (sizeof(table) / sizeof(table[0]))
_Static_assert(NR_PARTS + 2 == NR_FEATURES, "bursts and own_cost are not of the session");

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

static struct report_feature state_of(const char *name, int err, const char *without)
{
	return (struct report_feature){
		.name = name,
		.state = err ? "off" : "on",
		.reason = err ? without : NULL,
		.remedy = err ? remedy(err) : NULL,
	};
}

static const char exit_event_remedy[] = "run as root, or add CAP_DAC_READ_SEARCH, mount tracefs on "
					"/sys/kernel/tracing, and set kernel.perf_event_paranoid to 2 or less";

/* What is lesser where thread switches are not seen in the best way; the reason NULL: that one is used. */
static const struct {
	const char *reason;
	const char *remedy;
} ways[NR_WAYS] = {
	[WAY_BTF_TRACEPOINT_HASH] = { "the kernel gives tracing programs no task storage: threads are kept in a hash "
				      "map, at most 16384 of them",
				      "a newer kernel" },
	[WAY_RAW_TRACEPOINT] = { "the kernel refuses sched_switch as a BTF tracepoint: the raw tracepoint is used, and "
				 "at most 16384 threads are kept",
				 "a newer kernel, or one built with CONFIG_BPF_EVENTS" },
	[WAY_FUNCTION] = { "thread switches are seen by a kprobe on finish_task_switch: the owners of most locks are "
			   "not known, and at most 16384 threads are kept",
			   "--switch-probe=sched_switch, where the kernel offers it" },
};

static void read_way(const struct session *session, struct report_feature *feature)
{
	static const char of_a_file[] = "the kernel's types are taken from a file: raw tracepoints are used, and at "
					"most 16384 threads are kept";
	enum session_way way = session__way(session);

	if (!ways[way].reason)
		return;
	if (way == WAY_RAW_TRACEPOINT && !session__has_kernel_btf(session)) {
		*feature = (struct report_feature){ feature->name, "fallback", of_a_file,
						    "a kernel built with CONFIG_DEBUG_INFO_BTF=y, without --btf" };
		return;
	}
	feature->state = "fallback";
	feature->reason = ways[way].reason;
	feature->remedy = ways[way].remedy;
}

/* Where requests are off; with the kernel's own BTF they would be lesser. */
static void read_no_sys_exit(const struct session *session, struct report_feature *feature)
{
	if (session__has_kernel_btf(session) || session__hook(session, HOOKED_SYS_EXIT) != HOOK_PREEMPTED)
		return;
	feature->reason = "this kernel preempts programs at the end of system calls, and the perf event "
			  "raw_syscalls:sys_exit, where it does not, cannot be opened: requests, connections and "
			  "queues are not measured";
	feature->remedy = exit_event_remedy;
}

static void read_sys_exit(const struct session *session, struct report_feature *feature)
{
	if (session__hook(session, HOOKED_SYS_EXIT) != HOOK_PREEMPTED)
		return;
	feature->state = "fallback";
	feature->reason = "this kernel skips a program at the end of a system call while another thread is preempted in it, and "
			  "the perf event raw_syscalls:sys_exit, where it does not, cannot be opened: requests may be missing, "
			  "see lost.skipped_runs";
	feature->remedy = exit_event_remedy;
}

/* Threads in task storage are found with a kernel function, those in a map without. */
static void read_no_holders(const struct session *session, struct report_feature *feature)
{
	enum session_way way = session__way(session);

	if (way == WAY_FUNCTION) {
		feature->reason = "it takes the owners of locks, most of which a kprobe on finish_task_switch does not "
				  "know: what the holders of locks do meanwhile is not known";
		feature->remedy = ways[way].remedy;
	} else if (!session__has_task_from_pid(session)) {
		feature->reason = "the kernel has no bpf_task_from_pid() for tracing programs: what the holders of locks do "
				  "meanwhile is not known";
		feature->remedy = "a newer kernel: Linux 6.2 has it";
	}
}

void features__read(const struct session *session, int bursts_error, int cost_error,
		    struct report_feature features[NR_FEATURES])
{
	size_t i;

	for (i = 0; i < NR_PARTS; i++) {
		int err = session__part_error(session, table[i].part);

		features[i] = state_of(table[i].name, err, table[i].without);
		if (err && table[i].part == SESSION_REQUESTS)
			read_no_sys_exit(session, &features[i]);
		if (!err && table[i].part == SESSION_SCHED)
			read_way(session, &features[i]);
		if (!err && table[i].part == SESSION_REQUESTS)
			read_sys_exit(session, &features[i]);
		if (err && table[i].part == SESSION_HOLDERS)
			read_no_holders(session, &features[i]);
	}
	features[i] = state_of("bursts", bursts_error,
			       "the kernel refuses the tracepoints of process begins and ends: bursts of "
			       "short-lived processes are not seen");
	if (!bursts_error && pidns__is_nested())
		features[i] = (struct report_feature){ "bursts", "fallback", "threadprof runs in a PID namespace: processes "
						       "outside of it are not seen, but for the CPU time they take",
						       "run it on the host, or with the host's PID namespace" };
	features[++i] = state_of("own_cost", cost_error,
				 "the kernel refuses statistics of BPF programs: what measuring costs there is not "
				 "known, and --max-overhead looks at threadprof's own CPU time alone");
	if (cost_error == -EPERM)
		features[i].remedy = "run as root: statistics take CAP_SYS_ADMIN";
}

const struct report_feature *feature__locks(enum locks_source source)
{
	static const struct report_feature on = { .name = "locks", .state = "on" };
	static const struct report_feature off = { .name = "locks", .state = "off", .reason = "asked for with --locks=off",
						   .remedy = "--locks=scheduler, or --locks=uprobe" };

	return source == LOCKS_OFF ? &off : &on;
}
