// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "budget.h"

#include <string.h>

/* A judgement takes this many measurements. */
#define NR_COSTS 4
/* A detail comes back when the cost with it would be below this share of the budget. */
#define ROOM 0.8
#define MAX_GROWTH 2
#define PATIENCE 3
#define MAX_PATIENCE 192
/* A detail that goes again so many judgements after it came back has come back too early. */
#define TOO_EARLY 15

void budget__init(struct budget *budget, double max_ratio, uint32_t details)
{
	memset(budget, 0, sizeof(*budget));
	budget->max_ratio = max_ratio;
	budget->details = budget->all = details;
	budget->patience = PATIENCE;
	budget->since_return = TOO_EARLY;
}

void budget__set_possible(struct budget *budget, enum tp_detail detail, bool is_possible)
{
	uint32_t bit = 1U << detail;

	if (is_possible == !!(budget->all & bit))
		return;
	budget->all ^= bit;
	budget->details = is_possible ? budget->details | bit : budget->details & ~bit;
	budget->cost_before = 0; /* the next judgement tells of this change as well */
}

/* The first that is on, in the order in which they go; -1: none. */
static int first_on(const struct budget *budget)
{
	for (int i = 0; i < TP_NR_DETAILS; i++) {
		if (budget->details & 1U << i)
			return i;
	}
	return -1;
}

static int last_off(const struct budget *budget)
{
	for (int i = TP_NR_DETAILS - 1; i >= 0; i--) {
		if (budget->all & ~budget->details & 1U << i)
			return i;
	}
	return -1;
}

static bool switch_off(struct budget *budget, double cost)
{
	int detail = first_on(budget);

	budget->calm = 0;
	if (detail < 0)
		return false;
	budget->details &= ~(1U << detail);
	budget->cost_before = cost;
	if (budget->since_return < TOO_EARLY && budget->patience < MAX_PATIENCE)
		budget->patience *= 2;
	return true;
}

static bool switch_on(struct budget *budget, double cost)
{
	int detail = last_off(budget);

	if (detail < 0)
		return false;
	if (cost * budget->growth[detail] > ROOM * budget->max_ratio) {
		budget->calm = 0;
		return false;
	}
	if (++budget->calm < budget->patience)
		return false;
	budget->calm = 0;
	budget->since_return = 0;
	budget->details |= 1U << detail;
	return true;
}

static double growth(double before, double after)
{
	if (before >= MAX_GROWTH * after)
		return MAX_GROWTH;
	return before > after ? before / after : 1;
}

/* The first judgement after a detail went off tells what it had cost, unless the load has fallen as well. */
static void note_growth(struct budget *budget, double cost)
{
	int detail = last_off(budget);

	if (budget->cost_before <= 0)
		return;
	if (detail >= 0)
		budget->growth[detail] = growth(budget->cost_before, cost);
	budget->cost_before = 0;
}

bool budget__on_cost(struct budget *budget, double ratio)
{
	if (!budget->nr_costs || ratio < budget->least)
		budget->least = ratio;
	if (!budget->nr_costs || ratio > budget->most)
		budget->most = ratio;
	if (++budget->nr_costs < NR_COSTS)
		return false;
	budget->nr_costs = 0;
	note_growth(budget, budget->least);
	if (budget->since_return < TOO_EARLY && ++budget->since_return == TOO_EARLY)
		budget->patience = PATIENCE; /* it has stayed */
	if (budget->least > budget->max_ratio)
		return switch_off(budget, budget->least);
	return switch_on(budget, budget->most);
}
