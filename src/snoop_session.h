/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* The kernel side of `threadprof snoop`: open → attach → drain … → detach → free. */
#ifndef THREADPROF_SNOOP_SESSION_H
#define THREADPROF_SNOOP_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "object_cost.h"
#include "snoop_records.h"

struct snoop_session;

struct snoop_session_config {
	uint32_t args_bytes; /* 1 … SNOOP_MAX_ARGS_BYTES */
	bool exact_cpu; /* CPU time to the end, not to the last tick: a program at every switch of the host */
	bool failed; /* also execs that fail: a program at the end of every system call */
	uint64_t ring_bytes; /* 0: default */
	bool brief; /* starts in half the time; long paths and processes of many threads are more often cut */
};

typedef void (*snoop_record_fn)(void *context, const struct tp_rec *rec);

/* Negative errno after a sentence on stderr. */
int snoop_session__open(const struct snoop_session_config *config, struct snoop_session **session);
int snoop_session__attach(struct snoop_session *session);

/* Delivers a SNOOP_REC_LIVING for each process there is. Negative errno. */
int snoop_session__each_living(struct snoop_session *session, snoop_record_fn fn, void *context);

/* Delivers what is in the ring buffer. Number of records, or negative errno. */
int snoop_session__drain(struct snoop_session *session, snoop_record_fn fn, void *context);

/* For poll: readable when the ring buffer fills up. */
int snoop_session__poll_fd(const struct snoop_session *session);

void snoop_session__read_losses(const struct snoop_session *session,
				uint64_t losses[SNOOP_NR_LOSSES]);

/* Runs that the kernel left out since the load; TP_UNKNOWN: it does not tell. */
uint64_t snoop_session__skipped_runs(const struct snoop_session *session);

/* What the programs take: their maps' memory, and the programs themselves, to be measured. */
uint64_t snoop_session__map_bytes(const struct snoop_session *session);
void snoop_session__each_program(const struct snoop_session *session, program_fn fn, void *context);

/* Stops all events; what is in the ring buffer can still be drained. */
void snoop_session__detach(struct snoop_session *session);

/* Idempotent; detaches first if need be. NULL is fine. */
void snoop_session__free(struct snoop_session *session);

#endif /* THREADPROF_SNOOP_SESSION_H */
