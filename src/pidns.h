/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* The PID namespace that threadprof runs in: every id that it takes and prints is one of there. */
#ifndef THREADPROF_PIDNS_H
#define THREADPROF_PIDNS_H

#include <stdbool.h>

/* Is it another one than the host's? Then the ids of the kernel side have to be translated. */
bool pidns__is_nested(void);

/* Does /proc list the processes of this namespace? If not, a sentence says so: -EXDEV. */
int pidns__check_proc(void);

/*
 * How many PID namespaces, seen from here, the text of /proc/PID/status puts the process in: 1 for one of the
 * same namespace as the reader's /proc; 0 where the kernel does not tell.
 */
int pidns__depth(const char *status);

#endif /* THREADPROF_PIDNS_H */
