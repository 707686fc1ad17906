/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * The report of one interval: everything an output may say. Reducers fill it, outputs only read it, and
 * it refers to nothing outside itself. What was not measured is said by a flag (have_…) or by TP_UNKNOWN,
 * never by 0.
 */
#ifndef THREADPROF_REPORT_H
#define THREADPROF_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "histogram.h"
#include "threadprof.h"

#define TP_UNKNOWN UINT64_MAX

/* Names as they stand in text and JSON, indexed by enum tp_state and TP_HANDOFF. */
extern const char *const tp_part_names[TP_NR_PARTS];
/* Names of enum tp_loss in JSON. */
extern const char *const tp_loss_names[TP_NR_LOSSES];
/* Names of enum tp_detail in JSON, also as features. */
extern const char *const tp_detail_names[TP_NR_DETAILS];
/* Names of enum tp_lock_kind in JSON. */
const char *tp_lock_kind_name(uint32_t kind);

struct report_thread {
	uint32_t tid;
	uint32_t tgid;
	char comm[TP_COMM_LEN];
	bool exited; /* ended in this interval */
	uint64_t requests;
	uint64_t wall_ns;
	uint64_t busy_ns;
	uint64_t state_ns[TP_NR_STATES]; /* add up to wall_ns */
};

/* A thread that held a lock while others waited for it. */
struct report_holder {
	uint32_t tid;
	char comm[TP_COMM_LEN];		 /* "" where it is not known */
	uint64_t waits;			 /* of others, that found it as the holder */
	uint64_t ns;			 /* all together; waits at once count each */
	/* What it did in that time, its own waits for the lock left out; adds up to 0 where it is not known. */
	uint64_t state_ns[TP_NR_STATES];
};

#define REPORT_MAX_HOLDERS 3
#define REPORT_MAX_STACK 24

/* Calls of lock functions, which only probes on these see. */
struct report_lock_calls {
	uint64_t calls; /* 0: none was seen, or there are no probes */
	uint64_t failed; /* came back without the lock: tried in vain, or ran out of time */
	uint64_t contended; /* had to sleep */
	uint64_t call_ns; /* from begin to return, all together */
	uint64_t max_ns;
	/* Their lengths, to 1.6 %; NULL: not known. Owned by the reducer. */
	const struct histogram *length;
};

struct report_lock {
	uint64_t addr;
	uint32_t tgid;
	uint32_t kind;	    /* enum tp_lock_kind */
	char name[128];	    /* symbol+offset; "" where it has none */
	uint64_t waits;
	uint64_t wait_ns;
	uint64_t max_ns;
	uint32_t owner_tid; /* 0: not known */
	/* Those that others waited for longest, the longest first. None: no holder is known. */
	struct report_holder holders[REPORT_MAX_HOLDERS];
	size_t nr_holders;
	/* Of the waits: ended by their time limit, by a signal. TP_UNKNOWN: not measured. */
	uint64_t timeouts;
	uint64_t interrupted;
	/* The lengths of waits that ended in the interval, each whole; NULL: not measured. Owned by the reducer. */
	const struct histogram *wait;
	/* Where most of the time was waited, "function+0x2a (file.c:112)"; "": not known. */
	char site[256];
	/* The whole stack there, the innermost frame first; each as in site. Valid as long as the report. */
	const char *const *stack;
	size_t nr_stack;
	struct report_lock_calls calls;
};

struct report_peer {
	char addr[80]; /* "ip:port", "[ip6]:port", "unix:path" */
	char name[128]; /* "host:service"; "" where it was not asked for, or is not known */
	struct tp_addr key;
	uint64_t waits;
	uint64_t wait_ns;
	/* What requests asked it: answers, and the time from the first bytes sent to the first bytes that came back. */
	uint64_t answers;
	uint64_t answer_ns;
	uint64_t unanswered; /* connections with a question open at the interval's end, … */
	uint64_t unanswered_ns; /* … and for how long, together; at most the interval of each */
};

