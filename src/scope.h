/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* A cgroup as the set of processes to profile, given by its path or by the id of the container it is of. */
#ifndef THREADPROF_SCOPE_H
#define THREADPROF_SCOPE_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

struct scope {
	char path[PATH_MAX]; /* of the cgroup's directory; "": none */
};

/*
 * The cgroup at @path: a directory of any cgroup file system, or a path below one as in /proc/PID/cgroup, of
 * which version 2 is looked at first. Negative errno after a sentence on stderr.
 */
int scope__find_cgroup(struct scope *scope, const char *path);

/* The cgroup of the only container whose id begins with @id. Negative errno after a sentence on stderr. */
int scope__find_container(struct scope *scope, const char *id);

/*
 * The same below the directory @root. -ENOENT if there is none, -ENOTUNIQ if there are several: then the
 * beginnings of their ids are in @others.
 */
int scope__find_container_below(struct scope *scope, const char *root, const char *id, char *others, size_t size);

/*
 * The id of the container that a cgroup of this name is made for, as docker, podman, containerd, CRI-O, LXC
 * and systemd-nspawn name it: copied to @id. -ENOENT: it is of none.
 */
int scope__container_id(const char *name, char *id, size_t size);

typedef int (*scope_pid_fn)(void *context, uint32_t pid);

/*
 * Calls @fn for each process in the cgroup and in those below it, until it returns other than 0, which is
 * then returned. A cgroup that is gone has none. Negative errno where it can't be read.
 */
int scope__each_pid(const struct scope *scope, scope_pid_fn fn, void *context);

#endif /* THREADPROF_SCOPE_H */
