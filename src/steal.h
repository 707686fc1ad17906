/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* Reducer of stolen CPU time: who ran while the target's threads waited for that CPU, by executable. */
#ifndef THREADPROF_STEAL_H
#define THREADPROF_STEAL_H

#include <stdbool.h>

#include "report.h"
#include "threadprof.h"

#define STEALS_MAX_LISTED 50

struct steals;

struct steals *steals__new(void); /* NULL when there is no memory */
void steals__free(struct steals *steals);

/*
 * What one process took in this interval. @exe: its executable, "" where it is not known; @own: it is one of
 * the target's. Processes of one executable (of one name, where that is not known) are one entry. -ENOMEM, or 0.
 */
int steals__add(struct steals *steals, const struct tp_thief *thief, const char *exe, bool own);

/* Fills report->thieves, the largest first; valid until steals__next(). */
void steals__report(struct steals *steals, struct report *report);

void steals__next(struct steals *steals);

#endif /* THREADPROF_STEAL_H */
