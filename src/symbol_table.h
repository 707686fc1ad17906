/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* The functions, or the data objects, of an ELF file, sorted by address. Names stay in the file. */
#ifndef THREADPROF_SYMBOL_TABLE_H
#define THREADPROF_SYMBOL_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Symbols read of one file; the rest is left out. */
#define SYMBOL_TABLE_MAX (1 << 21)

/* Large programs have a hundred thousand. */
struct symbol {
	uint64_t start;
	uint32_t size; /* UINT32_MAX: that or more */
	uint32_t name : 31; /* offset in the file's string table */
	uint32_t is_local : 1;
};

struct symbol_table {
	struct symbol *list;
	size_t nr;
	uint64_t strings; /* offset of the string table in the file */
	uint64_t strings_size;
	int fd; /* of that file, not ours */
};

/*
 * Reads .symtab of the file at @fd, or .dynsym where @dynamic is true: functions, or else data. @fd
 * must stay open while the table is used. -ENODATA without such a section, -EINVAL, -ENOMEM, or 0.
 */
int symbol_table__load(struct symbol_table *table, int fd, bool dynamic, bool functions);
void symbol_table__clear(struct symbol_table *table);

/* The innermost symbol that @addr lies in, or NULL. */
const struct symbol *symbol_table__at(const struct symbol_table *table, uint64_t addr);

/* Reads a symbol's name; false if there is none to read. */
bool symbol_table__name(const struct symbol_table *table, const struct symbol *symbol, char *buf,
			size_t size);

/* Looks for a data symbol by name without keeping a table; the same sections. */
bool symbol_table__find(int fd, bool dynamic, const char *name, uint64_t *addr, uint64_t *size);

/*
 * Looks for functions by name: fills @addrs with the address of each of the @nr @names, 0 where there is none.
 * False if there is none at all.
 */
bool symbol_table__find_functions(int fd, bool dynamic, const char *const *names, size_t nr, uint64_t *addrs);

#endif /* THREADPROF_SYMBOL_TABLE_H */