struct report_file {
	char name[TP_NAME_LEN + 24];
	uint64_t inode;
	uint32_t dev;
	uint32_t pad;
	uint64_t waits;
	uint64_t wait_ns;
};

struct report_thief {
	char comm[TP_COMM_LEN];
	char exe[256]; /* "" where it was gone or is a kernel thread */
	bool own;      /* a thread of the target itself */
	uint64_t ns;
	uint64_t largest_ns; /* of one process: the one that comm is of */
};

#define REPORT_MAX_ANCESTRY 8

/* Many short-lived processes of one executable and launcher that started at nearly the same time. */
struct report_burst {
	char exe[256];
	char launcher[TP_COMM_LEN + 1];
	char ancestry[REPORT_MAX_ANCESTRY][TP_COMM_LEN + 1]; /* the launcher last; its first ones may be cut */
	size_t nr_ancestry;
	uint64_t start_ns;
	uint64_t end_ns;
	uint64_t count;
	uint64_t peak; /* most that lived at once */
	struct histogram life;
	struct histogram cpu; /* of each process */
	bool continues; /* it had not ended when it was reported */
	uint64_t period_ns; /* from start to start; 0: it does not repeat at a fixed time */
	uint64_t jitter_ns;
	uint64_t stolen_ns; /* CPU time it took while threads of the target waited for that CPU */
	uint64_t nr_inside; /* requests in hand while it lasted, */
	uint64_t inside_ns; /* their mean latency; TP_UNKNOWN: there were none */
	uint64_t nr_outside; /* and around it */
	uint64_t outside_ns;
};

/* A single request, for the list of slow ones. */
struct report_request {
	struct tp_request r;
	struct timespec start; /* wall clock */
	char comm[TP_COMM_LEN];
	char client[64];
};

/* A feature that is not simply on. */
struct report_feature {
	const char *name;
	const char *state; /* "on", "fallback", "off" */
	const char *reason;
	const char *remedy;
};

/* Threads whose names differ in digits only, some of which serve requests. */
struct report_pool {
	uint32_t tgid;
	char name[TP_COMM_LEN]; /* with "#" for the digits */
	uint64_t threads;
	uint64_t unused;   /* never had a request since they were first seen */
	uint64_t requests; /* that the others have answered since */
	uint64_t stack_bytes; /* in memory, of the unused ones; TP_UNKNOWN: not measured */
	uint64_t reserved_bytes; /* address space of the same stacks */
};

/* The CPUs that the target may use. */
struct report_host {
	bool known;
	uint32_t cpus;
	uint64_t idle_ns; /* of these CPUs together */
	uint64_t throttled; /* times that a limit of the target's cgroup stopped it */
	uint64_t throttled_ns;
};

#define REPORT_MAX_EVIDENCE 16

/* One number (or name) that a finding stands on; the name has the unit. */
struct report_evidence {
	const char *name;
	enum { EVIDENCE_COUNT, EVIDENCE_RATIO, EVIDENCE_TEXT, EVIDENCE_UNKNOWN } kind;
	uint64_t count;
	double ratio;
	char text[256];
};

/* A cause, in one sentence, with its numbers. */
struct report_finding {
	const char *id;
	char text[512];
	char next[384]; /* what to look at, or to do */
	double share; /* of the requests' time, explained by it */
	bool now; /* false: it is not in this interval, but comes and goes */
	uint64_t since_ns; /* monotonic clock, when it was first seen */
	uint32_t seen;	   /* in so many of the last … */
	uint32_t watched;  /* … intervals */
	struct report_evidence evidence[REPORT_MAX_EVIDENCE];
	size_t nr_evidence;
};

/* A number that differs from what it was in the baseline. */
struct report_change {
	const char *name; /* as in JSON */
	char text[192];
	double before;
	double now;
};

