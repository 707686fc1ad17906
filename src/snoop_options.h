/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* The command line of `threadprof snoop`, parsed and checked. */
#ifndef THREADPROF_SNOOP_OPTIONS_H
#define THREADPROF_SNOOP_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct snoop_options {
	uint64_t max_life_ns; /* 0: however long they live */
	const char *comm; /* NULL: all */
	bool by_uid;
	uint32_t uid;
	const char *cgroup; /* NULL: all */
	uint32_t follow; /* 0: all */
	bool failed;
	bool exec;
	bool json;
	uint64_t duration_ns; /* 0: no limit */
	uint64_t args_bytes;
	uint64_t burst_min;
	uint64_t burst_window_ns;
	uint64_t ring_bytes; /* 0: default */
	enum { SNOOP_COLOR_AUTO, SNOOP_COLOR_ALWAYS, SNOOP_COLOR_NEVER } color;
	bool verbose;
	const char *btf; /* file of the kernel's types; NULL: its own */
	unsigned force_fallback; /* bits of enum fallback */
};

/* As options__parse(); argv[0] is "snoop". */
int snoop_options__parse(struct snoop_options *options, int argc, char **argv);

#endif /* THREADPROF_SNOOP_OPTIONS_H */
