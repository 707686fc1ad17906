/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* What the running kernel offers, decided from its BTF and from what it lets us do, not from its version. */
#ifndef THREADPROF_PROBES_H
#define THREADPROF_PROBES_H

#include <stdbool.h>
#include <stddef.h>

#include "kfunc_calls.h"

struct btf;

struct probes {
	/*
	 * Its own BTF may be used. Where not, as the kernel has none, no program may be loaded that makes the kernel
	 * look at it: none that is of type "tracing", reads through a pointer to a task, or calls kernel functions.
	 */
	bool has_kernel_btf;
	bool has_task_storage;	   /* false: it is not to be tried; what the kernel lets us use shows at the load */
	bool has_tp_btf;	   /* the same */
	bool has_current_task_btf; /* the helper bpf_get_current_task_btf() */
	bool has_task_pt_regs;	   /* the helper bpf_task_pt_regs(), and the one above */
	bool has_mem_alloc;	   /* maps that allocate while a program runs do so from memory set apart for it */
	bool has_steady_sys_exit;  /* programs at the end of system calls are not preempted: until 7.1 */
	bool has_steady_processes; /* nor those where a process begins, executes or ends: 7.3 has it no more */
	bool has_prev_state; /* sched_switch passes it as its fourth argument */
	bool has_group_dead; /* sched_process_exit passes it as its second argument */
	int kfunc_ids[TP_NR_KFUNCS]; /* see kfunc__find() */
	bool has_rdonly_cast;    /* the kernel function that makes an address readable: 6.2 */
	bool has_task_from_pid;  /* kernel functions that find a task by its tid: 6.2 */
	bool has_attach_cookie; /* the helper bpf_get_attach_cookie(), 5.15; older kernels lack fetching atomics too */
	bool maps_count_as_locked; /* memory of BPF maps counts against RLIMIT_MEMLOCK: before 5.11 */
	bool has_task_from_vpid; /* … by its tid in the caller's pid namespace: 6.14 */
	bool has_private_stack; /* that of programs on kprobes and uprobes is their CPU's: 6.13 */
};

/*
 * Number of arguments of a tracepoint by its type btf_trace_NAME in @btf, the hidden first one not counted;
 * -ENOENT if there is no such tracepoint.
 */
int probes__tracepoint_args(const struct btf *btf, const char *name);

/*
 * Under which symbol a list in the format of /proc/kallsyms has @function: copies it to @symbol. -ENOENT if
 * it is not there, as when the compiler has inlined it everywhere.
 */
int probes__find_function(const char *path, const char *function, char *symbol, size_t size);

/* Does @btf list the helper function, as in "BPF_FUNC_task_pt_regs"? */
bool probes__has_helper(const struct btf *btf, const char *id);

/*
 * Fills @probes from the kernel's types, which are @is_own or a file's; a bit of @forced for each enum fallback that
 * is to be taken as missing.
 */
void probes__read(const struct btf *btf, bool is_own, unsigned forced, struct probes *probes);

/*
 * Before all else: what probes__read_kernel() is to take as missing, a bit for each enum fallback, and the file that
 * describes the kernel's types; NULL: the kernel's own BTF does.
 */
void probes__force(unsigned forced, const char *btf_file);

/*
 * The same of the running kernel, whose BTF, some megabytes, is read at the first call only. Negative errno
 * after a sentence on stderr.
 */
int probes__read_kernel(struct probes *probes);

/*
 * Says why the programs could not be loaded, where it is not that the kernel refuses one of them; returns @err.
 * A limit of memory that is too low looks like a lack of rights to the kernel's caller.
 */
int probes__explain_load(int err);

/* What keeps this process from loading tracing programs here, and what to do about it. Valid until the next look. */
struct host_lack {
	int err;
	const char *reason;
	const char *remedy;
};

/* Finds the first such thing: capabilities, a user namespace, lockdown, BTF or its file. false: there is none. */
bool probes__find_lack(struct host_lack *lack);

/* The same as one sentence on stderr and a negative errno; 0: there is none. */
int probes__check_host(void);

#endif /* THREADPROF_PROBES_H */
