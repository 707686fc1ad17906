/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * Reads a ring buffer of the kernel's, every page of which is mapped once: libbpf's reader maps them twice, so
 * that no record is in two parts, and each mapping counts as memory of ours.
 */
#ifndef THREADPROF_RING_H
#define THREADPROF_RING_H

#include <stddef.h>

struct ring;
struct bpf_map;

/* Returns 0, or negative errno to stop after this record. @data is valid during the call only. */
typedef int (*ring_fn)(void *context, void *data, size_t size);

/* Reads @map, which must outlive it. Negative errno. */
int ring__new(const struct bpf_map *map, ring_fn fn, void *context, struct ring **out);

/* Delivers what is there. Number of records, or what the function returned to stop. */
int ring__drain(struct ring *ring);

/* NULL is fine. */
void ring__free(struct ring *ring);

#endif /* THREADPROF_RING_H */