/* The probes on lock functions, and what they cost the target in the interval. */
struct report_lock_probes {
	bool are_asked_for;
	bool are_in; /* false: in no process: they could not be put in, or cost too much and were taken away */
	uint64_t calls;
	uint64_t call_cost_ns; /* as measured at the start; 0: it was not */
	uint64_t cost_ns;
	const char *reason; /* why they are not in all processes; "": they are */
};

struct report {
	/* the interval */
	struct timespec time; /* wall clock at its end */
	uint64_t mono_ns;     /* monotonic clock at its end */
	uint64_t duration_ns;
	bool partial; /* cut short by a signal, -n/-d, or the target's end */

	/* target */
	const uint32_t *pids;
	size_t nr_pids;
	char comm[TP_COMM_LEN]; /* of the first process */
	uint64_t nr_threads;	/* alive at the end of the interval */
	uint64_t nr_exited;	/* threads that ended in it */

	/* requests and connections; meaningless unless have_requests */
	bool have_requests;
	const struct histogram *latency;
	const struct histogram *queue_wait;
	uint64_t unanswered;
	bool have_parts; /* false: the breakdown of some of them was not measured */
	uint64_t part_ns[TP_NR_PARTS]; /* sum over the requests */
	const struct report_request *slow;
	size_t nr_slow;
	uint64_t accepted;
	uint64_t closed;
	uint64_t open;
	const struct histogram *conn_latency;

	/* queues */
	uint64_t queue_now;
	uint64_t queue_max;
	double queue_avg;
	bool have_accept_queue; /* false: not measured, or the target listens on nothing */
	uint64_t accept_now;
	uint64_t accept_max;
	uint64_t accept_limit;
	uint64_t accept_overflows;
	double accept_avg; /* over time, at least */

	/* threads; meaningless unless have_threads */
	bool have_threads;
	uint64_t active; /* threads with a request in hand at some time */
	uint64_t busy_ns;
	uint64_t wall_ns;		     /* of all threads together */
	uint64_t state_ns[TP_NR_STATES];     /* of all threads together */
	const struct report_thread *threads; /* those that serve requests first, then by time not idle */
	size_t nr_listed;
	uint64_t rest_threads;			  /* threads that are not listed one by one */
	uint64_t rest_state_ns[TP_NR_STATES];	  /* and what they did */

	struct report_pool pool; /* the one with most unused threads */
	struct report_host host;
	/* How long clients kept the server waiting, by enum tp_client_wait. */
	uint64_t client_wait_ns[TP_NR_CLIENT_WAITS];
	uint64_t io_urings; /* that the target has open */

	bool have_locks;
	const struct report_lock *locks; /* longest total wait first */
	size_t nr_locks;
	struct report_lock_probes lock_probes;
	bool have_peers;
	const struct report_peer *peers;
	size_t nr_peers;
	const struct report_file *files;
	size_t nr_files;
	bool have_thieves;
	const struct report_thief *thieves;
	size_t nr_thieves;

	bool have_bursts;
	const struct report_burst *bursts; /* the largest thief first */
	size_t nr_bursts;

	const struct report_feature *features; /* those that are not simply on as well */
	size_t nr_features;
	const struct report_finding *findings; /* the one that explains most first */
	size_t nr_findings;
	bool have_baseline;
	const struct report_change *changes; /* the largest first */
	size_t nr_changes;

	uint64_t lost[TP_NR_LOSSES];
	uint64_t lost_processes; /* begins, execs and ends of the host's processes */
	uint64_t skipped_runs; /* of our programs, for any process; TP_UNKNOWN where the kernel does not tell */
	uint64_t lost_reports; /* whole reports that nobody read in time */

	/* our own cost in this interval */
	uint64_t events;
	uint64_t bpf_ns; /* TP_UNKNOWN where it was not measured */
	uint64_t user_cpu_ns;
	uint64_t rss_bytes;
	uint64_t map_bytes; /* of the kernel's side */
	double max_overhead_ratio;
	uint32_t details_off; /* bits of enum tp_detail: off at some time, because they cost too much */
};

#endif /* THREADPROF_REPORT_H */
