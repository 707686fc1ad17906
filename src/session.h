/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * The kernel side as one object: open → load → attach → activate … drain, snapshot … detach → free.
 * Nobody else knows libbpf's objects of these programs. It hands out records as they come and maps as arrays; it
 * knows nothing of what they mean.
 */
#ifndef THREADPROF_SESSION_H
#define THREADPROF_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "object_cost.h"
#include "threadprof.h"

struct session;

/* By what thread switches are seen. */
enum switch_probe {
	SWITCH_PROBE_AUTO,	 /* the first of the following that the kernel offers */
	SWITCH_PROBE_TRACEPOINT, /* sched_switch */
	SWITCH_PROBE_FUNCTION,	 /* a kprobe on finish_task_switch() */
};

/* What is measured of locks. */
enum locks_source {
	LOCKS_SCHEDULER, /* waits, as the scheduler sees them */
	LOCKS_UPROBE,	 /* and every call of a lock function, by probes in the target */
	LOCKS_OFF,
};

struct session_config {
	enum switch_probe switch_probe;
	enum locks_source locks;
	bool follow_forks;
	bool stacks_of_all; /* send stacks of all waits, not only of those for locks */
	size_t ring_bytes; /* 0: the default; otherwise a power of two and a multiple of the page size */
	uint32_t max_conns; /* connections, and descriptors of them, that are known at a time; 0: the default */
	/* Name of an optional program, or "uprobe_multi", that is taken as refused by the kernel; NULL: none. */
	const char *refuse;
};

/* Called with each record; @rec is valid during the call only. */
typedef void (*session_record_fn)(void *context, const struct tp_rec *rec);

/*
 * Opens, configures and loads the programs. On failure says in one sentence what is missing and what to
 * do, and returns negative errno.
 */
int session__open(const struct session_config *config, struct session **session);

/* Attaches every program; those of an optional feature may fail, see session__has(). Negative errno. */
int session__attach(struct session *session);

/* Which part of the programs is at work. */
enum session_part {
	SESSION_REGS,	  /* where user registers are; at work only at the start, and only where that is not known */
	SESSION_SCHED,	  /* sched_switch, sched_wakeup: thread states */
	SESSION_MIGRATE,  /* sched_migrate_task: whose CPU time a waiting thread lost */
	SESSION_REQUESTS, /* sys_exit */
	SESSION_SOCKETS,  /* a look at open sockets: connections that were open before us, accept queues */
	SESSION_HOLDERS,  /* a part of sched_switch: what holders of locks do while others wait */
	SESSION_LOCK_CALLS, /* uprobes on lock functions; not loaded unless LOCKS_UPROBE asks for them */
	SESSION_NR_PARTS,
};

bool session__has(const struct session *session, enum session_part part);

/* In which way the programs see thread switches, from the best one down. */
enum session_way {
	WAY_BTF_TRACEPOINT,
	WAY_BTF_TRACEPOINT_HASH, /* the kernel has no task storage: threads in a hash map */
	WAY_RAW_TRACEPOINT,
	WAY_FUNCTION, /* finish_task_switch() */
	NR_WAYS,
};

enum session_way session__way(const struct session *session);

/* How programs see what a tracepoint tells, from the best way down. */
enum session_hook {
	HOOK_TRACEPOINT,
	HOOK_EVENT,	/* the kernel preempts programs there: by the tracepoint's perf event, where it does not */
	HOOK_PREEMPTED, /* there is no such event either: runs are skipped, see session__skipped_runs() */
	NR_HOOKS,
};

/* What is seen by one of them. */
enum session_hooked {
	HOOKED_NOTHING,
	HOOKED_SYS_EXIT,  /* the end of a system call */
	HOOKED_PROCESSES, /* begin, exec and end of a process */
	NR_HOOKED,
};

enum session_hook session__hook(const struct session *session, enum session_hooked hooked);

/* False: the types of a file are used, and nothing that takes the kernel's own. */
bool session__has_kernel_btf(const struct session *session);

/* Why it is not at work: negative errno of the load or attach; 0 if it is. */
int session__part_error(const struct session *session, enum session_part part);

/* Does the kernel let tracing programs find a task by its id, which SESSION_HOLDERS needs? */
bool session__has_task_from_pid(const struct session *session);

/* Makes a process a target; its threads are adopted by the next session__adopt(). Negative errno. */
int session__add_target(struct session *session, uint32_t tgid);

