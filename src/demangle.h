/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* C++ and Rust names as people write them. */
#ifndef THREADPROF_DEMANGLE_H
#define THREADPROF_DEMANGLE_H

#include <stddef.h>

/*
 * Writes @name to @out, demangled if it is mangled, and as it is otherwise. What is too long for @size bytes, the NUL
 * included, is cut.
 */
void demangle(char *out, size_t size, const char *name);

#endif /* THREADPROF_DEMANGLE_H */
