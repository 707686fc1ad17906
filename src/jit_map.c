// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "jit_map.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_BYTES (64 << 20)
#define MAX_FUNCTIONS (1 << 20)
/* Functions looked at below an address for one that reaches up to it. */
#define MAX_STEPS 64

struct function {
	uint64_t start;
	uint64_t size;
	uint32_t name; /* offset in jit_map.text */
	uint32_t order; /* in the file */
};

struct jit_map {
	char *text; /* the file's, lines and names ended by NUL */
	size_t len;
	size_t done; /* bytes of text that were parsed */
	struct function *list;
	size_t nr;
	size_t capacity;
	size_t nr_sorted;
	dev_t dev;
	ino_t ino;
};

struct jit_map *jit_map__new(void)
{
	return calloc(1, sizeof(struct jit_map));
}

void jit_map__free(struct jit_map *jit)
{
	if (!jit)
		return;
	free(jit->text);
	free(jit->list);
	free(jit);
}

static int add(struct jit_map *jit, const struct function *function)
{
	if (jit->nr == MAX_FUNCTIONS)
		return 0;
	if (jit->nr == jit->capacity) {
		size_t capacity = jit->capacity ? 2 * jit->capacity : 256;
		struct function *grown = reallocarray(jit->list, capacity, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		jit->list = grown;
		jit->capacity = capacity;
	}
	jit->list[jit->nr++] = *function;
	return 0;
}

static int parse_line(struct jit_map *jit, char *line)
{
	struct function function = { .order = jit->nr };
	char *at;

	if (strspn(line, "0123456789abcdefABCDEFxX") == 0)
		return 0;
	errno = 0;
	function.start = strtoull(line, &at, 16);
	if (errno || *at != ' ')
		return 0;
	while (*at == ' ')
		at++;
	if (*at == '-')
		return 0;
	function.size = strtoull(at, &at, 16);
	if (errno || *at != ' ' || !at[1] || !function.size ||
	    function.size > UINT64_MAX - function.start)
		return 0;
	function.name = at + 1 - jit->text;
	return add(jit, &function);
}

/* The last line may still be being written: it waits for its end. */
static int parse(struct jit_map *jit)
{
	while (jit->done < jit->len) {
		char *line = jit->text + jit->done;
		char *newline = memchr(line, '\n', jit->len - jit->done);

		if (!newline)
			break;
		*newline = '\0';
		if (parse_line(jit, line))
			return -ENOMEM;
		jit->done = newline + 1 - jit->text;
	}
	return 0;
}

static int read_to(struct jit_map *jit, int fd, size_t size)
{
	char *grown;

	if (size <= jit->len)
		return 0;
	grown = realloc(jit->text, size);
	if (!grown)
		return -ENOMEM;
	jit->text = grown;
	while (jit->len < size) {
		ssize_t got = pread(fd, jit->text + jit->len, size - jit->len, (off_t)jit->len);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -EIO;
		if (!got)
			break;
		jit->len += got;
	}
	return 0;
}

int jit_map__read(struct jit_map *jit, int fd, uid_t uid)
{
	struct stat st;
	int err;

	if (fstat(fd, &st))
		return -EIO;
	if (!S_ISREG(st.st_mode) || st.st_uid != uid)
		return -EPERM;
	if (st.st_dev != jit->dev || st.st_ino != jit->ino || (uint64_t)st.st_size < jit->len) {
		jit->dev = st.st_dev;
		jit->ino = st.st_ino;
		jit->len = jit->done = 0;
		jit->nr = jit->nr_sorted = 0;
	}
	err = read_to(jit, fd, st.st_size < MAX_BYTES ? (size_t)st.st_size : MAX_BYTES);
	return err ? err : parse(jit);
}

static int by_start(const void *a, const void *b)
{
	const struct function *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

bool jit_map__name(struct jit_map *jit, uint64_t pc, char *buf, size_t size)
{
	const struct function *best = NULL;
	size_t low = 0, high = jit->nr;

	if (jit->nr_sorted != jit->nr)
		qsort(jit->list, jit->nr, sizeof(*jit->list), by_start);
	jit->nr_sorted = jit->nr;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (jit->list[middle].start <= pc)
			low = middle + 1;
		else
			high = middle;
	}
	for (size_t i = low; i > 0 && low - i < MAX_STEPS; i--) {
		const struct function *function = &jit->list[i - 1];

		if (pc - function->start < function->size &&
		    (!best || function->order > best->order))
			best = function;
	}
	if (best)
		snprintf(buf, size, "%s", jit->text + best->name);
	return best != NULL;
}
