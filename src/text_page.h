/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * What the files of the text output share: text.c writes head, metrics and cost, text_findings.c what is wrong,
 * text_tables.c the tables, text_lock_calls.c what probes on lock functions tell.
 */
#ifndef THREADPROF_TEXT_PAGE_H
#define THREADPROF_TEXT_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "line.h"
#include "report.h"
#include "text.h"
#include "units.h"

#define DASH "-" /* what was not measured */

struct page {
	FILE *out;
	const struct report *r;
	const struct text_options *o;
	struct line line; /* the one that is being written */
	int err; /* the first that occurred */
};

struct part {
	const char *name;
	uint64_t ns;
};

/* Writes the line, in plain style from its end on, and starts the next one. */
void page__end_line(struct page *p);

/*
 * Appends @text word by word, in as many lines as it takes; those that follow are indented by @indent columns, and a
 * line that is not longer than that gets no blank before its first word.
 */
void page__write_words(struct page *p, size_t indent, const char *text);

/*
 * Fills @parts (room for TP_NR_PARTS) with what is not zero, the largest first; returns how many.
 */
size_t page__sort_parts(struct part *parts, const uint64_t *ns, size_t nr);

/* As "%H:%M:%S" or, @with_date, "%Y-%m-%d %H:%M:%S", UTC; @buf has room for 40 bytes. */
const char *page__time(char *buf, const struct timespec *time, bool with_date);

/* The time of all threads in the states that are not idle. */
uint64_t page__non_idle_ns(const struct report *r);

/* Whether time with a request in hand was measured and there was any. */
bool page__has_busy_time(const struct report *r);

/*
 * What waits are a part of: the time that threads had requests in hand, or, where there is none,
 * the time that they were not idle. 0 where neither was measured.
 */
uint64_t page__wait_whole(const struct report *r);

/* The tables, each with the blank line above it; nothing at all where there is nothing to say. */
void page__write_findings(struct page *p);
void page__write_changes(struct page *p);
void page__write_locks(struct page *p);
void page__write_lock_calls(struct page *p);
void page__write_peers(struct page *p);
void page__write_files(struct page *p);
void page__write_thieves(struct page *p);
void page__write_bursts(struct page *p);
void page__write_slow_requests(struct page *p);
void page__write_threads(struct page *p);

/* What is to be said of the probes on lock functions, in lines that begin with "!!". */
void page__write_lock_probes(struct page *p);

#endif /* THREADPROF_TEXT_PAGE_H */
