/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* What the files of the rules share: finding_fact.c. */
#ifndef THREADPROF_FINDING_FACT_H
#define THREADPROF_FINDING_FACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "finding_rule.h"

#define MAX_QUOTED 64 /* bytes of a name in a sentence */

double limit(enum finding_limit which);

/* @ns of the requests' time is a share that is large enough, and enough time for anybody to care. */
bool facts__is_worth(const struct finding_facts *f, double ns);
double facts__share(const struct finding_facts *f, double ns);

/* "71 % of request time", or of thread time where no request ended; buf has room for 64. */
const char *facts__share_text(const struct finding_facts *f, double ns, char *buf);
/* " (31.2 ms per request)"; "" where no request ended. */
const char *facts__each_text(const struct finding_facts *f, double ns, char *buf);

/* The threads that serve requests: how many, and their time with a request in hand of their wall time. */
uint64_t facts__serving(const struct finding_facts *f, double *busy_ratio);
const struct report_thread *facts__thread(const struct finding_facts *f, uint32_t tid);
/* The state with most of @state_ns, but for the mask @but; its share in @share, 0 where there is nothing. */
enum tp_state states__main(const uint64_t state_ns[TP_NR_STATES], uint32_t but, double *share);

/* Sum of what thieves took: of all of them, or of the target's own threads. */
double facts__taken_ns(const struct finding_facts *f, bool own);
double facts__runq_ns(const struct finding_facts *f, double taken_ns);

void finding__say(struct report_finding *finding, const char *format, ...) __attribute__((format(printf, 2, 3)));
void finding__advise(struct report_finding *finding, const char *format, ...) __attribute__((format(printf, 2, 3)));
void finding__add_ns(struct report_finding *finding, const char *name, double ns);
void finding__add_count(struct report_finding *finding, const char *name, uint64_t count);
void finding__add_ratio(struct report_finding *finding, const char *name, double ratio);
/* NULL or "": not known. */
void finding__add_text(struct report_finding *finding, const char *name, const char *text);
/* A name of at most @max bytes that need not end with a NUL. */
void finding__add_name(struct report_finding *finding, const char *name, const char *text, size_t max);
/* request_share_ratio or thread_share_ratio, total and mean: what every finding about time begins with. */
void finding__add_share(struct report_finding *finding, const struct finding_facts *f, double ns);

const char *path__last(const char *path);

#endif /* THREADPROF_FINDING_FACT_H */
