/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* SIGINT, SIGTERM and SIGHUP as events: the end is a last report, not a death in the middle. */
#ifndef END_SIGNALS_H
#define END_SIGNALS_H

#include <stdbool.h>

/*
 * From here on these signals are taken as events on *@fd (non-blocking, the caller closes it), also those that
 * come while we attach; SIGPIPE is ignored, for the reader's going shows as EPIPE.
 * 0, or negative errno after a sentence on stderr.
 */
int end_signals__take(int *fd);

/* Whether one came. Then the default is back: a second one ends the program at once. */
bool end_signals__came(int fd);

#endif
