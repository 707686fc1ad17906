/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* What `threadprof snoop` found out, as JSON lines: docs/schema.json. */
#ifndef THREADPROF_SNOOP_JSON_H
#define THREADPROF_SNOOP_JSON_H

#include <stdio.h>
#include <time.h>

#include "burst.h"
#include "process.h"
#include "snoop_summary.h"

/* What could not be recorded or printed, since the start. */
struct snoop_lost {
	uint64_t kernel[SNOOP_NR_LOSSES];
	uint64_t skipped_runs; /* of programs, by the kernel; TP_UNKNOWN: it does not tell */
	uint64_t missed_ends; /* ends that were noticed only when the pid was given out again */
	uint64_t output; /* records that nobody read */
};

/*
 * Each writes one line. @time: of the event, or now. 0 or the negative errno of the failed write.
 */
int snoop_json__write_process(FILE *out, const struct process_event *event, const char *cgroup,
			      const struct timespec *time);
int snoop_json__write_exec(FILE *out, const struct process_event *event, const char *cgroup,
			   const struct timespec *time);
int snoop_json__write_burst(FILE *out, const struct burst *burst, const struct timespec *time,
			    uint64_t mono_ns);
int snoop_json__write_lost(FILE *out, const struct snoop_lost *lost, const struct timespec *time,
			   uint64_t mono_ns);
int snoop_json__write_summary(FILE *out, const struct snoop_summary *summary, uint64_t duration_ns,
			      const struct timespec *time, uint64_t mono_ns);

#endif /* THREADPROF_SNOOP_JSON_H */
