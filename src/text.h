/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * Reports as text for a person: the worst on top, units everywhere, "-" for what was not measured.
 */
#ifndef THREADPROF_TEXT_H
#define THREADPROF_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "report.h"

struct text_options {
	size_t columns; /* of the terminal; less than 80 is taken as 80 */
	bool color;
	size_t top_threads; /* threads shown one by one */
	size_t top_waits; /* rows of each table of what was waited for */
	size_t top_slow; /* slow requests shown one by one */
};

#define TEXT_OPTIONS_DEFAULT \
	((struct text_options){ .columns = 80, .top_threads = 10, .top_waits = 5, .top_slow = 5 })

/*
 * Writes the report and a blank line to @out and does not flush it. No line is wider than
 * @o->columns, and no text of the target reaches the terminal unescaped. Returns 0 or the negative
 * errno of a failed write.
 */
int text__write_interval(FILE *out, const struct report *r, const struct text_options *o);

#endif /* THREADPROF_TEXT_H */
