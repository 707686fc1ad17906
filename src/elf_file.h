/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * An ELF file that is mapped in a process, what we know about it, and its separate debug file.
 * Nobody vouches for its content, and it may change while it is read: it is read, never mapped, and
 * every size in it has a bound. Its tables are loaded when first asked for. Addresses are those in
 * the file.
 */
#ifndef THREADPROF_ELF_FILE_H
#define THREADPROF_ELF_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <gelf.h>

#include "elf_debug.h"
#include "maps.h"
#include "source_lines.h"
#include "symbol_table.h"

/* Files known at a time; those beyond have no symbols. */
#define ELF_FILES_MAX 512
#define ELF_LOADS_MAX 64

struct elf_load {
	uint64_t offset;
	uint64_t addr;
	uint64_t file_size;
	uint64_t size;
	bool write;
	bool exec;
};

enum elf_kind {
	ELF_FUNCTIONS,
	ELF_DATA,
	ELF_NR_KINDS,
};

struct debug_image;

struct elf_file {
	struct elf_file *next;
	unsigned int users;
	int fd;
	int debug_fd; /* -1: none, or not looked for yet */
	bool debug_tried;
	bool lines_tried;
	bool lines_used; /* since elf_file__drop_unused_lines() */
	bool frames_tried;
	bool table_tried[ELF_NR_KINDS];
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec changed;
	struct elf_load loads[ELF_LOADS_MAX];
	size_t nr_loads;
	struct elf_debug debug;
	struct symbol_table tables[ELF_NR_KINDS];
	struct source_lines *lines;
	struct debug_image *frames; /* how to unwind stacks; NULL: not asked for yet, or not in memory of ours */
};

/*
 * The ELF file that @fd, which is taken over, reads. Files are shared by all who ask for the same
 * one. -EINVAL if it is no ELF file, -EMFILE above ELF_FILES_MAX, -ENOMEM, or 0. It is known until it
 * is put as often as it was got or held; any thread may do that. All that loads tables belongs to one.
 */
int elf_file__get(int fd, struct elf_file **out);
void elf_file__put(struct elf_file *file);
void elf_file__hold(struct elf_file *file);

/* What was added to the file's addresses where it is mapped as in @map; false: no part of it fits.
 */
bool elf_file__bias(const struct elf_file *file, const struct map *map, uint64_t *bias);

/* Whether @addr is in what the file takes in memory, .bss included. */
bool elf_file__contains(const struct elf_file *file, uint64_t addr);

/*
 * The symbol that @addr lies in: its name to @name (cut to @size bytes), its distance to @offset;
 * false: there is none.
 */
bool elf_file__symbol(struct elf_file *file, const struct elf_place *place, enum elf_kind kind,
		      uint64_t addr, char *name, size_t size, uint64_t *offset);

/* The address and size of the data symbol @name; debug files are not looked at. */
bool elf_file__find(const struct elf_file *file, const char *name, uint64_t *addr, uint64_t *size);

/* The file's line table, or NULL: kept by the file. */
struct source_lines *elf_file__lines(struct elf_file *file, const struct elf_place *place);

/*
 * Forgets the line tables, which can take many megabytes, of files that were not asked for theirs since the last
 * call; they are read again when needed.
 */
void elf_file__drop_unused_lines(void);

/*
 * What libdw needs to unwind stacks through this file: to be given back by elf_end() while the file is held.
 * NULL where it cannot be read.
 */
Elf *elf_file__frames(struct elf_file *file);

#endif /* THREADPROF_ELF_FILE_H */
