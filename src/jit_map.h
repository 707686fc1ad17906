/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * Names of code that was compiled at run time, from the file that the runtime writes for profilers:
 * one line "START SIZE NAME" per function, appended as it compiles. Anyone could have written the
 * file.
 */
#ifndef THREADPROF_JIT_MAP_H
#define THREADPROF_JIT_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct jit_map;

struct jit_map *jit_map__new(void); /* NULL when there is no memory */
void jit_map__free(struct jit_map *jit);

/*
 * Reads what was added to the file since the last call. It is not read unless it belongs to @uid.
 * Files beyond 64 MiB are read up to there. -EPERM for another's file, -ENOMEM, -EIO, or 0.
 */
int jit_map__read(struct jit_map *jit, int fd, uid_t uid);

/* The function that @pc lies in, the one written last where several claim it; false: none. */
bool jit_map__name(struct jit_map *jit, uint64_t pc, char *buf, size_t size);

#endif /* THREADPROF_JIT_MAP_H */
