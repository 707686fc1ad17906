/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* Rust's newer names ("v0", Rust RFC 2603) as people write them. */
#ifndef THREADPROF_DEMANGLE_RUST_H
#define THREADPROF_DEMANGLE_RUST_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Writes @name to @out as a path without hashes and without generic arguments. What is too long for @size bytes, the
 * NUL included, is cut. False, and @out is not of use: it is no such name.
 */
bool demangle_rust(char *out, size_t size, const char *name);

#endif /* THREADPROF_DEMANGLE_RUST_H */
