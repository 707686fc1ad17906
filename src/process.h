/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * Reducer of the records of snoop_records.h: which processes live, who made them, and one event
 * for each thing that happened. No system calls: a process that is gone is known from its records
 * alone.
 */
#ifndef THREADPROF_PROCESS_H
#define THREADPROF_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "snoop_records.h"
#include "table.h"

#define PROCESS_UNKNOWN UINT64_MAX
#define PROCESS_MAX_ANCESTORS 32

struct burst_group;

/* What was executed; a process that forks shares it with its child. */
struct process_image {
	size_t refs;
	char *exe; /* NULL: not known */
	char *args; /* NULL: not known; each ended by NUL, the last one perhaps not */
	size_t args_bytes;
	bool args_cut;
};

struct process {
	struct table_node node;
	size_t refs; /* of the table and of its children */
	struct process *parent; /* who made it; NULL: init, the kernel, or not known */
	struct process_image *image; /* NULL: not known */
	uint32_t tgid;
	uint32_t ppid; /* of who made it */
	uint32_t uid; /* of its last record, as is comm */
	uint32_t execs; /* seen */
	uint64_t start_ns;
	uint64_t cgroup_id; /* 0: not known */
	uint64_t sweep; /* the last one before which something was heard of it */
	bool followed; /* it, or an ancestor, was chosen by processes__follow() */
	char comm[TP_COMM_LEN];
	struct burst_group *group; /* the user's, inherited by nobody */
};

enum process_what {
	PROCESS_NOTHING,
	PROCESS_FORKED,
	PROCESS_EXECED,
	PROCESS_EXEC_FAILED,
	PROCESS_ENDED,
};

/* Valid until the next processes__apply(). */
struct process_event {
	enum process_what what;
	struct process *process;
	uint64_t ts_ns;
	uint64_t life_ns; /* PROCESS_ENDED */
	uint64_t cpu_ns; /* PROCESS_ENDED; PROCESS_UNKNOWN */
	uint32_t status; /* PROCESS_ENDED: as wait(2) gives it */
	int error; /* PROCESS_EXEC_FAILED: positive errno */
	const char *path; /* PROCESS_EXEC_FAILED: what was to be executed; NULL: not known */
};

struct processes;

struct processes *processes__new(void); /* NULL when there is no memory */
void processes__free(struct processes *processes);

/* Takes in a record, of which it keeps nothing, and says what happened. 0, -ENOMEM or -EPROTO. */
int processes__apply(struct processes *processes, const struct tp_rec *rec,
		     struct process_event *event);

/* The living process of this pid; NULL if there is none. */
struct process *processes__find(const struct processes *processes, uint32_t tgid);

/* Calls @fn for each living process, which it must not end. */
void processes__each(const struct processes *processes,
		     void (*fn)(void *context, struct process *process), void *context);

/* Sets what a process executes that was there before us; NULL: not known. 0 or -ENOMEM. */
int process__set_image(struct process *process, const char *exe, const char *args,
		       size_t args_bytes, bool args_cut);

/* From now on the process and all that descends from it is "followed". False: no such process. */
bool processes__follow(struct processes *processes, uint32_t tgid);

/*
 * Finds the processes whose end was lost: between the two calls a SNOOP_REC_LIVING is applied for each process
 * there is, and then what was recorded meanwhile. Of whom nothing was heard has ended; @fn sees each of them
 * for the last time.
 */
void processes__begin_sweep(struct processes *processes);
void processes__end_sweep(struct processes *processes, void (*fn)(struct process *process));

/* Ends of processes that were noticed because their pid was given out again, or by a sweep. */
uint64_t processes__nr_missed_ends(const struct processes *processes);

/* The executable's path, or the name where that is not known. */
const char *process__exe(const struct process *process);

/* Its makers, the first of them first, without init and itself; returns how many. */
size_t process__ancestry(const struct process *process,
			 const struct process *list[PROCESS_MAX_ANCESTORS]);

#endif /* THREADPROF_PROCESS_H */
