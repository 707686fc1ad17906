/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* `threadprof -p PID`: from the attach to the last report. */
#ifndef THREADPROF_MONITOR_H
#define THREADPROF_MONITOR_H

#include "options.h"

/* Runs until a signal, -n, -d or the target's end. 0, or negative errno after a sentence on stderr. */
int monitor__run(const struct options *options);

#endif /* THREADPROF_MONITOR_H */
