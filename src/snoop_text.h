/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * What `threadprof snoop` found out, as lines for a person. Nothing of others is printed
 * unescaped.
 */
#ifndef THREADPROF_SNOOP_TEXT_H
#define THREADPROF_SNOOP_TEXT_H

#include <stdio.h>
#include <time.h>

#include "burst.h"
#include "process.h"
#include "snoop_json.h"
#include "snoop_summary.h"

struct snoop_text {
	size_t columns; /* of the terminal */
	bool color;
};

/* Each returns 0 or the negative errno of the failed write. @time: of the event. */
int snoop_text__write_head(FILE *out, const struct snoop_text *o);
int snoop_text__write_process(FILE *out, const struct process_event *event,
			      const struct timespec *time, const struct snoop_text *o);
int snoop_text__write_exec(FILE *out, const struct process_event *event,
			   const struct timespec *time, const struct snoop_text *o);
int snoop_text__write_burst(FILE *out, const struct burst *burst, const struct timespec *time,
			    const struct snoop_text *o);
/* Nothing if nothing was lost. */
int snoop_text__write_lost(FILE *out, const struct snoop_lost *lost, const struct snoop_text *o);
int snoop_text__write_summary(FILE *out, const struct snoop_summary *summary, uint64_t duration_ns,
			      const struct snoop_text *o);

#endif /* THREADPROF_SNOOP_TEXT_H */
