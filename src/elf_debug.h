/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* Separate debug files: by build-id, and by the name that the stripped file holds. */
#ifndef THREADPROF_ELF_DEBUG_H
#define THREADPROF_ELF_DEBUG_H

#include <stddef.h>
#include <stdint.h>

#include <libelf.h>

#define ELF_BUILD_ID_MAX 64

/* What an ELF file tells of its debug file. */
struct elf_debug {
	unsigned char build_id[ELF_BUILD_ID_MAX];
	size_t build_id_len; /* 0: it has none */
	char link[256]; /* name of the debug file; "" if the file doesn't say */
	uint32_t crc; /* of the file with that name */
};

/* Where a process has the file: its debug file is looked for there too. */
struct elf_place {
	int root_fd; /* the process's root directory; -1: ours */
	const char *path;
};

void elf_debug__read(Elf *elf, struct elf_debug *debug);

/* Descriptor of the debug file that fits what the file @of, which is at @place, tells; or -1. */
int elf_debug__open(const struct elf_debug *debug, int of, const struct elf_place *place);

/* Descriptor of the debug file of this build below @root_fd (-1: our own root), or a negative errno. */
int elf_debug__open_build_id(int root_fd, const unsigned char *id, size_t len);

#endif /* THREADPROF_ELF_DEBUG_H */
