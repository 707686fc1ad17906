/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* How much memory the stacks of threads hold. */
#ifndef THREADPROF_STACK_MEMORY_H
#define THREADPROF_STACK_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/*
 * Sums up the mappings that the stack pointers @sp lie in: their size, and how much of it is in memory or
 * swap. Reads /proc/PID/maps and, of these mappings only, /proc/PID/pagemap: that holds up nobody. Returns
 * how many of the mappings it found, or negative errno.
 */
int stacks__measure(uint32_t tgid, const uint64_t *sp, size_t nr, uint64_t *reserved_bytes, uint64_t *used_bytes);

#endif /* THREADPROF_STACK_MEMORY_H */
