// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "baseline.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "log.h"
#include "units.h"

/* A number is told when it is so many times what it was, or the other way round, … */
#define FACTOR 2.0
/* … and differs by so much: less is nothing that anybody feels. */
#define MIN_NS 1e6
#define MIN_RATE 1.0
#define MIN_QUEUE 1.0
#define MIN_RATIO 0.10
#define MIN_THREADS 8.0
#define MIN_COUNT 1.0

enum unit { UNIT_NS, UNIT_RATE, UNIT_NUMBER, UNIT_RATIO };

enum metric {
	RATE,
	P50,
	P99,
	QUEUE_WAIT,
	PART_FIRST, /* one for each state, per request */
	PART_LAST = PART_FIRST + TP_NR_PARTS - 1,
	QUEUE,
	BUSY,
	THREADS,
	OVERFLOWS,
	NR_METRICS,
};

static const struct {
	const char *name; /* in JSON */
	const char *words;
	enum unit unit;
	double least;
} metrics[NR_METRICS] = {
	[RATE] = { "requests.rate", "requests", UNIT_RATE, MIN_RATE },
	[P50] = { "requests.latency_ns.p50", "request latency, p50", UNIT_NS, MIN_NS },
	[P99] = { "requests.latency_ns.p99", "request latency, p99", UNIT_NS, MIN_NS },
	[QUEUE_WAIT] = { "requests.queue_wait_ns.mean", "queue wait, mean", UNIT_NS, MIN_NS },
	[PART_FIRST + TP_CPU] = { "requests.breakdown_ns.cpu", "CPU time per request", UNIT_NS, MIN_NS },
	[PART_FIRST + TP_RUNQ] = { "requests.breakdown_ns.runq", "wait for a CPU per request", UNIT_NS, MIN_NS },
	[PART_FIRST + TP_LOCK] = { "requests.breakdown_ns.lock", "lock wait per request", UNIT_NS, MIN_NS },
	[PART_FIRST + TP_WAIT] = { "requests.breakdown_ns.wait", "wait for threads per request", UNIT_NS, MIN_NS },
	[PART_FIRST + TP_DISK] = { "requests.breakdown_ns.disk", "disk wait per request", UNIT_NS, MIN_NS },
	[PART_FIRST + TP_NET] = { "requests.breakdown_ns.net", "network wait per request", UNIT_NS, MIN_NS },
	[PART_FIRST + TP_IDLE] = { "requests.breakdown_ns.idle", "idle time per request", UNIT_NS, MIN_NS },
	[PART_FIRST + TP_SLEEP] = { "requests.breakdown_ns.sleep", "sleep per request", UNIT_NS, MIN_NS },
	[PART_FIRST + TP_OTHER] = { "requests.breakdown_ns.other", "other waits per request", UNIT_NS, MIN_NS },
	[PART_FIRST + TP_HANDOFF] = { "requests.breakdown_ns.handoff", "hand-off per request", UNIT_NS, MIN_NS },
	[QUEUE] = { "queue.avg", "queued connections", UNIT_NUMBER, MIN_QUEUE },
	[BUSY] = { "utilization.busy_ratio", "busy share of the threads", UNIT_RATIO, MIN_RATIO },
	[THREADS] = { "utilization.threads", "threads", UNIT_NUMBER, MIN_THREADS },
	[OVERFLOWS] = { "queue.accept_queue.overflows", "accept queue overflows", UNIT_NUMBER, MIN_COUNT },
};

struct baseline {
	double value[NR_METRICS]; /* NAN: not measured */
	struct report_change changes[NR_METRICS];
};

/* What several intervals come to: sums weighted by requests or by time. */
struct mean {
	double sum;
	double weight;
};

static void mean__add(struct mean *mean, double value, double weight)
{
	if (isnan(value) || weight <= 0)
		return;
	mean->sum += value * weight;
	mean->weight += weight;
}

/* --- reading --- */

/* The number at "a.b.c"; NAN where there is none. */
static double number_at(struct json_object *o, const char *path)
{
	char step[64];

	while (o && *path) {
		size_t length = strcspn(path, ".");

		snprintf(step, sizeof(step), "%.*s", (int)length, path);
		if (!json_object_is_type(o, json_type_object) || !json_object_object_get_ex(o, step, &o))
			return NAN;
		path += length + (path[length] == '.');
	}
	if (!json_object_is_type(o, json_type_int) && !json_object_is_type(o, json_type_double))
		return NAN;
	return json_object_get_double(o);
}

static void add_interval(struct mean means[NR_METRICS], struct json_object *o)
{
	double count = number_at(o, "requests.count"), seconds = number_at(o, "duration_ns") / 1e9;

	for (int i = 0; i < NR_METRICS; i++) {
		double value = number_at(o, metrics[i].name);

		if (i >= PART_FIRST && i <= PART_LAST)
			mean__add(&means[i], value / count, count);
		else if (i == P50 || i == P99 || i == QUEUE_WAIT)
			mean__add(&means[i], value, count);
		else
			mean__add(&means[i], value, seconds);
	}
}

