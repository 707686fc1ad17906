// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "each_entry.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "priority.h"

/* Many at a time: a system call for each would cost more than the rest. */
#define BATCH 1024

static int look_up(const struct bpf_map *map, bool alone, void *from, void *to, void *keys, void *values,
		   __u32 *count)
{
	int before = alone ? priority__raise() : 0;
	int err = bpf_map_lookup_batch(bpf_map__fd(map), from, to, keys, values, count, NULL);

	if (alone)
		priority__restore(before);
	return err;
}

int each_entry(const struct bpf_map *map, bool alone, entry_fn fn, void *context)
{
	size_t key_size = bpf_map__key_size(map), value_size = bpf_map__value_size(map);
	char *keys = malloc(BATCH * key_size), *values = malloc(BATCH * value_size);
	uint64_t token[16] = { 0 }; /* at least as large as any key */
	bool first = true;
	int err = keys && values ? 0 : -ENOMEM;

	while (!err) {
		__u32 count = BATCH;

		err = look_up(map, alone, first ? NULL : token, token, keys, values, &count);
		if (err && err != -ENOENT)
			break;
		for (__u32 i = 0; i < count; i++)
			fn(context, keys + i * key_size, values + i * value_size);
		first = false;
	}
	free(keys);
	free(values);
	return err == -ENOENT ? 0 : err;
}
