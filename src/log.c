// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static bool is_verbose;
static char *diverted_to; /* NULL: stderr */
static size_t diverted_size;

void log__divert(char *buf, size_t size)
{
	diverted_to = buf;
	diverted_size = size;
	if (buf)
		buf[0] = '\0';
}

void log__set_verbose(bool verbose)
{
	is_verbose = verbose;
}

bool log__is_verbose(void)
{
	return is_verbose;
}

__attribute__((format(printf, 2, 0))) static void say(const char *prefix, const char *format, va_list args)
{
	int saved_errno = errno;

	if (diverted_to) {
		if (!diverted_to[0])
			vsnprintf(diverted_to, diverted_size, format, args);
		errno = saved_errno;
		return;
	}
	fprintf(stderr, "threadprof: %s", prefix);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	errno = saved_errno;
}

int log__fail(int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say("", format, args);
	va_end(args);
	return err;
}

void log__warn(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say("warning: ", format, args);
	va_end(args);
}

void log__info(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say("", format, args);
	va_end(args);
}

void log__debug(const char *format, ...)
{
	va_list args;

	if (!is_verbose)
		return;
	va_start(args, format);
	say("debug: ", format, args);
	va_end(args);
}