/* From now on events count. Negative errno. */
int session__activate(struct session *session);

/* Starts to account the threads of targets that exist already. Negative errno. */
int session__adopt(struct session *session);

/* Delivers what is in the ring buffer. Number of records, or negative errno. */
int session__drain(struct session *session, session_record_fn fn, void *context);

/* For poll: readable when the ring buffer fills up. */
int session__poll_fd(const struct session *session);

/* Delivers a TP_REC_THREAD for each living thread, a TP_REC_SOCKET for each open socket. Negative errno. */
int session__snapshot_threads(struct session *session, session_record_fn fn, void *context);
int session__snapshot_sockets(struct session *session, session_record_fn fn, void *context);

/* --- connections --- */

typedef void (*session_conn_fn)(void *context, uint64_t file, const struct tp_conn *conn);

/* Delivers every live connection. Negative errno. */
int session__each_conn(struct session *session, session_conn_fn fn, void *context);

/* Makes a connection known that was open before us. 0 also when the kernel side knows it already. */
int session__add_conn(struct session *session, uint64_t file, int fd, const struct tp_conn *conn);

/*
 * Forgets a connection whose descriptor is gone, and the thread that had its request in hand has it no
 * more. Returns true if it was still known.
 */
bool session__drop_conn(struct session *session, uint64_t file, const struct tp_conn *conn, uint64_t now_ns);

/* Forgets descriptors whose file is_live() does not know and that belong to no known connection. */
int session__sweep_fds(struct session *session, bool (*is_live)(void *context, uint64_t file), void *context);

/* --- counters and sums --- */

/* The counters of the accept queue; the maxima start anew. */
void session__read_queue(struct session *session, struct tp_queue *queue);

/* What clients kept waiting since the start. */
void session__read_clients(const struct session *session, struct tp_clients *clients);

/* Descriptors of io_uring instances that the last look at the sockets found. */
uint64_t session__nr_io_urings(const struct session *session);

/* Runs that the kernel left out since the load, of any process; TP_UNKNOWN: it does not tell. */
uint64_t session__skipped_runs(const struct session *session);

/* Losses, and number of records that came through the ring buffer, since the start. */
void session__read_losses(const struct session *session, uint64_t losses[TP_NR_LOSSES]);
uint64_t session__nr_events(const struct session *session);

/* Ends an epoch and returns its number: the sums of waits go to the next one. */
uint32_t session__next_epoch(struct session *session);

/* The sums of waits by lock, of calls by lock, and by lock and length, of waits by peer, file and CPU thief. */
enum session_sums { SUMS_LOCKS, SUMS_LOCK_CALLS, SUMS_LOCK_LENGTHS, SUMS_PEERS, SUMS_FILES, SUMS_THIEVES, NR_SUMS };

typedef void (*session_sum_fn)(void *context, const void *key, const void *value);

/* Delivers and removes the entries of @epoch. Negative errno. */
int session__take_sums(struct session *session, enum session_sums which, uint32_t epoch, session_sum_fn fn,
		       void *context);

/* How many stacks may be sent as records from now on. */
void session__allow_stacks(struct session *session, unsigned int count);

/* What puts probes on lock functions needs; valid as long as the session. */
struct session_lock_calls {
	struct tp_lock_guard *guard;
	int enter_fd; /* the programs */
	int return_fd;
	bool is_multi; /* they were loaded for many probes in one link, see uprobe.h */
};

/* False: the programs are not there. */
bool session__lock_calls(const struct session *session, struct session_lock_calls *calls);

/* Tells the kernel side which addresses are of a lock of a known kind. At most TP_MAX_RANGES are kept. */
void session__set_lock_ranges(struct session *session, const struct tp_range *ranges, size_t count);

/* What the programs take: their maps' memory, and the programs themselves, to be measured. */
uint64_t session__map_bytes(const struct session *session);
void session__each_program(const struct session *session, program_fn fn, void *context);

/* The details that this session can measure, and which of them are measured: bits of enum tp_detail. */
uint32_t session__details(const struct session *session);
void session__set_details(struct session *session, uint32_t details);

/* Stops all events; what is in the ring buffer can still be drained. */
void session__detach(struct session *session);

/* Idempotent; detaches first if need be. NULL is fine. */
void session__free(struct session *session);

#endif /* THREADPROF_SESSION_H */
