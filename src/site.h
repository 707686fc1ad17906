/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* Which frame of a stack tells a reader where a lock was waited for, and how a frame is written. */
#ifndef THREADPROF_SITE_H
#define THREADPROF_SITE_H

#include <stdbool.h>
#include <stddef.h>

#include "symbols.h"

/*
 * Is the frame a part of how a language or library waits (libc, the C++ and Rust run times, an interpreter's or
 * virtual machine's lock), which every wait goes through?
 */
bool site__is_internal(const struct symbols_frame *frame);

/*
 * By its file name: is it a library that most programs have, or the interpreter or virtual machine of a language, whose
 * functions say enough without their lines?
 */
bool site__is_runtime_module(const char *module);

/* "function (file.c:112)", "function (libfoo.so+0x1234)", "libfoo.so+0x1234"; what is too long is cut. */
void site__format(const struct symbols_frame *frame, char *buf, size_t size);

#endif /* THREADPROF_SITE_H */
