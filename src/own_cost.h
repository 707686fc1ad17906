/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* What measuring costs, for the report and for the budget that it is to keep. */
#ifndef THREADPROF_OWN_COST_H
#define THREADPROF_OWN_COST_H

#include <stdbool.h>
#include <stdint.h>

#include "neighbours.h"
#include "report.h"
#include "session.h"

struct own_cost;

/* @neighbours may be NULL. Both must outlive it. NULL without memory. */
struct own_cost *own_cost__new(struct session *session, const struct neighbours *neighbours, double max_ratio);
void own_cost__free(struct own_cost *cost);

/* Why the time in the kernel is not measured: negative errno; 0: it is. */
int own_cost__error(const struct own_cost *cost);

/* From now on it counts; what came before was the start. */
void own_cost__begin(struct own_cost *cost, uint64_t now_ns);

/* To be called some 20 times a second. True: a detail went off or came back; see own_cost__change(). */
bool own_cost__tick(struct own_cost *cost, uint64_t now_ns);

/* The detail that has just changed, and why; the strings are valid until the next tick. */
void own_cost__change(struct own_cost *cost, struct report_feature *feature);

/* Whether others let a detail be measured at all; where they don't, the budget has nothing to switch. */
void own_cost__set_possible(struct own_cost *cost, enum tp_detail detail, bool is_possible);

/* Is it switched off for the budget's sake? */
bool own_cost__is_off(const struct own_cost *cost, enum tp_detail detail);
/* … or was it at some time in the interval? Then what it told is not known of the interval. */
bool own_cost__was_off(const struct own_cost *cost, enum tp_detail detail);

/* The interval of @report ends: fills in its cost, and takes out what was off in it. */
void own_cost__report(struct own_cost *cost, struct report *report);

#endif /* THREADPROF_OWN_COST_H */
