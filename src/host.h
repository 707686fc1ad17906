/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* What the kernel says of the CPUs that the target may use, and of a limit on them. */
#ifndef THREADPROF_HOST_H
#define THREADPROF_HOST_H

#include <sched.h>
#include <stddef.h>
#include <stdint.h>

#include "report.h"

struct host;

/* @tgid: whose affinity and cgroup count. NULL when there is no memory. */
struct host *host__new(uint32_t tgid);
void host__free(struct host *host);

/* Fills report->host with what happened since the last call. */
void host__read(struct host *host, struct report *report);

/* Idle time of the CPUs of @cpus in the text of /proc/stat, in ticks; how many of them it has in @count. */
uint64_t host__parse_idle(const char *text, const cpu_set_t *cpus, uint32_t *count);

/* Adds up the text of a cpu.stat, of either version of cgroups. */
void host__parse_throttled(const char *text, uint64_t *times, uint64_t *ns);

#endif /* THREADPROF_HOST_H */
