/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* What kind of program an executable is, as far as it matters to what can be measured of it. */
#ifndef THREADPROF_IMAGE_H
#define THREADPROF_IMAGE_H

#include <stdbool.h>

struct image {
	bool is_32bit;
	bool is_go;
	bool is_static;	  /* it loads no libraries */
	bool has_symbols; /* more than those that the dynamic linker needs */
};

/* Looks into the ELF file that @fd reads. -EINVAL if it is none. */
int image__read(int fd, struct image *image);

#endif /* THREADPROF_IMAGE_H */
