/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* What `threadprof check` has found out, one line for each feature. */
#ifndef THREADPROF_CHECK_LIST_H
#define THREADPROF_CHECK_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "report.h"

#define CHECK_MAX_FEATURES 32

/* The lines as they are found; @text has the strings that are not static. */
struct check {
	struct report_feature list[CHECK_MAX_FEATURES];
	char text[CHECK_MAX_FEATURES][256];
	size_t nr;
	bool fails; /* the main job does not work */
};

void check__add(struct check *check, const char *name, const char *state, const char *reason, const char *remedy);

#endif /* THREADPROF_CHECK_LIST_H */
