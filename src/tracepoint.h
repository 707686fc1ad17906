/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* The perf event of a kernel tracepoint, to attach a program to. */
#ifndef THREADPROF_TRACEPOINT_H
#define THREADPROF_TRACEPOINT_H

#include <stdbool.h>

struct bpf_link;
struct bpf_program;

/*
 * The number of the event @name, as "raw_syscalls/sys_exit", by the mounted tracefs whose root is open as @root;
 * negative errno.
 */
int tracepoint__id(int root, const char *name);

/*
 * Opens the event for all CPUs; a program that is attached to it runs although the event stays disabled. Finds its number
 * in tracefs, where that is mounted or with the right to mount it, which nobody else sees. File descriptor, or negative
 * errno.
 */
int tracepoint__open(const char *name);

/* May the event be opened? */
bool tracepoint__is_there(const char *name);

/* Attaches @prog to the event, which stays disabled. NULL with errno. */
struct bpf_link *tracepoint__attach(const struct bpf_program *prog, const char *name);

#endif /* THREADPROF_TRACEPOINT_H */
