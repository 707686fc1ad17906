/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* Paths of cgroups (version 2) by the id that the kernel side records. */
#ifndef THREADPROF_CGROUP_H
#define THREADPROF_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

struct cgroups;

struct cgroups *cgroups__new(void); /* NULL when there is no memory */
/* Why no path will be known, and what would help, for the end of a sentence; NULL: they will. */
const char *cgroups__why_unknown(const struct cgroups *cgroups);
void cgroups__free(struct cgroups *cgroups);

/*
 * The path below the cgroup file system, "/" for its root; NULL where it is not known. Remembered
 * from the first call on, so that it is still known when the cgroup is gone.
 */
const char *cgroups__path(struct cgroups *cgroups, uint64_t id);

/* Is @path @root, or below it? */
bool cgroup__is_below(const char *path, const char *root);

#endif /* THREADPROF_CGROUP_H */
