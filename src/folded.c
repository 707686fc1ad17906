// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "folded.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The function alone, so that its lines are one box; what the format takes for its own becomes another character. */
static void write_frame(FILE *out, const char *frame)
{
	const char *place = strrchr(frame, ' ');
	size_t length = place && place[1] == '(' ? (size_t)(place - frame) : strlen(frame);

	for (size_t i = 0; i < length; i++) {
		unsigned char c = frame[i];

		putc(c == ';' ? ':' : c < ' ' || c == 0x7f ? '?' : c, out);
	}
}

void folded__write_stack(FILE *out, char *const *frames, size_t nr_frames, const uint64_t state_ns[TP_NR_STATES])
{
	for (int state = 0; state < TP_NR_STATES; state++) {
		uint64_t us = (state_ns[state] + 500) / 1000;

		if (!us)
			continue;
		fputs(tp_part_names[state], out);
		for (size_t i = nr_frames; i > 0; i--) {
			putc(';', out);
			write_frame(out, frames[i - 1]);
		}
		if (!nr_frames)
			fputs(";[stacks that were not kept]", out);
		fprintf(out, " %" PRIu64 "\n", us);
	}
}

static void write_one(void *context, char *const *frames, size_t nr_frames, const uint64_t *state_ns)
{
	folded__write_stack(context, frames, nr_frames, state_ns);
}

/* A file beside @path under a name of its own. Its descriptor, or negative errno. */
static int open_partial(const char *path, char partial[PATH_MAX])
{
	mode_t mask = umask(0);
	int fd;

	umask(mask);
	if (snprintf(partial, PATH_MAX, "%s.XXXXXX", path) >= PATH_MAX)
		return -ENAMETOOLONG;
	fd = mkstemp(partial);
	if (fd < 0)
		return -errno;
	fchmod(fd, 0666 & ~mask);
	return fd;
}

int folded__check(const char *path)
{
	char partial[PATH_MAX];
	struct stat st;
	int fd;

	if (!stat(path, &st) && S_ISDIR(st.st_mode))
		return -EISDIR;
	fd = open_partial(path, partial);
	if (fd < 0)
		return fd;
	close(fd);
	unlink(partial);
	return 0;
}

int folded__write(struct stacks *stacks, const char *path)
{
	char partial[PATH_MAX];
	int fd = open_partial(path, partial), err = 0;
	FILE *out;

	if (fd < 0)
		return fd;
	out = fdopen(fd, "w");
	if (!out) {
		err = -errno;
		close(fd);
	} else {
		stacks__each(stacks, write_one, out);
		if (ferror(out))
			err = -EIO;
		if (fclose(out) && !err)
			err = -errno;
	}
	if (!err && rename(partial, path))
		err = -errno;
	if (err)
		unlink(partial);
	return err;
}
