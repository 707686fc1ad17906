/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * The causes of trouble that a report names: which rules of finding_rule.h hold, the one that explains most
 * of the requests' time first, and what was found in the intervals before. Pure: fed with the same reports
 * it finds the same.
 */
#ifndef THREADPROF_FINDINGS_H
#define THREADPROF_FINDINGS_H

#include "report.h"

struct findings;

struct findings *findings__new(void); /* NULL when there is no memory */
void findings__free(struct findings *findings);

/*
 * Judges a report that is otherwise complete, and sets report->findings, valid until the next call. There is
 * always at least one finding: all_clear, where there is nothing else to say.
 */
void findings__judge(struct findings *findings, struct report *report);

#endif /* THREADPROF_FINDINGS_H */
