// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "symbols.h"

struct process {
	uint32_t tgid;
	struct symbols *symbols; /* NULL: not looked at yet, or gone before we could */
};

struct names {
	struct process *processes;
	size_t nr;
	size_t capacity;
	struct tp_range *ranges;
	size_t nr_ranges;
	size_t ranges_capacity;
};

struct names *names__new(void)
{
	return calloc(1, sizeof(struct names));
}

void names__free(struct names *names)
{
	if (!names)
		return;
	for (size_t i = 0; i < names->nr; i++)
		symbols__free(names->processes[i].symbols);
	free(names->processes);
	free(names->ranges);
	free(names);
}

static struct process *process__get(struct names *names, uint32_t tgid)
{
	struct process *grown;

	for (size_t i = 0; i < names->nr; i++) {
		if (names->processes[i].tgid == tgid)
			return &names->processes[i];
	}
	grown = array__grow(names->processes, names->nr, &names->capacity, sizeof(*grown));
	if (!grown)
		return NULL;
	names->processes = grown;
	grown = &grown[names->nr++];
	*grown = (struct process){ .tgid = tgid };
	return grown;
}

static struct symbols *symbols_of(struct names *names, uint32_t tgid)
{
	struct process *process = process__get(names, tgid);

	if (process && !process->symbols && symbols__new(tgid, &process->symbols))
		process->symbols = NULL;
	return process ? process->symbols : NULL;
}

static void add_range(struct names *names, const struct tp_range *range)
{
	struct tp_range *grown =
		array__grow(names->ranges, names->nr_ranges, &names->ranges_capacity, sizeof(*grown));

	if (!grown)
		return; /* then the GIL is a condition variable without a name */
	names->ranges = grown;
	grown[names->nr_ranges++] = *range;
}

static void drop_ranges(struct names *names, uint32_t tgid)
{
	size_t kept = 0;

	for (size_t i = 0; i < names->nr_ranges; i++) {
		if (names->ranges[i].tgid != tgid)
			names->ranges[kept++] = names->ranges[i];
	}
	names->nr_ranges = kept;
}

void names__on_process(struct names *names, uint32_t tgid)
{
	struct tp_range gil = { .tgid = tgid, .kind = TP_LOCK_GIL };
	uint64_t start, end;

	names__on_exit(names, tgid);
	/* The interpreter's state, with the GIL's mutex and condition variable in it: Include/internal/pycore_runtime.h. */
	if (!symbols_of(names, tgid) ||
	    !symbols__find(symbols_of(names, tgid), "_PyRuntime", "libpython*", &start, &end))
		return;
	gil.start = start;
	gil.end = end;
	add_range(names, &gil);
}

void names__on_fork(struct names *names, uint32_t tgid, uint32_t parent_tgid)
{
	size_t nr = names->nr_ranges;

	for (size_t i = 0; i < nr; i++) {
		struct tp_range range = names->ranges[i];

		if (range.tgid != parent_tgid)
			continue;
		range.tgid = tgid;
		add_range(names, &range);
	}
}

void names__on_exit(struct names *names, uint32_t tgid)
{
	drop_ranges(names, tgid);
	for (size_t i = 0; i < names->nr; i++) {
		if (names->processes[i].tgid != tgid)
			continue;
		symbols__free(names->processes[i].symbols);
		names->processes[i] = names->processes[--names->nr];
		return;
	}
}

const struct tp_range *names__ranges(const struct names *names, size_t *count)
{
	*count = names->nr_ranges;
	return names->ranges;
}

void names__lock(struct names *names, uint32_t tgid, uint64_t addr, uint32_t kind, char *buf, size_t size)
{
	struct symbols *symbols = symbols_of(names, tgid);
	char symbol[96];

	buf[0] = '\0';
	if (!symbols || !symbols__data_name(symbols, addr, symbol, sizeof(symbol)))
		return;
	snprintf(buf, size, kind == TP_LOCK_GIL ? "GIL (%s)" : "%s", symbol);
}
