// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "line.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "escape.h"

/* Kept free for the sequence that ends a style. */
#define STYLE_ROOM 16

void line__init(struct line *l, size_t columns, bool color)
{
	if (columns < LINE_MIN_COLUMNS)
		columns = LINE_MIN_COLUMNS;
	if (columns > LINE_MAX_COLUMNS)
		columns = LINE_MAX_COLUMNS;
	l->color = color;
	l->full = false;
	l->max = columns;
	l->columns = 0;
	l->len = 0;
}

size_t line__room(const struct line *l)
{
	return l->full ? 0 : l->max - l->columns;
}

static size_t bytes_left(const struct line *l)
{
	return sizeof(l->buf) - STYLE_ROOM - l->len;
}

static void append(struct line *l, const char *text, size_t len)
{
	if (len > line__room(l) || len > bytes_left(l)) {
		l->full = true;
		return;
	}
	memcpy(l->buf + l->len, text, len);
	l->len += len;
	l->columns += len;
}

void line__add(struct line *l, const char *format, ...)
{
	char text[LINE_MAX_COLUMNS + 1];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	append(l, text, strlen(text));
}

void line__right(struct line *l, size_t width, const char *text)
{
	size_t len = strlen(text);

	if (len < width)
		line__pad(l, l->columns + width - len);
	append(l, text, len);
}

void line__name(struct line *l, size_t width, const char *name, size_t max)
{
	if (width > line__room(l))
		width = line__room(l);
	l->columns += escape__terminal(l->buf + l->len, bytes_left(l), name, max, width);
	l->len += strlen(l->buf + l->len);
}

void line__pad(struct line *l, size_t column)
{
	while (l->columns < column && line__room(l) && bytes_left(l))
		append(l, " ", 1);
}

void line__style(struct line *l, enum line_style style)
{
	static const char *const codes[] = {
		[LINE_PLAIN] = "\033[0m",
		[LINE_BOLD] = "\033[1m",
		[LINE_WARN] = "\033[1;33m",
		[LINE_ALARM] = "\033[1;31m",
	};
	size_t len = strlen(codes[style]);

	/* the end of a style may use the room that nothing else may */
	if (!l->color || (style != LINE_PLAIN && len + STYLE_ROOM > bytes_left(l)) ||
	    l->len + len > sizeof(l->buf))
		return;
	memcpy(l->buf + l->len, codes[style], len);
	l->len += len;
}

int line__end(struct line *l, FILE *out)
{
	size_t len = l->len;

	while (len && l->buf[len - 1] == ' ')
		len--;
	l->len = 0;
	l->columns = 0;
	l->full = false;
	errno = 0;
	if (fwrite(l->buf, 1, len, out) == len && putc('\n', out) != EOF)
		return 0;
	return errno ? -errno : -EIO;
}
