/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * Sections of an ELF file in memory of our own, for libdw. The file may change or shrink while it is
 * read (a mapping of it would be fatal then), and a string at the end of a section may lack its end,
 * which libdw does not look for: behind the copy there is always a NUL.
 */
#ifndef THREADPROF_DEBUG_IMAGE_H
#define THREADPROF_DEBUG_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <elfutils/libdw.h>
#include <libelf.h>

/* Debug data of all open files, counted as not compressed; what would take more is not read. */
#define DEBUG_IMAGE_MAX (384u << 20)

struct debug_image {
	char *base; /* the file; only what libdw needs was read, the rest takes no memory */
	size_t size;
	uint64_t used; /* of DEBUG_IMAGE_MAX */
	bool is_for_unwind;
	Elf *elf;
	Dwarf *dwarf; /* NULL: not for source lines */
};

/*
 * What tells source lines and inlined functions. -ENODATA if the file has no debug data that can be used, -EFBIG,
 * -ENOMEM, or 0. One thread only.
 */
int debug_image__open(struct debug_image *image, int fd);

/* What tells how to unwind stacks; the same errors. */
int debug_image__open_unwind(struct debug_image *image, int fd);

/* Also for one that was not opened, but is all 0. */
void debug_image__close(struct debug_image *image);

#endif /* THREADPROF_DEBUG_IMAGE_H */
