/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * Writes reports to a descriptor that may be slow, or that nobody reads: never blocks, keeps what does not
 * go out yet, and when too much has piled up drops whole reports and counts them.
 */
#ifndef THREADPROF_WRITER_H
#define THREADPROF_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What may wait to be written; a report that finds more than this waiting is dropped. */
#define WRITER_MAX_PENDING (1024 * 1024)

struct writer {
	int fd;
	char *pending;
	size_t length; /* of pending, written or not */
	size_t written;
	size_t capacity;
	uint64_t dropped;
	bool closed; /* the reader has gone away */
};

void writer__init(struct writer *writer, int fd);
void writer__free(struct writer *writer);

/* Takes a report (a copy) and writes what goes out at once. Returns false if it was dropped. */
bool writer__submit(struct writer *writer, const char *text, size_t length);

/* Writes what goes out without waiting. 0; -EPIPE when the reader has gone; another negative errno. */
int writer__flush(struct writer *writer);

/* Writes all, waiting at most @idle_ms at a time for the reader to take something. Same results; -ETIMEDOUT. */
int writer__finish(struct writer *writer, int idle_ms);

#endif /* THREADPROF_WRITER_H */
