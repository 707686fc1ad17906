/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * Sums over all processes that `threadprof snoop` saw end: by executable, by who launched them.
 * Pure.
 */
#ifndef THREADPROF_SNOOP_SUMMARY_H
#define THREADPROF_SNOOP_SUMMARY_H

#include "process.h"

#define SUMMARY_MAX_NAME 256
#define SUMMARY_TOP 10

struct summary_entry {
	struct table_node node;
	char name[SUMMARY_MAX_NAME]; /* an executable's path, or a launcher's name */
	uint32_t pid; /* launchers: the only one of this name; 0: there were several */
	uint64_t count;
	uint64_t cpu_ns; /* where that is known */
};

enum summary_what {
	SUMMARY_BY_COUNT, /* executables */
	SUMMARY_BY_CPU, /* executables */
	SUMMARY_LAUNCHERS, /* who made them */
	SUMMARY_ROOTS, /* the first of their ancestry */
	SUMMARY_NR,
};

struct snoop_summary {
	uint64_t processes;
	uint64_t cpu_ns;
	uint64_t bursts; /* counted by the user */
	struct table exes, launchers, roots;
};

/* Takes in a PROCESS_ENDED. 0 or -ENOMEM. Zeroed memory is an empty summary. */
int snoop_summary__add(struct snoop_summary *summary, const struct process_event *event);
void snoop_summary__free(struct snoop_summary *summary);

/* The largest entries, largest first; returns how many of them there are. */
size_t snoop_summary__top(const struct snoop_summary *summary, enum summary_what what,
			  const struct summary_entry *list[SUMMARY_TOP]);

#endif /* THREADPROF_SNOOP_SUMMARY_H */
