/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* The values of JSON records, and the record itself: for the files that write records. */
#ifndef THREADPROF_JSON_VALUE_H
#define THREADPROF_JSON_VALUE_H

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <json-c/json.h>

#include "escape.h"
#include "histogram.h"
#include "json.h"
#include "report.h"

/*
 * json-c's null is a NULL pointer, and so is an allocation that failed. The difference is kept
 * here, so that a shortage of memory never looks like "not measured".
 */
struct writer {
	bool no_memory;
};

static inline struct json_object *checked(struct writer *w, struct json_object *o)
{
	if (!o)
		w->no_memory = true;
	return o;
}

static inline void put(struct writer *w, struct json_object *o, const char *key,
		       struct json_object *value)
{
	if (!o || json_object_object_add(o, key, value) < 0) {
		json_object_put(value);
		w->no_memory = true;
	}
}

static inline void append(struct writer *w, struct json_object *list, struct json_object *value)
{
	if (!list || json_object_array_add(list, value) < 0) {
		json_object_put(value);
		w->no_memory = true;
	}
}

static inline struct json_object *new_object(struct writer *w)
{
	return checked(w, json_object_new_object());
}

static inline struct json_object *new_list(struct writer *w)
{
	return checked(w, json_object_new_array());
}

static inline struct json_object *new_u64(struct writer *w, uint64_t value)
{
#if JSON_C_MAJOR_VERSION > 0 || JSON_C_MINOR_VERSION >= 14
	return checked(w, json_object_new_uint64(value));
#else
	char digits[24];

	if (value <= INT64_MAX)
		return checked(w, json_object_new_int64((int64_t)value));
	snprintf(digits, sizeof(digits), "%" PRIu64, value);
	return checked(w, json_object_new_double_s((double)value, digits));
#endif
}

static inline void put_null(struct writer *w, struct json_object *o, const char *key)
{
	put(w, o, key, NULL);
}

static inline void put_bool(struct writer *w, struct json_object *o, const char *key, bool value)
{
	put(w, o, key, checked(w, json_object_new_boolean(value)));
}

static inline void put_u64(struct writer *w, struct json_object *o, const char *key, uint64_t value)
{
	put(w, o, key, new_u64(w, value));
}

static inline void put_i64(struct writer *w, struct json_object *o, const char *key, int64_t value)
{
	put(w, o, key, checked(w, json_object_new_int64(value)));
}

/* null unless it was measured */
static inline void put_u64_if(struct writer *w, struct json_object *o, const char *key, bool have,
			      uint64_t value)
{
	put(w, o, key, have && value != TP_UNKNOWN ? new_u64(w, value) : NULL);
}

/* null unless it was measured and is a number */
static inline void put_double_if(struct writer *w, struct json_object *o, const char *key,
				 bool have, double value)
{
	static char format[] = "%.9g";
	struct json_object *number = NULL;

	if (have && isfinite(value)) {
		number = checked(w, json_object_new_double(value));
		if (number)
			json_object_set_serializer(number, json_object_double_to_json_string,
						   format, NULL);
	}
	put(w, o, key, number);
}

static inline void put_string(struct writer *w, struct json_object *o, const char *key,
			      const char *text, size_t max)
{
	size_t length = strnlen(text, max < PTRDIFF_MAX ? max : PTRDIFF_MAX);
	size_t size = ESCAPE_UTF8_SIZE(length);
	char *safe = malloc(size);

	if (!safe) {
		w->no_memory = true;
		return;
	}
	escape__utf8(safe, size, text, length);
	put(w, o, key, checked(w, json_object_new_string(safe)));
	free(safe);
}

/* null where there is no text */
static inline void put_text(struct writer *w, struct json_object *o, const char *key,
			    const char *text, size_t max)
{
	if (text && max && text[0])
		put_string(w, o, key, text, max);
	else
		put_null(w, o, key);
}

#define put_field(w, o, key, field) put_string(w, o, key, field, sizeof(field))
#define put_field_text(w, o, key, field) put_text(w, o, key, field, sizeof(field))

/* Adds a string of at most @max bytes to a list. */
static inline void append_string(struct writer *w, struct json_object *list, const char *text,
				 size_t max)
{
	size_t length = strnlen(text, max);
	char *safe = malloc(ESCAPE_UTF8_SIZE(length));

	if (!safe) {
		w->no_memory = true;
		return;
	}
	escape__utf8(safe, ESCAPE_UTF8_SIZE(length), text, length);
	append(w, list, checked(w, json_object_new_string(safe)));
	free(safe);
}

/* RFC 3339, UTC, nanoseconds; null where the year has not four digits */
static inline void put_time(struct writer *w, struct json_object *o, const char *key,
			    const struct timespec *time)
{
	char seconds[32], text[48];
	struct tm tm;

	if (!gmtime_r(&time->tv_sec, &tm) || tm.tm_year < 1000 - 1900 || tm.tm_year > 9999 - 1900 ||
	    time->tv_nsec < 0 || time->tv_nsec > 999999999) {
		put_null(w, o, key);
		return;
	}
	strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, sizeof(text), "%s.%09ldZ", seconds, time->tv_nsec);
	put_string(w, o, key, text, sizeof(text));
}

static inline struct json_object *new_buckets(struct writer *w, const struct histogram *h)
{
	struct json_object *list = new_list(w);
	uint64_t upper, count;
	size_t cursor = 0;

	while (histogram__next(h, &cursor, &upper, &count)) {
		struct json_object *pair = new_list(w);

		append(w, pair, new_u64(w, upper));
		append(w, pair, new_u64(w, count));
		append(w, list, pair);
	}
	return list;
}

static inline void put_histogram(struct writer *w, struct json_object *o, const char *key,
				 bool have, const struct histogram *h)
{
	struct json_object *to;
	bool any;

	if (!have || !h) {
		put_null(w, o, key);
		return;
	}
	any = h->count > 0;
	to = new_object(w);
	put_u64(w, to, "count", h->count);
	put_u64(w, to, "sum", h->sum);
	put_u64_if(w, to, "mean", any, histogram__mean(h));
	put_u64_if(w, to, "p50", any, histogram__percentile(h, 50));
	put_u64_if(w, to, "p90", any, histogram__percentile(h, 90));
	put_u64_if(w, to, "p99", any, histogram__percentile(h, 99));
	put_u64_if(w, to, "max", any, h->max);
	put(w, to, "buckets", new_buckets(w, h));
	put(w, o, key, to);
}

static inline struct json_object *new_record(struct writer *w, const char *type,
					     const struct timespec *time, uint64_t mono_ns)
{
	struct json_object *o = new_object(w);

	put_string(w, o, "type", type, SIZE_MAX);
	put_u64(w, o, "schema", JSON_SCHEMA);
	put_time(w, o, "time", time);
	put_u64(w, o, "mono_ns", mono_ns);
	return o;
}

static inline int write_line(FILE *out, const char *line, size_t len)
{
	errno = 0;
	if (fwrite(line, 1, len, out) == len && putc('\n', out) != EOF)
		return 0;
	return errno ? -errno : -EIO;
}

/* Writes and frees @record. */
static inline int finish(struct writer *w, FILE *out, struct json_object *record)
{
	int flags = JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE;
	const char *line = NULL;
	size_t len = 0;
	int err;

	if (!w->no_memory)
		line = json_object_to_json_string_length(record, flags, &len);
	err = line ? write_line(out, line, len) : -ENOMEM;
	json_object_put(record);
	return err;
}

#endif /* THREADPROF_JSON_VALUE_H */
