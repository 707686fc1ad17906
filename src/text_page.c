// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "text_page.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

void page__end_line(struct page *p)
{
	int err;

	line__style(&p->line, LINE_PLAIN);
	err = line__end(&p->line, p->out);
	if (!p->err)
		p->err = err;
}

uint64_t page__non_idle_ns(const struct report *r)
{
	uint64_t ns = 0;

	for (size_t state = 0; state < TP_NR_STATES; state++) {
		if (state != TP_IDLE)
			ns += r->state_ns[state];
	}
	return ns;
}

bool page__has_busy_time(const struct report *r)
{
	return r->have_requests && r->have_threads && r->busy_ns;
}

uint64_t page__wait_whole(const struct report *r)
{
	if (!r->have_threads)
		return 0;
	return page__has_busy_time(r) ? r->busy_ns : page__non_idle_ns(r);
}

void page__write_words(struct page *p, size_t indent, const char *text)
{
	struct line *l = &p->line;

	while (*text) {
		size_t length = strcspn(text, " ");

		if (length + 1 > line__room(l) && l->columns > indent) {
			page__end_line(p);
			line__pad(l, indent);
		}
		if (l->columns > indent)
			line__add(l, " ");
		line__name(l, line__room(l), text, length);
		text += length + strspn(text + length, " ");
	}
}

static int compare_parts(const void *a, const void *b)
{
	const struct part *x = a, *y = b;

	return (x->ns < y->ns) - (x->ns > y->ns);
}

size_t page__sort_parts(struct part *parts, const uint64_t *ns, size_t nr)
{
	size_t used = 0;

	for (size_t i = 0; i < nr; i++) {
		if (ns[i])
			parts[used++] = (struct part){ tp_part_names[i], ns[i] };
	}
	qsort(parts, used, sizeof(*parts), compare_parts);
	return used;
}

const char *page__time(char *buf, const struct timespec *time, bool with_date)
{
	const size_t size = 40;
	struct tm tm;
	size_t len = 0;

	if (gmtime_r(&time->tv_sec, &tm))
		len = with_date ? strftime(buf, size, "%Y-%m-%d %H:%M:%S", &tm)
				: strftime(buf, size, "%H:%M:%S", &tm);
	if (!len)
		snprintf(buf, size, DASH);
	return buf;
}
