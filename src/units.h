/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * Quantities as people read them, in few columns and with their unit, and the numbers of a command
 * line as people type them.
 *
 * The formatters write into @buf, which has room for UNITS_LEN bytes, and return it. Their output
 * is ASCII. The upper-case macros bring their own buffer, which lives as long as the block they are
 * used in.
 */
#ifndef THREADPROF_UNITS_H
#define THREADPROF_UNITS_H

#include <stddef.h>
#include <stdint.h>

#define UNITS_LEN 32

/*
 * "870 ns", "1.24 ms", "13.2 s", "16.7 min", "3.20 h", "213,504 d": three digits, at most 9
 * columns.
 */
const char *units__duration(char *buf, uint64_t ns);

/*
 * "45,012" where that takes at most @width columns, else "45.0 k", "1.23 M", …: at most 6 columns.
 */
const char *units__count(char *buf, uint64_t n, size_t width);

/*
 * A number that need not be whole: "0", "<0.01", "2.10", "45.3", "4,501", "1.23 M"; "-" where there
 * is none.
 */
const char *units__number(char *buf, double value);

/* The same per second: "4,501/s". */
const char *units__rate(char *buf, double per_second);

/* "870 B", "1.24 KiB", "24.1 MiB": at most 8 columns. */
const char *units__bytes(char *buf, uint64_t bytes);

/*
 * @part of @whole: "71 %", "4.2 %", "<0.1 %", "0 %" only for nothing at all and "100 %" only for
 * all; "-" where @whole is 0. At most 6 columns.
 */
const char *units__percent(char *buf, double part, double whole);

#define DURATION(ns) units__duration((char[UNITS_LEN]){ 0 }, ns)
#define COUNT(n, width) units__count((char[UNITS_LEN]){ 0 }, n, width)
#define NUMBER(value) units__number((char[UNITS_LEN]){ 0 }, value)
#define RATE(per_second) units__rate((char[UNITS_LEN]){ 0 }, per_second)
#define BYTES(bytes) units__bytes((char[UNITS_LEN]){ 0 }, bytes)
#define PERCENT(part, whole) units__percent((char[UNITS_LEN]){ 0 }, part, whole)

/*
 * A whole decimal number, digits only. Returns 0 and sets @out; -EINVAL if @arg is anything else,
 * -ERANGE if it is outside @min … @max. @out is untouched on error.
 */
int units__parse_u64(const char *arg, uint64_t min, uint64_t max, uint64_t *out);

/*
 * Seconds, with decimals if need be ("10", "0.5", ".25"), as nanoseconds. Returns and leaves @out
 * as units__parse_u64() does; a fraction finer than a nanosecond is -ERANGE.
 */
int units__parse_seconds(const char *arg, uint64_t min_ns, uint64_t max_ns, uint64_t *out_ns);

/*
 * A percentage ("5", "0.5", without the sign) from @min to @max, as a ratio: 0.05. Returns and leaves
 * @out_ratio as units__parse_u64() does.
 */
int units__parse_percent(const char *arg, double min, double max, double *out_ratio);

#endif /* THREADPROF_UNITS_H */
