// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "neighbours.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "array.h"
#include "burst.h"
#include "clock.h"
#include "process.h"
#include "process_burst.h"
#include "process_sweep.h"
#include "snoop_session.h"
#include "table.h"

#define RING_BYTES (1024 * 1024)
/* As `threadprof snoop` has them by default. */
#define BURST_MIN 10
#define BURST_WINDOW_NS (2 * NS_PER_SEC)
#define MAX_LIFE_NS (2 * NS_PER_SEC)
/* What was taken is remembered until its burst ends: for so many processes. */
#define MAX_TAKEN 8192
/* Latencies around a burst are those of this time before it, and after it. */
#define AROUND_NS (30 * NS_PER_SEC)

/* A process that has ended in this interval. */
struct ended {
	struct table_node node;
	uint32_t tgid;
	uint64_t start_ns;
	char *exe;
};

/* CPU time that a process took from the target. */
struct taken {
	char *exe;
	uint64_t start_ns; /* of the process: tells which burst it was of */
	uint64_t ns;
};

struct neighbours {
	struct snoop_session *session;
	struct processes *processes;
	struct process_sweep sweep;
	struct bursts *bursts;
	struct table ended; /* by tgid */
	struct taken taken[MAX_TAKEN]; /* a ring */
	size_t nr_taken;
	struct report_burst *report;
	size_t nr_report;
	size_t report_capacity;
	int err; /* the first of a callback */
};

/* --- records --- */

static void enter_burst(struct neighbours *n, struct process *process)
{
	int err = process__enter_burst(process, n->bursts);

	if (err && !n->err)
		n->err = err;
}

static uint64_t hash_of(uint32_t tgid)
{
	return table__hash(TABLE_HASH_INIT, &tgid, sizeof(tgid));
}

static void ended__free(struct ended *ended)
{
	if (ended)
		free(ended->exe);
	free(ended);
}

static int remember_end(struct neighbours *n, const struct process *process)
{
	struct ended *ended = calloc(1, sizeof(*ended));

	if (ended)
		ended->exe = strdup(process__exe(process));
	if (!ended || !ended->exe || table__insert(&n->ended, &ended->node, hash_of(process->tgid))) {
		ended__free(ended);
		return -ENOMEM;
	}
	ended->tgid = process->tgid;
	ended->start_ns = process->start_ns;
	return 0;
}

static void on_end(struct neighbours *n, const struct process_event *event)
{
	struct process *process = event->process;
	bool is_short = event->life_ns < MAX_LIFE_NS;
	int err = remember_end(n, process);

	if (is_short && !process->group)
		enter_burst(n, process);
	if (process->group && is_short)
		err = bursts__end(process->group, process->start_ns, event->ts_ns, event->cpu_ns) ?: err;
	else
		process__leave_burst(process);
	process->group = NULL;
	if (err)
		n->err = err;
}

static void on_record(void *context, const struct tp_rec *rec)
{
	struct neighbours *n = context;
	struct process_event event;
	int err = processes__apply(n->processes, rec, &event);

	if (err)
		n->err = err;
	else if (event.what == PROCESS_FORKED || event.what == PROCESS_EXECED)
		enter_burst(n, event.process);
	else if (event.what == PROCESS_ENDED)
		on_end(n, &event);
}

int neighbours__drain(struct neighbours *n)
{
	int err = snoop_session__drain(n->session, on_record, n);

	if (err >= 0)
		err = process_sweep__run(&n->sweep, n->session, n->processes, on_record, n);
	return err < 0 ? err : n->err;
}

/* --- set-up --- */

/* What the processes of before us execute; the one time that /proc is read. */
static void read_exe(void *context, struct process *process)
{
	struct neighbours *n = context;
	char name[64], exe[PATH_MAX];
	ssize_t length;

	snprintf(name, sizeof(name), "/proc/%u/exe", process->tgid);
	length = process->image ? 0 : readlink(name, exe, sizeof(exe) - 1);
	if (length <= 0)
		return;
	exe[length] = '\0';
	if (process__set_image(process, exe, NULL, 0, false))
		n->err = -ENOMEM;
}

