// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "each_entry.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "priority.h"

/* Many at a time: a system call for each would cost more than the rest. */
#define BATCH 1024

struct batch {
	int fd;
	bool alone;
	size_t key_size;
	size_t value_size;
	char *keys;
	char *values;
	__u32 count;
};

static int batch__look_up(struct batch *batch, void *from, void *to)
{
	int before = batch->alone ? priority__raise() : 0, err;

	batch->count = BATCH;
	err = bpf_map_lookup_batch(batch->fd, from, to, batch->keys, batch->values, &batch->count, NULL);
	if (batch->alone)
		priority__restore(before);
	return err;
}

/* The kernel stops at one that is gone already. */
static void batch__delete(const struct batch *batch, __u32 nr_keys)
{
	int before = batch->alone && nr_keys ? priority__raise() : 0;

	for (__u32 at = 0; at < nr_keys; at++) {
		__u32 count = nr_keys - at;

		if (!bpf_map_delete_batch(batch->fd, batch->keys + at * batch->key_size, &count, NULL))
			break;
		at += count;
	}
	if (batch->alone && nr_keys)
		priority__restore(before);
}

/* The keys of those to be deleted move to the front. */
static void batch__tell(const struct batch *batch, entry_fn fn, void *context)
{
	__u32 nr_keys = 0;

	for (__u32 i = 0; i < batch->count; i++) {
		const char *key = batch->keys + i * batch->key_size;

		if (fn(context, key, batch->values + i * batch->value_size))
			memmove(batch->keys + nr_keys++ * batch->key_size, key, batch->key_size);
	}
	batch__delete(batch, nr_keys);
}

int each_entry(const struct bpf_map *map, bool alone, entry_fn fn, void *context)
{
	struct batch batch = {
		.fd = bpf_map__fd(map),
		.alone = alone,
		.key_size = bpf_map__key_size(map),
		.value_size = bpf_map__value_size(map),
	};
	uint64_t token[16] = { 0 }; /* at least as large as any key */
	bool first = true;
	int err = 0;

	batch.keys = malloc(BATCH * batch.key_size);
	batch.values = malloc(BATCH * batch.value_size);
	if (!batch.keys || !batch.values)
		err = -ENOMEM;
	while (!err) {
		err = batch__look_up(&batch, first ? NULL : token, token);
		if (err && err != -ENOENT)
			break;
		batch__tell(&batch, fn, context);
		first = false;
	}
	free(batch.keys);
	free(batch.values);
	return err == -ENOENT ? 0 : err;
}
