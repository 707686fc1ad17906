// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "writer.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void writer__init(struct writer *writer, int fd)
{
	memset(writer, 0, sizeof(*writer));
	writer->fd = fd;
}

void writer__free(struct writer *writer)
{
	free(writer->pending);
	writer->pending = NULL;
}

bool writer__submit(struct writer *writer, const char *text, size_t length)
{
	size_t waiting = writer->length - writer->written;

	if (writer->closed || waiting > WRITER_MAX_PENDING) {
		writer->dropped++;
		return false;
	}
	if (waiting)
		memmove(writer->pending, writer->pending + writer->written, waiting);
	writer->length = waiting;
	writer->written = 0;
	if (writer->capacity < waiting + length) {
		char *grown = realloc(writer->pending, waiting + length);

		if (!grown) {
			writer->dropped++;
			return false;
		}
		writer->pending = grown;
		writer->capacity = waiting + length;
	}
	if (length)
		memcpy(writer->pending + waiting, text, length);
	writer->length += length;
	writer__flush(writer);
	return true;
}

/* Writes one piece if the reader takes it within @wait_ms; the number of bytes, 0 if it does not. */
static ssize_t write_piece(struct writer *writer, int wait_ms)
{
	struct pollfd poll_fd = { .fd = writer->fd, .events = POLLOUT };
	size_t left = writer->length - writer->written;
	ssize_t done;

	if (poll(&poll_fd, 1, wait_ms) <= 0)
		return 0;
	/* A pipe that polls writable takes PIPE_BUF bytes without blocking. */
	done = write(writer->fd, writer->pending + writer->written, left < PIPE_BUF ? left : PIPE_BUF);
	if (done >= 0)
		return done;
	if (errno == EINTR || errno == EAGAIN)
		return 0;
	/* Any other error, such as a full disk, comes again at the next attempt. */
	writer->closed = errno == EPIPE;
	return -errno;
}

int writer__finish(struct writer *writer, int idle_ms)
{
	while (writer->written < writer->length) {
		ssize_t done;

		if (writer->closed)
			return -EPIPE;
		done = write_piece(writer, idle_ms);
		if (done < 0)
			return done;
		if (!done)
			return -ETIMEDOUT;
		writer->written += done;
	}
	return 0;
}

int writer__flush(struct writer *writer)
{
	int err = writer__finish(writer, 0);

	return err == -ETIMEDOUT ? 0 : err;
}
