/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * Makes bytes that others chose (process names, paths, command lines, symbol names) safe to print.
 * Input ends at its first NUL or after @max bytes, whichever comes first, so that fixed-size fields
 * need no terminator.
 */
#ifndef THREADPROF_ESCAPE_H
#define THREADPROF_ESCAPE_H

#include <stddef.h>

/* Enough room for whatever @bytes of input become. */
#define ESCAPE_TERMINAL_SIZE(bytes) (4 * (bytes) + 1)
#define ESCAPE_UTF8_SIZE(bytes) (3 * (bytes) + 1)

/*
 * For a terminal: control characters (C0, DEL, C1), invalid UTF-8, and characters that reorder,
 * hide or break text are written as \xNN, byte by byte; all other text stays. Writes at most @size
 * bytes, the NUL included, that take at most @columns columns; text that is cut ends in "..".
 * Returns the number of columns (an upper bound where a terminal's font decides).
 */
size_t escape__terminal(char *out, size_t size, const char *in, size_t max, size_t columns);

/*
 * For JSON and other places that need valid UTF-8: each invalid sequence becomes U+FFFD, the rest
 * stays, control characters included (a JSON writer escapes them). Writes at most @size bytes, the
 * NUL included, cut between characters. Returns the length written.
 */
size_t escape__utf8(char *out, size_t size, const char *in, size_t max);

#endif /* THREADPROF_ESCAPE_H */
