// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "proc_walk.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>

#include "units.h"

static int each_number(const char *path, proc_walk_fn fn, void *context)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	uint64_t number;
	int result = 0;

	if (!dir)
		return -errno;
	errno = 0;
	while (!result && (entry = readdir(dir))) {
		if (!units__parse_u64(entry->d_name, 1, UINT32_MAX, &number))
			result = fn(context, number);
		errno = 0;
	}
	if (!result && errno && errno != ENOENT && errno != ESRCH)
		result = -errno;
	closedir(dir);
	return result;
}

int proc_walk__processes(proc_walk_fn fn, void *context)
{
	return each_number("/proc", fn, context);
}

int proc_walk__threads(uint32_t tgid, proc_walk_fn fn, void *context)
{
	char path[64];
	int result;

	snprintf(path, sizeof(path), "/proc/%u/task", tgid);
	result = each_number(path, fn, context);
	return result == -ENOENT || result == -ESRCH ? 0 : result;
}
