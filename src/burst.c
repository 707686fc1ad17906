// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "burst.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "clock.h"
#include "table.h"

#define MAX_MEMBERS 65536
#define MAX_LENGTH_NS (60 * NS_PER_SEC)
/* How long a group waits for those of its processes that still live, after the last start. */
#define PATIENCE_NS (10 * NS_PER_SEC)
#define FORGET_NS (24 * 3600 * NS_PER_SEC)
#define NR_STARTS 16
#define MIN_REPEATS 3

struct member {
	uint64_t start_ns;
	uint64_t end_ns;
	uint64_t cpu_ns;
};

struct burst_group {
	struct table_node node;
	struct burst_group *next; /* of those that expire() looks at */
	size_t live;
	struct member *members; /* that have ended, of which no burst was reported yet */
	size_t nr_members;
	size_t capacity;
	uint64_t first_start_ns; /* of the members */
	uint64_t last_start_ns;
	uint64_t starts_ns[NR_STARTS]; /* of the last bursts that began here, oldest first */
	size_t nr_starts;
	uint64_t seen;
	bool is_piece; /* the next burst is the rest of one that was reported */
	size_t key_bytes;
	char key[]; /* executable and names, each ended by NUL */
};

struct bursts {
	struct burst_config config;
	struct table groups;
};

struct bursts *bursts__new(const struct burst_config *config)
{
	struct bursts *bursts = calloc(1, sizeof(*bursts));

	if (bursts)
		bursts->config = *config;
	return bursts;
}

static void group__free(struct burst_group *group)
{
	free(group->members);
	free(group);
}

void bursts__free(struct bursts *bursts)
{
	struct table_node *node;

	if (!bursts)
		return;
	while ((node = table__take(&bursts->groups)))
		group__free(TABLE_ENTRY(node, struct burst_group, node));
	free(bursts);
}

/* --- groups --- */

static bool group__is(const struct burst_group *group, const char *exe, const char *const *names,
		      size_t nr_names)
{
	const char *at = group->key, *end = group->key + group->key_bytes;

	if (strcmp(at, exe))
		return false;
	at += strlen(at) + 1;
	for (size_t i = 0; i < nr_names; i++) {
		if (at == end || strcmp(at, names[i]))
			return false;
		at += strlen(at) + 1;
	}
	return at == end;
}

static struct burst_group *group__new(const char *exe, const char *const *names, size_t nr_names)
{
	size_t bytes = strlen(exe) + 1;
	struct burst_group *group;
	char *at;

	for (size_t i = 0; i < nr_names; i++)
		bytes += strlen(names[i]) + 1;
	group = calloc(1, sizeof(*group) + bytes);
	if (!group)
		return NULL;
	group->key_bytes = bytes;
	at = stpcpy(group->key, exe) + 1;
	for (size_t i = 0; i < nr_names; i++)
		at = stpcpy(at, names[i]) + 1;
	return group;
}

struct burst_group *bursts__enter(struct bursts *bursts, const char *exe, const char *const *names,
				  size_t nr_names)
{
	uint64_t hash = table__hash(TABLE_HASH_INIT, exe, strlen(exe) + 1);
	struct burst_group *group;
	struct table_node *node;

	if (nr_names > BURST_MAX_ANCESTORS) {
		names += nr_names - BURST_MAX_ANCESTORS;
		nr_names = BURST_MAX_ANCESTORS;
	}
	for (size_t i = 0; i < nr_names; i++)
		hash = table__hash(hash, names[i], strlen(names[i]) + 1);
	for (node = table__find(&bursts->groups, hash); node; node = table__find_next(node)) {
		group = TABLE_ENTRY(node, struct burst_group, node);
		if (group__is(group, exe, names, nr_names)) {
			group->live++;
			return group;
		}
	}
	group = group__new(exe, names, nr_names);
	if (!group)
		return NULL;
	if (table__insert(&bursts->groups, &group->node, hash)) {
		group__free(group);
		return NULL;
	}
	group->live = 1;
	return group;
}

void bursts__leave(struct burst_group *group)
{
	group->live--;
}

int bursts__end(struct burst_group *group, uint64_t start_ns, uint64_t end_ns, uint64_t cpu_ns)
{
	struct member *members;

	group->live--;
	members =
		array__grow(group->members, group->nr_members, &group->capacity, sizeof(*members));
	if (!members)
		return -ENOMEM;
	group->members = members;
	if (!group->nr_members || start_ns < group->first_start_ns)
		group->first_start_ns = start_ns;
	if (!group->nr_members || start_ns > group->last_start_ns)
		group->last_start_ns = start_ns;
	members[group->nr_members++] = (struct member){ start_ns, end_ns, cpu_ns };
	return 0;
}

/* --- from members to bursts --- */

static int by_start(const void *a, const void *b)
{
	const struct member *x = a, *y = b;

	return (x->start_ns > y->start_ns) - (x->start_ns < y->start_ns);
}

static int by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The most that lived at once, and in @end_ns when the last one ended. */
static int find_peak(const struct member *members, size_t nr, struct burst *burst)
{
	uint64_t *ends = malloc(nr * sizeof(*ends));
	size_t ended = 0;

	if (!ends)
		return -ENOMEM;
	for (size_t i = 0; i < nr; i++)
		ends[i] = members[i].end_ns;
	qsort(ends, nr, sizeof(*ends), by_number);
	for (size_t i = 0; i < nr; i++) {
		while (ends[ended] <= members[i].start_ns && ended < i)
			ended++;
		if (i + 1 - ended > burst->peak)
			burst->peak = i + 1 - ended;
	}
	burst->end_ns = ends[nr - 1];
	free(ends);
	return 0;
}

/*
 * A period is what most starts keep to: the median distance, if none is off by more than a
 * quarter.
 */
