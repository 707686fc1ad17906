/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * Keeps the cost of measuring within --max-overhead: which details are off, given what measuring costs. Pure: it
 * knows nothing of how the cost is measured, nor of how a detail is switched.
 *
 * Details go off one at a time, in the order of enum tp_detail. The last one that went off is the first to come
 * back, when what it cost fits into the budget again with some room to spare; one that had to go again soon
 * after has to wait longer the next time. A judgement takes several measurements, of which the least counts
 * against a detail: a single one may have hit a moment in which somebody else had the CPU.
 */
#ifndef THREADPROF_BUDGET_H
#define THREADPROF_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "threadprof.h"

struct budget {
	double max_ratio;
	uint32_t details; /* those that are on: bits of enum tp_detail */
	uint32_t all;	  /* those that may be on */
	double least, most; /* of the measurements since the last judgement */
	int nr_costs;
	double cost_before; /* when the last detail went off */
	double growth[TP_NR_DETAILS]; /* cost with the detail, in terms of the cost without it */
	int calm;     /* judgements in a row after which a detail could have come back */
	int patience; /* so many of them are needed */
	int since_return;
};

/* @details: those that are on as far as anybody but the budget has a say. */
void budget__init(struct budget *budget, double max_ratio, uint32_t details);

/* Others have put an end to a detail, or have it again: what they have not is no step, and does not come back. */
void budget__set_possible(struct budget *budget, enum tp_detail detail, bool is_possible);

/* What measuring costs now, as a share of one CPU. True: .details has changed. */
bool budget__on_cost(struct budget *budget, double ratio);

#endif /* THREADPROF_BUDGET_H */
