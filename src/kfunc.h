/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * Calls of kernel functions (kfuncs) that not every kernel has. libbpf's own way, a weak symbol, does not do: where
 * the kernel lacks the function libbpf (before 1.4) looks for it in all modules, which takes CAP_SYS_ADMIN, and
 * without that the whole object fails to load; and it asks for the kernel's BTF before it loads anything.
 */
#ifndef THREADPROF_KFUNC_H
#define THREADPROF_KFUNC_H

#include "kfunc_calls.h"

#include <stddef.h>

struct btf;

/* The type id of the function of each call in the kernel's @btf; 0: it has none. */
void kfunc__find(const struct btf *btf, int ids[TP_NR_KFUNCS]);

/*
 * In an object file that lies in memory, before libbpf opens it: puts the functions @ids in the place of the numbers.
 * Later it would be too late for functions of the programs that are no programs themselves, which libbpf puts in only
 * when it loads them. What has no id stays: code that the verifier must find dead. Negative errno.
 */
int kfunc__resolve(void *image, size_t size, const int ids[TP_NR_KFUNCS]);

#endif /* THREADPROF_KFUNC_H */
