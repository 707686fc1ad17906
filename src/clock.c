// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "clock.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int64_t clock__offset_ns(const char *timens_offsets)
{
	const char *line = strstr(timens_offsets, "monotonic");
	int64_t seconds, ns;

	if (!line || sscanf(line, "monotonic %" SCNd64 " %" SCNd64, &seconds, &ns) != 2)
		return 0;
	return seconds * (int64_t)NS_PER_SEC + ns;
}

/* The file tells of the namespace that children are born in, which can be another one than ours. */
static bool is_of_children_only(void)
{
	struct stat own, children;

	return !stat("/proc/self/ns/time", &own) && !stat("/proc/self/ns/time_for_children", &children) &&
	       own.st_ino != children.st_ino;
}

static int64_t read_offset_ns(void)
{
	char text[256];
	size_t length;
	FILE *file = is_of_children_only() ? NULL : fopen("/proc/self/timens_offsets", "re");

	if (!file)
		return 0;
	length = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[length] = '\0';
	return clock__offset_ns(text);
}

uint64_t clock__now_ns(void)
{
	static int64_t offset_ns; /* fixed once there is a process in the namespace */
	static bool is_known;

	if (!is_known) {
		offset_ns = read_offset_ns();
		is_known = true;
	}
	return clock__ns(CLOCK_MONOTONIC) - offset_ns;
}
