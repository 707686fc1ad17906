// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "findings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "finding_fact.h"

/* A tie is for the one that comes first. */
static const struct {
	const char *id;
	finding_rule_fn holds;
} rules[] = {
	{ "cpu_stolen", rule__cpu_stolen },
	{ "cpu_throttled", rule__cpu_throttled },
	{ "gil_bound", rule__gil_bound },
	{ "lock_bound", rule__lock_bound },
	{ "cpu_saturated", rule__cpu_saturated },
	{ "accept_queue_overflow", rule__accept_queue_overflow },
	{ "pool_too_small", rule__pool_too_small },
	{ "slow_client", rule__slow_client },
	{ "waiting_for_peer", rule__waiting_for_peer },
	{ "disk_bound", rule__disk_bound },
	{ "blind_spot", rule__blind_spot },
	{ "pool_too_large", rule__pool_too_large },
};

#define NR_RULES (sizeof(rules) / sizeof(rules[0]))
#define HISTORY 8 /* intervals that a finding's comings and goings are told of */

/* What was found before by one rule. */
struct memory {
	bool active;
	uint32_t missing; /* intervals since it was seen last */
	uint32_t history; /* a bit for each interval, the last one lowest */
	uint64_t since_ns;
	struct report_finding last;
};

struct findings {
	struct memory memory[NR_RULES];
	uint32_t nr_intervals;
	struct report_burst burst; /* the last one that took CPU time; its histograms are not kept */
	bool have_burst;
	struct report_finding list[NR_RULES];
	size_t nr;
};

struct findings *findings__new(void)
{
	return calloc(1, sizeof(struct findings));
}

void findings__free(struct findings *findings)
{
	free(findings);
}

/* The report's bursts are told when they are over: the next ones of the same kind are known by it. */
static void read_bursts(struct findings *findings, struct finding_facts *facts)
{
	const struct report *r = facts->r;

	facts->burst_is_new = r->have_bursts && r->nr_bursts && r->bursts[0].stolen_ns;
	if (facts->burst_is_new) {
		findings->burst = r->bursts[0];
		findings->burst.life = findings->burst.cpu = (struct histogram){ 0 };
		findings->have_burst = true;
	}
	if (findings->have_burst)
		facts->burst = &findings->burst;
}

static void start(struct report_finding *finding, const char *id)
{
	memset(finding, 0, sizeof(*finding));
	finding->id = id;
	finding->now = true;
}

static void tell_history(const struct findings *findings, const struct memory *memory, struct report_finding *finding)
{
	finding->since_ns = memory->since_ns;
	finding->seen = (uint32_t)__builtin_popcount(memory->history);
	finding->watched = findings->nr_intervals < HISTORY ? findings->nr_intervals : HISTORY;
}

static void judge_one(struct findings *findings, size_t i, struct finding_facts *facts)
{
	struct memory *memory = &findings->memory[i];
	struct report_finding *finding = &findings->list[findings->nr];
	bool holds;

	facts->easing = memory->active ? limit(LIMIT_STAY) : 1;
	start(finding, rules[i].id);
	holds = rules[i].holds(facts, finding);
	memory->history = (memory->history << 1 | holds) & ((1U << HISTORY) - 1);
	memory->missing = holds ? 0 : memory->missing + 1;
	if (holds && !memory->active)
		memory->since_ns = facts->r->mono_ns - facts->r->duration_ns;
	if (holds)
		memory->last = *finding;
	memory->active = holds || (memory->active && memory->missing <= limit(LIMIT_HOLD));
	if (!memory->active)
		return;
	*finding = memory->last;
	finding->now = holds;
	tell_history(findings, memory, finding);
	findings->nr++;
}

/* Those of this interval first; among them, what explains most. Insertion keeps the order of ties. */
static void sort(struct findings *findings)
{
	for (size_t i = 1; i < findings->nr; i++) {
		struct report_finding moved = findings->list[i];
		size_t at = i;

		while (at && (findings->list[at - 1].now < moved.now ||
			      (findings->list[at - 1].now == moved.now && findings->list[at - 1].share < moved.share))) {
			findings->list[at] = findings->list[at - 1];
			at--;
		}
		findings->list[at] = moved;
	}
}

static void judge_rest(struct findings *findings, const struct finding_facts *facts)
{
	struct report_finding *finding = &findings->list[0];

	start(finding, "unexplained");
	if (!rule__unexplained(facts, finding)) {
		start(finding, "all_clear");
		rule__all_clear(facts, finding);
	}
	finding->since_ns = facts->r->mono_ns - facts->r->duration_ns;
	finding->seen = finding->watched = 1;
	findings->nr = 1;
}

void findings__judge(struct findings *findings, struct report *report)
{
	struct finding_facts facts;

	facts__read(&facts, report);
	read_bursts(findings, &facts);
	findings->nr = 0;
	findings->nr_intervals++;
	for (size_t i = 0; i < NR_RULES; i++)
		judge_one(findings, i, &facts);
	facts.easing = 1;
	if (findings->nr)
		sort(findings);
	else
		judge_rest(findings, &facts);
	report->findings = findings->list;
	report->nr_findings = findings->nr;
}
