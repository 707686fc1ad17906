/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* Programs that userspace runs: raw tracepoints that are attached to none. */
#ifndef THREADPROF_TEST_RUN_H
#define THREADPROF_TEST_RUN_H

#include <stdint.h>

struct bpf_program;

/* Runs @program once, here and now, with two arguments. Negative errno. */
int test_run(const struct bpf_program *program, uint64_t first, uint64_t second);

/*
 * @err is that of the first test_run(), @tgid and @comm what it has found of the calling process: says in a sentence
 * what is wrong, if anything is. A file of types that is another kernel's shows here. Negative errno.
 */
int test_run__check_self(int err, uint32_t tgid, const char *comm);

#endif /* THREADPROF_TEST_RUN_H */
