/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* The processes that are profiled: found by what the user gave, followed as they fork and end. */
#ifndef THREADPROF_TARGET_H
#define THREADPROF_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "scope.h"
#include "threadprof.h"

struct target_process {
	uint32_t tgid;
	char comm[TP_COMM_LEN];
	int pidfd; /* of a process that the user named; -1: followed */
	bool alive;
	bool is_watched; /* the kernel side knows it as a target */
};

struct targets {
	struct target_process *list;
	size_t nr;
	size_t capacity;
	size_t nr_alive;
};

/*
 * Adds the processes of "PID[,PID…]". For one that can't be profiled says why in a sentence and returns
 * negative errno: -EINVAL for what is not a number, -ESRCH where there is no such process, -EPERM for a
 * kernel thread or threadprof itself. A thread's id stands for its process, which is said.
 */
int targets__parse(struct targets *targets, const char *arg);

/* Adds a process; 0 also if it is there already. @pidfd is taken over. -ENOMEM. */
int targets__add(struct targets *targets, uint32_t tgid, const char *comm, int pidfd);

/*
 * Adds the processes of @scope that are not there yet, threadprof and kernel threads left out. Returns how
 * many, or negative errno.
 */
int targets__add_scope(struct targets *targets, const struct scope *scope);

/* Adds all living descendants of the targets. -ENOMEM, or negative errno of reading /proc. */
int targets__add_descendants(struct targets *targets);

struct target_process *targets__find(const struct targets *targets, uint32_t tgid);

/* A target has ended. */
void targets__end(struct targets *targets, uint32_t tgid);

/* Finds out about ends that no record has told. */
void targets__check(struct targets *targets);

/* Removes the processes that have ended, so that a server that forks for each request leaves nothing behind. */
void targets__forget_ended(struct targets *targets);

void targets__free(struct targets *targets);

/* How many child processes @tgid has. */
size_t target__nr_children(uint32_t tgid);

#endif /* THREADPROF_TARGET_H */
