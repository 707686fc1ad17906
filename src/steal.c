// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "steal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"

struct steals {
	struct report_thief *list;
	size_t nr;
	size_t capacity;
};

struct steals *steals__new(void)
{
	return calloc(1, sizeof(struct steals));
}

void steals__free(struct steals *steals)
{
	if (!steals)
		return;
	free(steals->list);
	free(steals);
}

int steals__add(struct steals *steals, const struct tp_thief *thief, const char *exe, bool own)
{
	struct report_thief *grown = array__grow(steals->list, steals->nr, &steals->capacity, sizeof(*grown));
	struct report_thief *entry;

	if (!grown)
		return -ENOMEM;
	steals->list = grown;
	entry = &steals->list[steals->nr++];
	memset(entry, 0, sizeof(*entry));
	memcpy(entry->comm, thief->comm, sizeof(entry->comm));
	snprintf(entry->exe, sizeof(entry->exe), "%s", exe);
	entry->own = own;
	entry->ns = thief->ns;
	entry->largest_ns = thief->ns;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct report_thief *x = a, *y = b;
	int order = strcmp(x->exe, y->exe);

	/* One executable is one thief: a process has its maker's name until it execs. */
	if (!order && !x->exe[0])
		order = strncmp(x->comm, y->comm, sizeof(x->comm));
	return order ? order : x->own - y->own;
}

static int most_first(const void *a, const void *b)
{
	const struct report_thief *x = a, *y = b;

	return x->ns < y->ns ? 1 : x->ns > y->ns ? -1 : by_name(a, b);
}

static void add(struct report_thief *to, const struct report_thief *from)
{
	if (from->largest_ns > to->largest_ns) {
		memcpy(to->comm, from->comm, sizeof(to->comm));
		to->largest_ns = from->largest_ns;
	}
	to->ns += from->ns;
}

void steals__report(struct steals *steals, struct report *report)
{
	size_t nr = 0;

	array__sort(steals->list, steals->nr, sizeof(*steals->list), by_name);
	for (size_t i = 0; i < steals->nr; i++) {
		if (nr && !by_name(&steals->list[nr - 1], &steals->list[i]))
			add(&steals->list[nr - 1], &steals->list[i]);
		else
			steals->list[nr++] = steals->list[i];
	}
	steals->nr = nr;
	array__sort(steals->list, nr, sizeof(*steals->list), most_first);
	report->have_thieves = true;
	report->thieves = steals->list;
	report->nr_thieves = nr < STEALS_MAX_LISTED ? nr : STEALS_MAX_LISTED;
}

void steals__next(struct steals *steals)
{
	steals->nr = 0;
}
