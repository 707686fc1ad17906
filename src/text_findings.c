// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/* The first lines of a report: what is wrong, and what has changed. */
#include <inttypes.h>
#include <string.h>

#include "text_page.h"

#define INDENT 4

/* Appends @text word by word, in as many lines as it takes. */
static void write_words(struct page *p, const char *text)
{
	struct line *l = &p->line;

	while (*text) {
		size_t length = strcspn(text, " ");

		if (length + 1 > line__room(l) && l->columns > INDENT) {
			page__end_line(p);
			line__pad(l, INDENT);
		}
		if (l->columns > INDENT)
			line__add(l, " ");
		line__name(l, line__room(l), text, length);
		text += length + strspn(text + length, " ");
	}
}

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
	write_words(p, f->text);
	if (!f->now) {
		char seen[80];

		snprintf(seen, sizeof(seen), "(not in this interval, but in %" PRIu32 " of the last %" PRIu32 ")",
			 f->seen, f->watched);
		write_words(p, seen);
	}
	page__end_line(p);
	if (!f->now || !f->next[0] || !strcmp(f->id, "all_clear"))
		return;
	line__add(l, "  > ");
	write_words(p, f->next);
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
