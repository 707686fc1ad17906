/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* What a loaded BPF object takes. */
#ifndef THREADPROF_OBJECT_COST_H
#define THREADPROF_OBJECT_COST_H

#include <stdint.h>

struct bpf_object;

typedef void (*program_fn)(void *context, int fd);

/* Each program that runs in the tasks of others; iterators run in ours, and are in our own CPU time. */
void object__each_program(struct bpf_object *object, program_fn fn, void *context);

/* Memory of all maps as the kernel accounts it. */
uint64_t object__map_bytes(struct bpf_object *object);

#endif /* THREADPROF_OBJECT_COST_H */
