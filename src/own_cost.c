// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "own_cost.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "budget.h"
#include "clock.h"
#include "meter.h"

/* How often the cost in the kernel is looked at, and when it has been too high. */
#define PERIOD_NS NS_PER_SEC
#define HURRY_NS (NS_PER_SEC / 2)

struct own_cost {
	struct session *session;
	const struct neighbours *neighbours;
	struct meter *meter;
	struct budget budget;
	uint64_t cpu_ns_before;	  /* at the begin of the interval */
	uint64_t judged_cpu_ns;	  /* when the budget was asked last, and the time then */
	uint64_t judged_ns;
	double ratio;		  /* as the budget has just heard it */
	uint32_t details_before;  /* this tick */
	uint32_t details_off;	  /* in this interval */
	char reason[128];	  /* of the last change */
	int err;
};

static uint64_t own_rss_bytes(void)
{
	unsigned long long pages;
	FILE *file = fopen("/proc/self/statm", "re");
	bool ok;

	if (!file)
		return TP_UNKNOWN;
	ok = fscanf(file, "%*u %llu", &pages) == 1;
	fclose(file);
	return ok ? pages * sysconf(_SC_PAGESIZE) : TP_UNKNOWN;
}

static void on_program(void *context, int fd)
{
	struct own_cost *cost = context;
	int err = meter__add(cost->meter, fd);

	if (err && !cost->err)
		cost->err = err;
}

struct own_cost *own_cost__new(struct session *session, const struct neighbours *neighbours, double max_ratio)
{
	struct own_cost *cost = calloc(1, sizeof(*cost));

	if (!cost)
		return NULL;
	cost->session = session;
	cost->neighbours = neighbours;
	cost->meter = meter__new();
	if (cost->meter)
		session__each_program(session, on_program, cost);
	if (cost->meter && neighbours)
		neighbours__each_program(neighbours, on_program, cost);
	if (!cost->meter || cost->err) {
		own_cost__free(cost);
		return NULL;
	}
	budget__init(&cost->budget, max_ratio, session__details(session));
	return cost;
}

void own_cost__free(struct own_cost *cost)
{
	if (!cost)
		return;
	meter__free(cost->meter);
	free(cost);
}

int own_cost__error(const struct own_cost *cost)
{
	return meter__error(cost->meter);
}

void own_cost__begin(struct own_cost *cost, uint64_t now_ns)
{
	cost->cpu_ns_before = cost->judged_cpu_ns = clock__ns(CLOCK_PROCESS_CPUTIME_ID);
	cost->judged_ns = now_ns;
}

bool own_cost__tick(struct own_cost *cost, uint64_t now_ns)
{
	bool hurry = cost->ratio > cost->budget.max_ratio && cost->budget.details;
	uint64_t cpu_ns;

	if (!meter__tick(cost->meter, now_ns, hurry ? HURRY_NS : PERIOD_NS) || now_ns - cost->judged_ns < HURRY_NS / 2)
		return false;
	cpu_ns = clock__ns(CLOCK_PROCESS_CPUTIME_ID);
	cost->ratio = meter__ratio(cost->meter) +
		      (double)(cpu_ns - cost->judged_cpu_ns) / (double)(now_ns - cost->judged_ns);
	cost->judged_cpu_ns = cpu_ns;
	cost->judged_ns = now_ns;
	cost->details_before = cost->budget.details;
	if (!budget__on_cost(&cost->budget, cost->ratio))
		return false;
	cost->details_off |= cost->budget.all & ~cost->budget.details;
	session__set_details(cost->session, cost->budget.details);
	return true;
}

void own_cost__change(struct own_cost *cost, struct report_feature *feature)
{
	uint32_t changed = cost->details_before ^ cost->budget.details;
	bool is_off = changed & cost->details_before;

	for (int i = 0; i < TP_NR_DETAILS; i++) {
		if (changed & 1U << i)
			feature->name = tp_detail_names[i];
	}
	feature->state = is_off ? "off" : "on";
	feature->reason = feature->remedy = NULL;
	if (!is_off)
		return;
	snprintf(cost->reason, sizeof(cost->reason), "measuring took %.1f %% of a CPU, and may take %.3g %%",
		 100 * cost->ratio, 100 * cost->budget.max_ratio);
	feature->reason = cost->reason;
	feature->remedy = "a larger --max-overhead";
}

void own_cost__set_possible(struct own_cost *cost, enum tp_detail detail, bool is_possible)
{
	budget__set_possible(&cost->budget, detail, is_possible);
}

bool own_cost__is_off(const struct own_cost *cost, enum tp_detail detail)
{
	return cost->budget.all & ~cost->budget.details & 1U << detail;
}

bool own_cost__was_off(const struct own_cost *cost, enum tp_detail detail)
{
	return cost->details_off & 1U << detail;
}

/* What was off for a part of the interval is not known of the interval. */
static void take_out(uint32_t off, struct report *report)
{
	if (off & 1U << TP_DETAIL_BREAKDOWN)
		report->have_parts = false;
	if (off & 1U << TP_DETAIL_WAITS)
		report->have_peers = false;
	if (off & 1U << TP_DETAIL_THIEVES)
		report->have_thieves = false;
}

void own_cost__report(struct own_cost *cost, struct report *report)
{
	uint64_t cpu_ns = clock__ns(CLOCK_PROCESS_CPUTIME_ID);

	report->bpf_ns = meter__take(cost->meter, report->mono_ns, report->duration_ns);
	report->user_cpu_ns = cpu_ns - cost->cpu_ns_before;
	report->rss_bytes = own_rss_bytes();
	report->map_bytes = session__map_bytes(cost->session);
	if (cost->neighbours)
		report->map_bytes += neighbours__map_bytes(cost->neighbours);
	report->max_overhead_ratio = cost->budget.max_ratio;
	report->details_off = cost->details_off;
	take_out(cost->details_off, report);
	cost->cpu_ns_before = cpu_ns;
	cost->details_off = cost->budget.all & ~cost->budget.details;
}
