// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/* What the probes on lock functions tell, and what becomes of them. */
#include <inttypes.h>
#include <string.h>

#include "text_page.h"

#define MAX_NAME_COLUMNS 72
#define NUMBER_COLUMNS (8 + 10 + 11 + 9 + 9 + 9)

void page__write_lock_probes(struct page *p)
{
	const struct report_lock_probes *probes = &p->r->lock_probes;

	if (!probes->are_asked_for || !probes->reason[0])
		return;
	line__style(&p->line, probes->are_in ? LINE_WARN : LINE_ALARM);
	line__add(&p->line, "!! ");
	page__write_words(p, strlen("!! "), probes->reason);
	page__end_line(p);
}

static void write_lock(struct page *p, const struct report_lock *lock, size_t name_columns)
{
	const struct report_lock_calls *calls = &lock->calls;
	struct line *l = &p->line;

	if (p->r->nr_pids > 1)
		line__add(l, "%" PRIu32 " ", lock->tgid);
	if (lock->name[0])
		line__name(l, name_columns - l->columns, lock->name, sizeof(lock->name));
	else
		line__add(l, "0x%" PRIx64, lock->addr);
	line__pad(l, name_columns);
	line__right(l, 8, tp_lock_kind_name(lock->kind));
	line__right(l, 10, COUNT(calls->calls - calls->failed, 9));
	line__right(l, 11, PERCENT((double)calls->contended, (double)calls->calls));
	line__right(l, 9, DURATION(calls->call_ns / calls->calls));
	line__right(l, 9, calls->length ? DURATION(histogram__percentile(calls->length, 99)) : DASH);
	line__right(l, 9, DURATION(calls->max_ns));
	page__end_line(p);
}

void page__write_lock_calls(struct page *p)
{
	const struct report *r = p->r;
	size_t shown = 0, name_columns;
	struct line *l = &p->line;

	for (size_t i = 0; i < r->nr_locks && shown < p->o->top_waits; i++) {
		if (!r->have_locks || !r->locks[i].calls.calls)
			continue;
		if (!shown++) {
			page__end_line(p);
			line__style(l, LINE_BOLD);
			line__add(l, "calls for locks");
			name_columns = line__room(l) + l->columns - NUMBER_COLUMNS;
			name_columns = name_columns < MAX_NAME_COLUMNS ? name_columns : MAX_NAME_COLUMNS;
			line__pad(l, name_columns);
			line__right(l, 8, "kind");
			line__right(l, 10, "acquired");
			line__right(l, 11, "contended");
			line__right(l, 9, "mean");
			line__right(l, 9, "p99");
			line__right(l, 9, "max");
			page__end_line(p);
		}
		write_lock(p, &r->locks[i], name_columns);
	}
}
