/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * One line of text for a terminal, put together from left to right and never wider than it may be.
 * A piece that does not fit is left out as a whole, and so is all that follows it: half a number
 * would be another number. Colour takes no columns.
 */
#ifndef THREADPROF_LINE_H
#define THREADPROF_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define LINE_MIN_COLUMNS 80
#define LINE_MAX_COLUMNS 500

enum line_style {
	LINE_PLAIN,
	LINE_BOLD,
	LINE_WARN,
	LINE_ALARM,
};

struct line {
	bool color;
	bool full; /* something was left out */
	size_t max; /* columns it may take */
	size_t columns; /* columns it takes so far */
	size_t len;
	char buf[4 * LINE_MAX_COLUMNS + 1024];
};

/* Starts an empty line of @columns, taken to the nearest width that is supported. */
void line__init(struct line *l, size_t columns, bool color);

/* Appends text that is our own: printable ASCII. */
void line__add(struct line *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Appends our own @text in @width columns, to their right; longer text is appended whole. */
void line__right(struct line *l, size_t width, const char *text);

/*
 * Appends text of others, made safe, in at most @width columns. It ends at a NUL or after @max
 * bytes.
 */
void line__name(struct line *l, size_t width, const char *name, size_t max);

/* Appends blanks up to @column; nothing if the line is that long already. */
void line__pad(struct line *l, size_t column);

/* Text from here on looks like @style, where colour is on. */
void line__style(struct line *l, enum line_style style);

/* Columns that are left; 0 when something was left out. */
size_t line__room(const struct line *l);

/*
 * Writes the line without trailing blanks, and empties it. Returns 0 or the negative errno of the
 * failed write.
 */
int line__end(struct line *l, FILE *out);

#endif /* THREADPROF_LINE_H */
