/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* What changed since a good time: the JSON lines of an earlier run, compared with the report of now. */
#ifndef THREADPROF_BASELINE_H
#define THREADPROF_BASELINE_H

#include <stddef.h>
#include <stdio.h>

#include "report.h"

struct baseline;

/*
 * Reads the interval records of @path; other records are passed over. On failure says why in a sentence and
 * returns negative errno: -EINVAL where the file has no interval.
 */
int baseline__read(const char *path, struct baseline **baseline);

/* The same from an open file; @name is for messages. */
int baseline__parse(FILE *in, const char *name, struct baseline **baseline);

void baseline__free(struct baseline *baseline);

/* Sets report->changes, valid until the next call. */
void baseline__compare(struct baseline *baseline, struct report *report);

#endif /* THREADPROF_BASELINE_H */
