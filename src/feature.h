/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* What threadprof can measure here, and why not the rest: one line for each feature. */
#ifndef THREADPROF_FEATURE_H
#define THREADPROF_FEATURE_H

#include <stddef.h>

#include "report.h"
#include "session.h"

#define NR_FEATURES 7

/*
 * Fills @features with the state of each; @bursts_error: negative errno of neighbours__new(), or 0;
 * @cost_error: of own_cost__error(). The strings are static.
 */
void features__read(const struct session *session, int bursts_error, int cost_error,
		    struct report_feature features[NR_FEATURES]);

/* What is measured of locks, as asked for: not LOCKS_UPROBE, of which src/lock_probes.c knows more. */
const struct report_feature *feature__locks(enum locks_source source);

#endif /* THREADPROF_FEATURE_H */