static bool is_interval(struct json_object *o)
{
	struct json_object *type;

	return json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, "type", &type) &&
	       json_object_is_type(type, json_type_string) && !strcmp(json_object_get_string(type), "interval");
}

int baseline__parse(FILE *in, const char *name, struct baseline **out)
{
	struct mean means[NR_METRICS] = { { 0 } };
	struct baseline *baseline;
	char *line = NULL;
	size_t size = 0, nr = 0;

	while (getline(&line, &size, in) > 0) {
		struct json_object *o = json_tokener_parse(line);

		if (o && is_interval(o)) {
			add_interval(means, o);
			nr++;
		}
		json_object_put(o);
	}
	free(line);
	if (ferror(in))
		return log__fail(-EIO, "cannot read the baseline %s", name);
	if (!nr)
		return log__fail(-EINVAL, "the baseline %s has no interval in it: it must be what 'threadprof --json' "
					  "has written", name);
	baseline = calloc(1, sizeof(*baseline));
	if (!baseline)
		return log__fail(-ENOMEM, "no memory for the baseline");
	for (int i = 0; i < NR_METRICS; i++)
		baseline->value[i] = means[i].weight > 0 ? means[i].sum / means[i].weight : NAN;
	*out = baseline;
	return 0;
}

int baseline__read(const char *path, struct baseline **baseline)
{
	FILE *in = fopen(path, "re");
	int err;

	if (!in)
		return log__fail(-errno, "cannot open the baseline %s: %s", path, strerror(errno));
	err = baseline__parse(in, path, baseline);
	fclose(in);
	return err;
}

void baseline__free(struct baseline *baseline)
{
	free(baseline);
}

/* --- comparing --- */

static void read_requests(const struct report *r, double value[NR_METRICS])
{
	double count;

	if (!r->have_requests || !r->latency)
		return;
	count = (double)r->latency->count;
	value[RATE] = r->duration_ns ? count * 1e9 / (double)r->duration_ns : NAN;
	value[QUEUE] = r->queue_avg;
	if (!r->latency->count)
		return;
	value[P50] = (double)histogram__percentile(r->latency, 50);
	value[P99] = (double)histogram__percentile(r->latency, 99);
	if (r->queue_wait && r->queue_wait->count)
		value[QUEUE_WAIT] = (double)histogram__mean(r->queue_wait);
	for (int i = 0; i < TP_NR_PARTS; i++)
		value[PART_FIRST + i] = (double)r->part_ns[i] / count;
}

static void read_report(const struct report *r, double value[NR_METRICS])
{
	for (int i = 0; i < NR_METRICS; i++)
		value[i] = NAN;
	read_requests(r, value);
	if (r->have_requests && r->have_threads && r->wall_ns)
		value[BUSY] = (double)r->busy_ns / (double)r->wall_ns;
	if (r->have_threads)
		value[THREADS] = (double)(r->nr_threads + r->nr_exited);
	if (r->have_accept_queue)
		value[OVERFLOWS] = (double)r->accept_overflows;
}

static const char *quantity(enum unit unit, double value, char *buf)
{
	switch (unit) {
	case UNIT_NS:
		return units__duration(buf, (uint64_t)value);
	case UNIT_RATE:
		return units__rate(buf, value);
	case UNIT_RATIO:
		return units__percent(buf, value, 1.0);
	default:
		return units__number(buf, value);
	}
}

static bool has_changed(double before, double now, double least)
{
	if (isnan(before) || isnan(now) || fabs(now - before) < least)
		return false;
	return now >= FACTOR * before || before >= FACTOR * now;
}

/* How many times more or less; without a division by nothing. */
static double factor(const struct report_change *c)
{
	double low = c->before < c->now ? c->before : c->now;
	double high = c->before < c->now ? c->now : c->before;

	return high / (low > 1e-3 ? low : 1e-3);
}

static int largest_first(const void *a, const void *b)
{
	const struct report_change *x = a, *y = b;
	double fx = factor(x), fy = factor(y);

	if (fx != fy)
		return fx < fy ? 1 : -1;
	return strcmp(x->name, y->name);
}

void baseline__compare(struct baseline *baseline, struct report *report)
{
	double now[NR_METRICS];
	size_t nr = 0;

	read_report(report, now);
	for (int i = 0; i < NR_METRICS; i++) {
		struct report_change *change = &baseline->changes[nr];
		char before_text[UNITS_LEN], now_text[UNITS_LEN];

		if (!has_changed(baseline->value[i], now[i], metrics[i].least))
			continue;
		*change = (struct report_change){ .name = metrics[i].name, .before = baseline->value[i], .now = now[i] };
		snprintf(change->text, sizeof(change->text), "%s %s -> %s", metrics[i].words,
			 quantity(metrics[i].unit, baseline->value[i], before_text),
			 quantity(metrics[i].unit, now[i], now_text));
		nr++;
	}
	qsort(baseline->changes, nr, sizeof(baseline->changes[0]), largest_first);
	report->have_baseline = true;
	report->changes = baseline->changes;
	report->nr_changes = nr;
}
