/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * What the programs of `threadprof snoop` tell userspace: the begin, the executions and the end of
 * every process. Every record starts with a struct tp_rec; its kind is an enum snoop_rec_kind.
 */
#ifndef THREADPROF_SNOOP_RECORDS_H
#define THREADPROF_SNOOP_RECORDS_H

#include "threadprof.h"

enum snoop_rec_kind {
	SNOOP_REC_FORK = 1, /* struct snoop_rec: a process was made */
	SNOOP_REC_LIVING = 2, /* struct snoop_rec: it was there before us; from the task iterator */
	SNOOP_REC_EXEC = 3, /* struct snoop_rec_exec */
	SNOOP_REC_FAILED = 4, /* struct snoop_rec_failed: execve(2) returned an error */
	SNOOP_REC_EXIT = 5, /* struct snoop_rec_exit: its last thread has ended */
};

/* A record that found no room in the ring buffer, by kind. */
enum snoop_loss {
	SNOOP_LOSS_FORK,
	SNOOP_LOSS_EXEC,
	SNOOP_LOSS_FAILED,
	SNOOP_LOSS_EXIT,
	SNOOP_NR_LOSSES,
};

/* (tgid, start_ns) is the identity: a process keeps both over an exec, from whichever thread. */
struct snoop_process {
	__u32 tgid;
	__u32 uid;
	__u64 start_ns;
	__u64 cgroup_id;
	__u32 ppid; /* real_parent, now: at a fork the maker, at the end perhaps an adopter */
	__u32 pad;
	__u64 parent_start_ns;
	char comm[TP_COMM_LEN];
	char parent_comm[TP_COMM_LEN];
};

struct snoop_rec {
	struct tp_rec h;
	struct snoop_process p;
};

#define SNOOP_EXE_BYTES 768 /* parts of a path, each with its NUL */
#define SNOOP_EXE_PARTS 32
#define SNOOP_NAME_BYTES 256
#define SNOOP_MAX_ARGS_BYTES 16384

enum {
	SNOOP_EXE_CUT = 1, /* the first parts of the path are missing */
	SNOOP_EXE_LOOSE = 2, /* a name that is in no directory */
	SNOOP_ARGS_UNREAD = 4, /* the arguments could not be read */
};

struct snoop_rec_exec {
	struct tp_rec h;
	struct snoop_process p;
	__u32 flags;
	__u32 exe_bytes; /* used of exe */
	__u32 args_bytes; /* used of args */
	__u32 args_total; /* bytes that the arguments take; more than args_bytes: they are cut */
	/*
	 * The executable file's path in its mount namespace, last part first, each part ended by
	 * NUL.
	 */
	char exe[SNOOP_EXE_BYTES + SNOOP_NAME_BYTES];
	char args[]; /* each argument ended by NUL, unless it is cut */
};

struct snoop_rec_failed {
	struct tp_rec h;
	struct snoop_process p;
	__s32 error; /* positive errno */
	__u32 path_bytes; /* NUL included; 0: could not be read */
	char path[SNOOP_NAME_BYTES];
};

enum {
	SNOOP_CPU_CUT = 1, /* more threads than were added up */
	SNOOP_CPU_UNSEEN = 2, /* its begin to run was not seen, and the kernel has no account of it yet */
};

struct snoop_rec_exit {
	struct tp_rec h;
	struct snoop_process p;
	__u64 cpu_ns; /* of all its threads */
	__u32 status; /* as wait(2) gives it */
	__u32 flags;
};

TP_ASSERT_SIZE(struct snoop_process, 72);
TP_ASSERT_SIZE(struct snoop_rec, 88);
TP_ASSERT_SIZE(struct snoop_rec_exec, 88 + 16 + 1024);
TP_ASSERT_SIZE(struct snoop_rec_failed, 88 + 8 + 256);
TP_ASSERT_SIZE(struct snoop_rec_exit, 104);

#endif /* THREADPROF_SNOOP_RECORDS_H */
