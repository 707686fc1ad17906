/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * The description of the kernel's types (BTF): the kernel's own, or a file's where it has none or is not to be
 * asked. What the kernel itself looks up in its BTF can't be used with a file's, see probes.h.
 */
#ifndef THREADPROF_KERNEL_BTF_H
#define THREADPROF_KERNEL_BTF_H

#include <stdbool.h>
#include <stddef.h>

struct btf;

/* Before all else. @file: by --btf, or NULL; @without: the kernel is to be taken as having none. */
void kernel_btf__choose(const char *file, bool without);

/* Does the kernel that runs here describe its types? */
bool kernel_btf__has_own(void);

/* Whose types are used? NULL: the kernel's own. */
const char *kernel_btf__file(void);

/* Were they given by --btf? */
bool kernel_btf__is_given(void);

/* False: it describes another machine's kernel or none; @why, cut to @size bytes, says what is wrong with it. */
bool kernel_btf__is_right(const struct btf *btf, char *why, size_t size);

/* The types, to be freed with btf__free(). Negative errno, and @why. */
int kernel_btf__load(struct btf **btf, char *why, size_t size);

/* What to do about a file that is not right. A static string. */
const char *kernel_btf__remedy(void);

#endif /* THREADPROF_KERNEL_BTF_H */
