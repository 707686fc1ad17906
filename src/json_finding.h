/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* Findings, and changes since a baseline, as JSON. */
#ifndef THREADPROF_JSON_FINDING_H
#define THREADPROF_JSON_FINDING_H

#include "json_value.h"
#include "report.h"

struct json_object *new_findings(struct writer *w, const struct report *r);
/* null without a baseline */
struct json_object *new_changes(struct writer *w, const struct report *r);

#endif /* THREADPROF_JSON_FINDING_H */
