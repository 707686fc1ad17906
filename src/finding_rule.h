/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * The rules by which findings are made, each a pure function of a report, and the limits that they go by.
 */
#ifndef THREADPROF_FINDING_RULE_H
#define THREADPROF_FINDING_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "report.h"

/* --- limits: docs/findings.md has the same table, and a test compares them --- */

enum finding_limit {
	LIMIT_SHARE,
	LIMIT_LOAD,
	LIMIT_PER_REQUEST,
	LIMIT_LOAD_FLOOR,
	LIMIT_STAY,
	LIMIT_HOLD,
	LIMIT_BURST_SLOWDOWN,
	LIMIT_BURST_SHARE,
	LIMIT_THROTTLED,
	LIMIT_CPU_FULL,
	LIMIT_CPU_HIGH,
	LIMIT_CPU_FREE,
	LIMIT_POOL_BUSY,
	LIMIT_UNUSED_THREADS,
	LIMIT_UNUSED_RATIO,
	LIMIT_POOL_TURNS,
	LIMIT_OVERFLOWS,
	LIMIT_RETRY,
	LIMIT_LOST_RATIO,
	LIMIT_UNEXPLAINED,
	NR_LIMITS,
};

struct finding_limit_entry {
	const char *name;
	double value;
	const char *reason;
};

extern const struct finding_limit_entry finding_limits[NR_LIMITS];

/* --- what the rules look at --- */

/* The time that a finding explains: that of the requests answered, or else what their threads did. */
struct finding_facts {
	const struct report *r;
	bool of_requests; /* false: no request ended, or what is in hand is more than what ended */
	double requests;
	double whole_ns; /* 0: nothing happened */
	double part_ns[TP_NR_PARTS];
	double queue_ns; /* connections that waited to be accepted or read, requests that waited to be taken over */
	double easing;	 /* the finding was there before: LIMIT_STAY of the limits is enough; else 1 */
	const struct report_burst *burst; /* the last one that took CPU time; NULL: none */
	bool burst_is_new; /* it is of this interval */
};

void facts__read(struct finding_facts *facts, const struct report *report);

/* --- the rules --- */

/* Fills @finding but for what it takes several intervals to know. False: it does not hold, @finding is of no use. */
typedef bool (*finding_rule_fn)(const struct finding_facts *facts, struct report_finding *finding);

/* finding_wait.c */
bool rule__lock_bound(const struct finding_facts *facts, struct report_finding *finding);
bool rule__gil_bound(const struct finding_facts *facts, struct report_finding *finding);
bool rule__waiting_for_peer(const struct finding_facts *facts, struct report_finding *finding);
bool rule__disk_bound(const struct finding_facts *facts, struct report_finding *finding);
bool rule__slow_client(const struct finding_facts *facts, struct report_finding *finding);

/* finding_cpu.c */
bool rule__cpu_stolen(const struct finding_facts *facts, struct report_finding *finding);
bool rule__cpu_throttled(const struct finding_facts *facts, struct report_finding *finding);
bool rule__cpu_saturated(const struct finding_facts *facts, struct report_finding *finding);

/* finding_pool.c */
bool rule__pool_too_small(const struct finding_facts *facts, struct report_finding *finding);
bool rule__pool_too_large(const struct finding_facts *facts, struct report_finding *finding);
bool rule__accept_queue_overflow(const struct finding_facts *facts, struct report_finding *finding);

/* finding_calm.c */
bool rule__blind_spot(const struct finding_facts *facts, struct report_finding *finding);

/* What there is to say where none of those holds; all_clear always holds. */
bool rule__unexplained(const struct finding_facts *facts, struct report_finding *finding);
bool rule__all_clear(const struct finding_facts *facts, struct report_finding *finding);

#endif /* THREADPROF_FINDING_RULE_H */