static void find_period(const struct burst_group *group, struct burst *burst)
{
	uint64_t gaps[NR_STARTS], period, jitter = 0;
	size_t nr = group->nr_starts ? group->nr_starts - 1 : 0;

	if (nr + 1 < MIN_REPEATS)
		return;
	for (size_t i = 0; i < nr; i++)
		gaps[i] = group->starts_ns[i + 1] - group->starts_ns[i];
	qsort(gaps, nr, sizeof(*gaps), by_number);
	period = nr % 2 ? gaps[nr / 2] : gaps[nr / 2 - 1] + (gaps[nr / 2] - gaps[nr / 2 - 1]) / 2;
	if (period - gaps[0] > jitter)
		jitter = period - gaps[0];
	if (gaps[nr - 1] - period > jitter)
		jitter = gaps[nr - 1] - period;
	if (jitter > period / 4)
		return;
	burst->period_ns = period;
	burst->jitter_ns = jitter;
}

static void note_start(struct burst_group *group, uint64_t start_ns)
{
	if (group->nr_starts == NR_STARTS) {
		group->nr_starts--;
		memmove(group->starts_ns, group->starts_ns + 1,
			group->nr_starts * sizeof(group->starts_ns[0]));
	}
	group->starts_ns[group->nr_starts++] = start_ns;
	group->seen++;
}

static void set_names(const struct burst_group *group, struct burst *burst)
{
	const char *at = group->key, *end = group->key + group->key_bytes;

	burst->exe = at;
	burst->launcher = "";
	for (at += strlen(at) + 1; at < end; at += strlen(at) + 1) {
		burst->ancestry[burst->nr_ancestry++] = at;
		burst->launcher = at;
	}
}

static int deliver(struct burst_group *group, const struct member *members, size_t nr,
		   bool continues, burst_fn fn, void *context)
{
	struct histogram life = HISTOGRAM_INIT, cpu = HISTOGRAM_INIT;
	struct burst burst = {
		.start_ns = members[0].start_ns,
		.count = nr,
		.life = &life,
		.cpu = &cpu,
		.continues = continues,
	};
	int err = find_peak(members, nr, &burst);

	for (size_t i = 0; i < nr && !err; i++) {
		err = histogram__add(&life, members[i].end_ns - members[i].start_ns);
		if (!err && members[i].cpu_ns != UINT64_MAX)
			err = histogram__add(&cpu, members[i].cpu_ns);
	}
	if (!err) {
		if (!group->is_piece)
			note_start(group, members[0].start_ns);
		group->is_piece = continues;
		set_names(group, &burst);
		burst.seen = group->seen;
		find_period(group, &burst);
		fn(context, &burst);
	}
	histogram__free(&life);
	histogram__free(&cpu);
	return err;
}

/*
 * A burst is the union of all windows with enough starts that overlap: what trickles in before or
 * after it does not belong to it.
 */
static int resolve(const struct bursts *bursts, struct burst_group *group, bool continues,
		   burst_fn fn, void *context)
{
	const struct member *m = group->members;
	size_t nr = group->nr_members, min = bursts->config.min, begin = 0, end = 0;
	int err = 0;

	qsort(group->members, nr, sizeof(*group->members), by_start);
	for (size_t i = 0; i + min <= nr && !err; i++) {
		if (m[i + min - 1].start_ns - m[i].start_ns > bursts->config.window_ns)
			continue;
		if (end > begin && i >= end) {
			err = deliver(group, m + begin, end - begin, false, fn, context);
			begin = end = 0;
		}
		if (end == begin)
			begin = i;
		end = i + min;
	}
	if (!err && end > begin)
		err = deliver(group, m + begin, end - begin, continues, fn, context);
	else
		group->is_piece = false;
	group->nr_members = 0;
	if (group->capacity > 1024) {
		free(group->members);
		group->members = NULL;
		group->capacity = 0;
	}
	return err;
}

static int expire(const struct bursts *bursts, struct burst_group *group, uint64_t now_ns,
		  bool final, burst_fn fn, void *context)
{
	uint64_t quiet_ns = now_ns > group->last_start_ns ? now_ns - group->last_start_ns : 0;
	bool ended =
		quiet_ns > bursts->config.window_ns && (!group->live || quiet_ns > PATIENCE_NS);
	bool is_long =
		group->nr_members >= MAX_MEMBERS ||
		(now_ns > group->first_start_ns && now_ns - group->first_start_ns > MAX_LENGTH_NS);

	if (!group->nr_members || !(final || ended || is_long))
		return 0;
	return resolve(bursts, group, !ended && !final, fn, context);
}

/* Nothing of it lives, and no burst of it is remembered for the sake of its period. */
static bool is_forgotten(const struct burst_group *group, uint64_t now_ns)
{
	if (group->live || group->nr_members)
		return false;
	return !group->nr_starts || now_ns - group->starts_ns[group->nr_starts - 1] > FORGET_NS;
}

int bursts__expire(struct bursts *bursts, uint64_t now_ns, bool final, burst_fn fn, void *context)
{
	struct burst_group *group, *forgotten = NULL;
	int err = 0;

	for (size_t i = 0; i < bursts->groups.nr_slots && !err; i++) {
		struct table_node *node = bursts->groups.slots[i];

		for (; node && !err; node = node->next) {
			group = TABLE_ENTRY(node, struct burst_group, node);
			err = expire(bursts, group, now_ns, final, fn, context);
			if (is_forgotten(group, now_ns)) {
				group->next = forgotten;
				forgotten = group;
			}
		}
	}
	while ((group = forgotten)) {
		forgotten = group->next;
		table__remove(&bursts->groups, &group->node);
		group__free(group);
	}
	return err;
}
