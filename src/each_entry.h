/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* A walk over a BPF hash map. */
#ifndef THREADPROF_EACH_ENTRY_H
#define THREADPROF_EACH_ENTRY_H

#include <stdbool.h>

struct bpf_map;

typedef void (*entry_fn)(void *context, const void *key, const void *value);

/*
 * Calls @fn for each entry; it may delete the entry it gets. @alone: no other thread takes our place while the
 * kernel reads the map, see priority.h; @fn itself is called as usual. Negative errno.
 */
int each_entry(const struct bpf_map *map, bool alone, entry_fn fn, void *context);

#endif /* THREADPROF_EACH_ENTRY_H */
