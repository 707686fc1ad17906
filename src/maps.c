// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "maps.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DELETED " (deleted)"

const char *maps__basename(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* A number up to @after, which is skipped too; false where there is something else. */
static bool number(const char **at, const char *end, unsigned int base, char after, uint64_t *out)
{
	const char *c = *at;
	uint64_t value = 0;

	for (; c < end && *c != after; c++) {
		unsigned int digit = *c >= '0' && *c <= '9'   ? *c - '0'
				     : *c >= 'a' && *c <= 'f' ? *c - 'a' + 10
							      : 16;

		if (digit >= base || value > (UINT64_MAX - digit) / base)
			return false;
		value = value * base + digit;
	}
	if (c == end || c == *at)
		return false;
	*at = c + 1;
	*out = value;
	return true;
}

/* The fields of one line; @at is left at the path. */
static bool fields(const char **at, const char *end, struct map *map, struct map_file *file)
{
	uint64_t major, minor;

	if (!number(at, end, 16, '-', &map->start) || !number(at, end, 16, ' ', &map->end) ||
	    map->end <= map->start || end - *at < 5)
		return false;
	map->write = (*at)[1] == 'w';
	map->exec = (*at)[2] == 'x';
	*at += 5;
	if (!number(at, end, 16, ' ', &map->offset) || !number(at, end, 16, ':', &major) ||
	    !number(at, end, 16, ' ', &minor) || !number(at, end, 10, ' ', &file->inode))
		return false;
	file->dev_major = (uint32_t)major;
	file->dev_minor = (uint32_t)minor;
	while (*at < end && **at == ' ')
		(*at)++;
	return true;
}

static bool same_file(const struct map_file *file, const struct map_file *other, const char *path,
		      size_t len)
{
	return file->inode == other->inode && file->dev_major == other->dev_major &&
	       file->dev_minor == other->dev_minor && file->deleted == other->deleted &&
	       strlen(file->path) == len && !memcmp(file->path, path, len);
}

/* Mappings of a file follow one another, so only the last one needs a look. -ENOMEM, or 0. */
static int add_file(struct maps *maps, struct map_file file, const char *path, size_t len)
{
	struct map_file *grown;

	if (len >= sizeof(DELETED) &&
	    !memcmp(path + len + 1 - sizeof(DELETED), DELETED, strlen(DELETED))) {
		file.deleted = true;
		len -= strlen(DELETED);
	}
	if (maps->nr_files && same_file(&maps->files[maps->nr_files - 1], &file, path, len))
		return 0;
	if (!(maps->nr_files & (maps->nr_files - 1))) {
		grown = reallocarray(maps->files, maps->nr_files ? 2 * maps->nr_files : 1,
				     sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		maps->files = grown;
	}
	file.path = strndup(path, len);
	if (!file.path)
		return -ENOMEM;
	maps->files[maps->nr_files++] = file;
	return 0;
}

static int add_line(struct maps *maps, const char *line, const char *end)
{
	struct map_file file = { 0 };
	struct map map = { 0 };
	struct map *grown;

	if (!fields(&line, end, &map, &file) || line == end)
		return 0;
	if (!(*line == '/' && file.inode) && !(end - line == 6 && !memcmp(line, "[vdso]", 6)))
		return 0;
	/* Everything after relies on the order. */
	if (maps->nr == MAPS_MAX || (maps->nr && map.start < maps->list[maps->nr - 1].end))
		return 0;
	if (!(maps->nr & (maps->nr - 1))) {
		grown = reallocarray(maps->list, maps->nr ? 2 * maps->nr : 1, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		maps->list = grown;
	}
	if (add_file(maps, file, line, end - line))
		return -ENOMEM;
	map.file = maps->nr_files - 1;
	maps->list[maps->nr++] = map;
	return 0;
}

int maps__parse(struct maps *maps, const char *text, size_t len)
{
	const char *end = text + len;

	memset(maps, 0, sizeof(*maps));
	while (text < end) {
		const char *newline = memchr(text, '\n', end - text);

		if (!newline)
			newline = end;
		if (add_line(maps, text, newline)) {
			maps__clear(maps);
			return -ENOMEM;
		}
		text = newline + 1;
	}
	return 0;
}

void maps__clear(struct maps *maps)
{
	for (size_t i = 0; i < maps->nr_files; i++)
		free(maps->files[i].path);
	free(maps->files);
	free(maps->list);
	memset(maps, 0, sizeof(*maps));
}

const struct map *maps__below(const struct maps *maps, uint64_t addr)
{
	size_t low = 0, high = maps->nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (maps->list[middle].start <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? &maps->list[low - 1] : NULL;
}
