/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* A walk over a BPF hash map. */
#ifndef THREADPROF_EACH_ENTRY_H
#define THREADPROF_EACH_ENTRY_H

#include <stdbool.h>

struct bpf_map;

/* True: the entry is to be deleted. */
typedef bool (*entry_fn)(void *context, const void *key, const void *value);

/*
 * Calls @fn for each entry. @alone: no other thread takes our place while the kernel reads the map or deletes from it,
 * see priority.h; @fn itself is called as usual. Negative errno; an entry that cannot be deleted is none.
 */
int each_entry(const struct bpf_map *map, bool alone, entry_fn fn, void *context);

#endif /* THREADPROF_EACH_ENTRY_H */
