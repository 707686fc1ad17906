/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* The files that are mapped in a process: /proc/PID/maps without what is anonymous. */
#ifndef THREADPROF_MAPS_H
#define THREADPROF_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* More mappings than this are not looked at: the kernel's own limit is 65,530 unless raised. */
#define MAPS_MAX 262144

struct map {
	uint64_t start;
	uint64_t end;
	uint64_t offset; /* in the file */
	uint32_t file; /* index in maps.files */
	bool write;
	bool exec;
};

struct map_file {
	uint64_t inode;
	uint32_t dev_major;
	uint32_t dev_minor;
	bool deleted; /* its path is now nothing, or another file's */
	char *path; /* "[vdso]" for that one, which has no file */
	void *elf; /* the user's; NULL at first */
	bool tried; /* the user's; false at first */
};

struct maps {
	struct map *list; /* sorted by address */
	size_t nr;
	struct map_file *files;
	size_t nr_files;
};

/* Fills @maps from the text of /proc/PID/maps; lines that make no sense are left out. -ENOMEM, or
 * 0. */
int maps__parse(struct maps *maps, const char *text, size_t len);

void maps__clear(struct maps *maps);

/* The mapping that @addr is in, or else the nearest below it; NULL if there is none. */
const struct map *maps__below(const struct maps *maps, uint64_t addr);

/* The last part of a path. */
const char *maps__basename(const char *path);

#endif /* THREADPROF_MAPS_H */
