/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* `threadprof snoop`: every process of the host, from the attach to the summary. */
#ifndef THREADPROF_SNOOP_H
#define THREADPROF_SNOOP_H

#include "snoop_options.h"

/* Runs until a signal or -d. 0, or negative errno after a sentence on stderr. */
int snoop__run(const struct snoop_options *options);

#endif /* THREADPROF_SNOOP_H */