int neighbours__new(struct neighbours **out)
{
	const struct snoop_session_config config = { .args_bytes = 1, .ring_bytes = RING_BYTES, .brief = true };
	const struct burst_config bursts = { .min = BURST_MIN, .window_ns = BURST_WINDOW_NS };
	struct neighbours *n = calloc(1, sizeof(*n));
	int err = -ENOMEM;

	if (!n)
		return err;
	n->processes = processes__new();
	n->bursts = bursts__new(&bursts);
	if (n->processes && n->bursts)
		err = snoop_session__open(&config, &n->session);
	if (!err)
		err = snoop_session__attach(n->session);
	if (!err)
		err = snoop_session__each_living(n->session, on_record, n);
	if (!err)
		processes__each(n->processes, read_exe, n);
	if (err || n->err) {
		err = err ?: n->err;
		neighbours__free(n);
		return err;
	}
	*out = n;
	return 0;
}

static void forget_ended(struct neighbours *n)
{
	struct table_node *node;

	while ((node = table__take(&n->ended)))
		ended__free(TABLE_ENTRY(node, struct ended, node));
}

static void forget_report(struct neighbours *n)
{
	for (size_t i = 0; i < n->nr_report; i++) {
		histogram__free(&n->report[i].life);
		histogram__free(&n->report[i].cpu);
	}
	n->nr_report = 0;
}

static void leave_group(void *context, struct process *process)
{
	(void)context;
	process__leave_burst(process);
}

void neighbours__free(struct neighbours *n)
{
	if (!n)
		return;
	snoop_session__free(n->session);
	if (n->processes)
		processes__each(n->processes, leave_group, NULL);
	bursts__free(n->bursts);
	processes__free(n->processes);
	forget_ended(n);
	forget_report(n);
	for (size_t i = 0; i < MAX_TAKEN; i++)
		free(n->taken[i].exe);
	free(n->report);
	free(n);
}

/* --- CPU time taken --- */

static const struct ended *find_ended(const struct neighbours *n, uint32_t tgid)
{
	struct table_node *node = table__find(&n->ended, hash_of(tgid));

	for (; node; node = table__find_next(node)) {
		const struct ended *ended = TABLE_ENTRY(node, struct ended, node);

		if (ended->tgid == tgid)
			return ended;
	}
	return NULL;
}

const char *neighbours__exe(struct neighbours *n, uint32_t tgid)
{
	const struct ended *ended = find_ended(n, tgid);
	const struct process *process = ended ? NULL : processes__find(n->processes, tgid);

	if (ended)
		return ended->exe;
	return process && process->image && process->image->exe ? process->image->exe : "";
}

void neighbours__on_thief(struct neighbours *n, uint32_t tgid, uint64_t ns)
{
	const struct ended *ended = find_ended(n, tgid);
	const struct process *process = ended ? NULL : processes__find(n->processes, tgid);
	struct taken *taken = &n->taken[n->nr_taken % MAX_TAKEN];
	char *exe;

	if (!ended && !process)
		return;
	exe = strdup(ended ? ended->exe : process__exe(process));
	if (!exe)
		return;
	free(taken->exe);
	*taken = (struct taken){
		.exe = exe,
		.start_ns = ended ? ended->start_ns : process->start_ns,
		.ns = ns,
	};
	n->nr_taken++;
}

static uint64_t taken_by(const struct neighbours *n, const struct burst *burst)
{
	uint64_t total = 0;

	for (size_t i = 0; i < MAX_TAKEN && i < n->nr_taken; i++) {
		const struct taken *taken = &n->taken[i];

		if (taken->start_ns >= burst->start_ns && taken->start_ns <= burst->end_ns &&
		    !strcmp(taken->exe, burst->exe))
			total += taken->ns;
	}
	return total;
}

