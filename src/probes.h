/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* What the running kernel offers, decided from its BTF and from what it lets us do, not from its version. */
#ifndef THREADPROF_PROBES_H
#define THREADPROF_PROBES_H

#include <stdbool.h>
#include <stddef.h>

struct btf;

struct probes {
	bool has_prev_state; /* sched_switch passes it as its fourth argument */
	bool has_group_dead; /* sched_process_exit passes it as its second argument */
};

/*
 * Number of arguments of a tracepoint by its type btf_trace_NAME in @btf, the hidden first one not counted;
 * -ENOENT if there is no such tracepoint.
 */
int probes__tracepoint_args(const struct btf *btf, const char *name);

/*
 * Is @symbol the kernel's @function, under its own name or as the compiler's only copy of it with other
 * arguments or constants (NAME.isra.0, NAME.constprop.1)? Not a part that was moved away (NAME.cold).
 */
bool probes__is_function(const char *symbol, const char *function);

/*
 * Under which symbol a list in the format of /proc/kallsyms has @function: copies it to @symbol. -ENOENT if
 * it is not there, as when the compiler has inlined it everywhere.
 */
int probes__find_function(const char *path, const char *function, char *symbol, size_t size);

/* Fills @probes from the kernel's BTF. */
void probes__read(const struct btf *btf, struct probes *probes);

/*
 * The same of the running kernel, whose BTF, some megabytes, is read at the first call only. Negative errno
 * after a sentence on stderr.
 */
int probes__read_kernel(struct probes *probes);

/*
 * Can this process load tracing programs here? 0, or a negative errno after one sentence that says what
 * is missing and how to get it: capabilities, BTF, lockdown.
 */
int probes__check_host(void);

#endif /* THREADPROF_PROBES_H */
