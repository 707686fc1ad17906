/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * Where a process's lock functions are, and whether probes may be put on them: on pthread_mutex_lock and its
 * like in every file that the process has code of. That is glibc (libpthread before 2.34), musl, a static
 * program with symbols, a library that puts itself before these.
 */
#ifndef THREADPROF_LOCK_LIBRARY_H
#define THREADPROF_LOCK_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "uprobe.h"

#define LOCK_LIBRARIES_MAX 8

struct lock_library {
	int fd;
	char name[64]; /* of its file; escape it before printing */
	uint64_t dev;
	uint64_t inode;
	struct uprobe_place places[UPROBE_MAX_PLACES]; /* cookie: enum tp_lock_kind */
	size_t nr_places;
};

/* What was found. A sentence without its end; static text, and a remedy. */
struct lock_refusal {
	const char *reason; /* NULL: nothing is against it */
	const char *remedy;
};

/*
 * Looks for lock functions in process @pid, and for what makes a return probe dangerous: a Go program (its
 * stacks move), user-level threads (a return address that was exchanged is met on another thread), a seccomp
 * filter (kills at the system call that return probes make since 6.11). @libraries has room for
 * LOCK_LIBRARIES_MAX; each one's fd is the caller's. Returns their number; 0 with @refusal filled in; or
 * -ESRCH where the process has ended. -ENOMEM.
 */
int lock_library__find(pid_t pid, struct lock_library *libraries, struct lock_refusal *refusal);

/*
 * Where threadprof's own pthread_mutex_lock() is, stripped and static or not: one place, and the fd is the caller's.
 * -EPERM: threadprof itself is under a seccomp filter. Negative errno.
 */
int lock_library__own(struct lock_library *library);

/* Has the first thread of @pid come under a seccomp filter? Cheap enough to ask often. */
bool lock_library__is_filtered(pid_t pid);

#endif /* THREADPROF_LOCK_LIBRARY_H */
