/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* Source lines and inlined functions of an address, from the DWARF data of an ELF file. */
#ifndef THREADPROF_SOURCE_LINES_H
#define THREADPROF_SOURCE_LINES_H

#include <stddef.h>
#include <stdint.h>

struct symbols_frame;
struct source_lines;

/*
 * The DWARF data of the file at @fd. -ENODATA if there is none, or it needs a file
 * that isn't here; -EFBIG, -ENOMEM, or 0.
 */
int source_lines__open(int fd, struct source_lines **out);
void source_lines__free(struct source_lines *lines);

/*
 * Fills function (demangled), file, line and inlined of the frames at @addr, an address as in the
 * file, from the innermost inlined function outwards. How many, 0 where nothing is known.
 */
size_t source_lines__at(struct source_lines *lines, uint64_t addr, struct symbols_frame *frames,
			size_t max);

#endif /* THREADPROF_SOURCE_LINES_H */
