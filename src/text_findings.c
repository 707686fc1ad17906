// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/* The first lines of a report: what is wrong, and what has changed. */
#include <inttypes.h>
#include <string.h>

#include "text_page.h"

#define INDENT 4 /* of a line that goes on */

static enum line_style style_of(const struct report_finding *f)
{
	if (!strcmp(f->id, "all_clear"))
		return LINE_PLAIN;
	return f->now ? LINE_ALARM : LINE_WARN;
}

static void write_finding(struct page *p, const struct report_finding *f)
{
	struct line *l = &p->line;

	line__style(l, style_of(f));
	line__add(l, "%s %s:", !strcmp(f->id, "all_clear") ? "ok" : f->now ? "!!" : "..", f->id);
	line__style(l, LINE_PLAIN);
	page__write_words(p, INDENT, f->text);
	if (!f->now) {
		char seen[80];

		snprintf(seen, sizeof(seen), "(not in this interval, but in %" PRIu32 " of the last %" PRIu32 ")",
			 f->seen, f->watched);
		page__write_words(p, INDENT, seen);
	}
	page__end_line(p);
	if (!f->now || !f->next[0] || !strcmp(f->id, "all_clear"))
		return;
	line__add(l, "  > ");
	page__write_words(p, INDENT, f->next);
	page__end_line(p);
}

void page__write_findings(struct page *p)
{
	for (size_t i = 0; i < p->r->nr_findings; i++)
		write_finding(p, &p->r->findings[i]);
}

void page__write_changes(struct page *p)
{
	struct line *l = &p->line;

	if (!p->r->have_baseline)
		return;
	if (!p->r->nr_changes) {
		line__add(l, "since the baseline: nothing changed that matters");
		page__end_line(p);
	}
	for (size_t i = 0; i < p->r->nr_changes; i++) {
		line__add(l, "%s", i ? "" : "since the baseline:");
		line__pad(l, 20);
		line__name(l, line__room(l), p->r->changes[i].text, sizeof(p->r->changes[i].text));
		page__end_line(p);
	}
}
