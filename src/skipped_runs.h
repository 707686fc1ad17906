/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* Runs of a program that the kernel left out, because the program was at work on that CPU already. */
#ifndef THREADPROF_SKIPPED_RUNS_H
#define THREADPROF_SKIPPED_RUNS_H

#include <stdint.h>

struct bpf_object;

/*
 * Of all programs of @object, for tasks of any process, since they were loaded; TP_UNKNOWN where the kernel does not
 * tell (before 5.12).
 */
uint64_t skipped_runs__of(struct bpf_object *object);

/* What came from @before to @now; TP_UNKNOWN if one of them is. */
uint64_t skipped_runs__since(uint64_t before, uint64_t now);

/* Of two objects; TP_UNKNOWN if it is so of one. */
uint64_t skipped_runs__add(uint64_t one, uint64_t other);

#endif /* THREADPROF_SKIPPED_RUNS_H */
