/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * Reports as JSON: one object on a line, as docs/schema.json describes. What was not measured is
 * null; objects keep their fields then, so that a path into a record exists in every record.
 */
#ifndef THREADPROF_JSON_H
#define THREADPROF_JSON_H

#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "report.h"

#define JSON_SCHEMA 1 /* raised when a field changes its meaning or goes away */

/*
 * Each writes one line to @out and does not flush it. Returns 0, -ENOMEM (then nothing was
 * written), or the negative errno of the failed write.
 */
int json__write_interval(FILE *out, const struct report *r);
int json__write_feature(FILE *out, const struct report_feature *f, const struct timespec *time,
			uint64_t mono_ns);

#endif /* THREADPROF_JSON_H */