/* --- bursts --- */

static void copy_names(struct report_burst *to, const struct burst *burst)
{
	size_t skipped = 0;

	snprintf(to->exe, sizeof(to->exe), "%s", burst->exe);
	snprintf(to->launcher, sizeof(to->launcher), "%s", burst->launcher);
	if (burst->nr_ancestry > REPORT_MAX_ANCESTRY)
		skipped = burst->nr_ancestry - REPORT_MAX_ANCESTRY;
	to->nr_ancestry = burst->nr_ancestry - skipped;
	for (size_t i = 0; i < to->nr_ancestry; i++)
		snprintf(to->ancestry[i], sizeof(to->ancestry[i]), "%s", burst->ancestry[skipped + i]);
}

static void on_burst(void *context, const struct burst *burst)
{
	struct neighbours *n = context;
	struct report_burst *grown = array__grow(n->report, n->nr_report, &n->report_capacity, sizeof(*grown));
	struct report_burst *to;

	if (!grown) {
		n->err = -ENOMEM;
		return;
	}
	n->report = grown;
	to = &grown[n->nr_report++];
	memset(to, 0, sizeof(*to));
	copy_names(to, burst);
	to->start_ns = burst->start_ns;
	to->end_ns = burst->end_ns;
	to->count = burst->count;
	to->peak = burst->peak;
	to->continues = burst->continues;
	to->period_ns = burst->period_ns;
	to->jitter_ns = burst->jitter_ns;
	to->stolen_ns = taken_by(n, burst);
	if (histogram__merge(&to->life, burst->life) || histogram__merge(&to->cpu, burst->cpu))
		n->err = -ENOMEM;
}

static void compare_latencies(struct report_burst *burst, const struct requests *requests)
{
	struct requests_mean inside, outside;

	requests__compare(requests, burst->start_ns, burst->end_ns, AROUND_NS, &inside, &outside);
	burst->nr_inside = inside.count;
	burst->inside_ns = inside.count ? inside.sum_ns / inside.count : TP_UNKNOWN;
	burst->nr_outside = outside.count;
	burst->outside_ns = outside.count ? outside.sum_ns / outside.count : TP_UNKNOWN;
}

static int most_stolen_first(const void *a, const void *b)
{
	const struct report_burst *x = a, *y = b;

	if (x->stolen_ns != y->stolen_ns)
		return x->stolen_ns < y->stolen_ns ? 1 : -1;
	return x->count < y->count ? 1 : x->count > y->count ? -1 : 0;
}

int neighbours__report(struct neighbours *n, const struct requests *requests, bool final, struct report *report)
{
	int err = bursts__expire(n->bursts, report->mono_ns, final, on_burst, n);

	if (err || n->err)
		return err ?: n->err;
	for (size_t i = 0; i < n->nr_report; i++)
		compare_latencies(&n->report[i], requests);
	array__sort(n->report, n->nr_report, sizeof(*n->report), most_stolen_first);
	report->have_bursts = true;
	report->bursts = n->report;
	report->nr_bursts = n->nr_report;
	return 0;
}

void neighbours__next(struct neighbours *n)
{
	forget_ended(n);
	forget_report(n);
}

uint64_t neighbours__nr_lost(const struct neighbours *n)
{
	uint64_t losses[SNOOP_NR_LOSSES], total = 0;

	snoop_session__read_losses(n->session, losses);
	for (int i = 0; i < SNOOP_NR_LOSSES; i++)
		total += losses[i];
	return total;
}

uint64_t neighbours__skipped_runs(const struct neighbours *n)
{
	return snoop_session__skipped_runs(n->session);
}

uint64_t neighbours__map_bytes(const struct neighbours *n)
{
	return snoop_session__map_bytes(n->session);
}

void neighbours__each_program(const struct neighbours *n, program_fn fn, void *context)
{
	snoop_session__each_program(n->session, fn, context);
}
