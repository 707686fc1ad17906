/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* The command line, parsed and checked. */
#ifndef THREADPROF_OPTIONS_H
#define THREADPROF_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "session.h"

struct options {
	const char *pids; /* as given to -p; NULL: a command is to be started */
	const char *cgroup;    /* a path; NULL: none */
	const char *container; /* the beginning of an id; NULL: none */
	char **command;	  /* NULL-terminated; NULL: none */
	bool follow;
	uint64_t interval_ns;
	uint64_t count;	      /* reports to print; 0: no limit */
	uint64_t duration_ns; /* 0: no limit */
	bool json;
	uint64_t slow_ns; /* 0: only the slowest */
	uint64_t top_threads;
	bool resolve; /* names for addresses */
	const char *folded; /* file for the stacks of waits; NULL: none */
	enum { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER } color;
	enum switch_probe switch_probe;
	enum locks_source locks;
	double max_overhead_ratio; /* of one CPU, that measuring may take from the target; in (0, 1] */
	bool verbose;
	uint64_t ring_bytes; /* 0: default */
	uint64_t max_conns; /* 0: default */
	const char *baseline; /* file of an earlier run's JSON; NULL: none */
	const char *btf; /* file of the kernel's types; NULL: its own */
	const char *refuse;  /* see struct session_config */
	unsigned force_fallback;
};

/*
 * Fills @options. Returns 0 when the program is to go on; 1 after --help and --version; -EINVAL for wrong
 * usage, which it has explained. @options refers to @argv.
 */
int options__parse(struct options *options, int argc, char **argv);

#endif /* THREADPROF_OPTIONS_H */
