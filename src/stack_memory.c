// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "stack_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A larger mapping is a heap that somebody keeps stacks in. */
#define MAX_STACK_BYTES (256ULL << 20)
/* Documentation/admin-guide/mm/pagemap.rst */
#define PAGE_PRESENT (1ULL << 63)
#define PAGE_SWAPPED (1ULL << 62)

static bool holds_any(uint64_t start, uint64_t end, const uint64_t *sp, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		if (start <= sp[i] && sp[i] < end)
			return true;
	}
	return false;
}

static uint64_t used_pages(int pagemap, uint64_t start, uint64_t end, uint64_t page)
{
	uint64_t entries[512], used = 0;
	off_t at = start / page * sizeof(entries[0]), stop = end / page * sizeof(entries[0]);

	while (at < stop) {
		size_t wanted = (size_t)(stop - at) < sizeof(entries) ? (size_t)(stop - at) : sizeof(entries);
		ssize_t got = pread(pagemap, entries, wanted, at);

		if (got <= 0)
			break;
		for (size_t i = 0; i < got / sizeof(entries[0]); i++)
			used += (entries[i] & (PAGE_PRESENT | PAGE_SWAPPED)) != 0;
		at += got;
	}
	return used;
}

int stacks__measure(uint32_t tgid, const uint64_t *sp, size_t nr, uint64_t *reserved_bytes, uint64_t *used_bytes)
{
	uint64_t page = sysconf(_SC_PAGESIZE), start, end;
	char path[64], *line = NULL;
	size_t size = 0;
	int pagemap, found = 0;
	FILE *maps;

	*reserved_bytes = *used_bytes = 0;
	snprintf(path, sizeof(path), "/proc/%u/pagemap", tgid);
	pagemap = open(path, O_RDONLY | O_CLOEXEC);
	if (pagemap < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/%u/maps", tgid);
	maps = fopen(path, "re");
	if (!maps) {
		close(pagemap);
		return -errno;
	}
	while (getline(&line, &size, maps) > 0) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64, &start, &end) != 2 || end - start > MAX_STACK_BYTES ||
		    !holds_any(start, end, sp, nr))
			continue;
		found++;
		*reserved_bytes += end - start;
		*used_bytes += page * used_pages(pagemap, start, end, page);
	}
	free(line);
	fclose(maps);
	close(pagemap);
	return found;
}
