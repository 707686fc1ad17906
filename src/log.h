/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* Diagnostics for the person at the terminal: one sentence each, to stderr, with the program's name. */
#ifndef THREADPROF_LOG_H
#define THREADPROF_LOG_H

#include <stdbool.h>
#include <stddef.h>

/* What libbpf and we say beyond errors and warnings; off by default. */
void log__set_verbose(bool verbose);
bool log__is_verbose(void);

/* Says what went wrong and returns @err, so that a failing branch can't forget its error code. */
int log__fail(int err, const char *format, ...) __attribute__((format(printf, 2, 3)));

void log__warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log__info(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * From now on the first sentence goes to @buf, cut to @size bytes, and those after it nowhere: for who wants
 * to know whether something works, and asks by trying. NULL: to stderr again.
 */
void log__divert(char *buf, size_t size);

/* Only with --verbose. */
void log__debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif /* THREADPROF_LOG_H */
