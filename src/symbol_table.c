// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "symbol_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gelf.h>

/* A symbol or string section beyond this is not read. */
#define MAX_SECTION (256u << 20)
/* Symbols looked at below an address for one that reaches up to it. */
#define MAX_STEPS 64

struct section {
	Elf *elf;
	Elf_Data *symbols;
	size_t nr;
	size_t strings; /* index of the string section */
	GElf_Shdr strings_header;
};

static int section__open(struct section *section, int fd, bool dynamic)
{
	Elf_Scn *scn = NULL, *strings;
	GElf_Shdr header;
	int err = -EINVAL;

	elf_version(EV_CURRENT);
	section->elf = elf_begin(fd, ELF_C_READ, NULL);
	if (!section->elf)
		return -EINVAL;
	do {
		scn = elf_nextscn(section->elf, scn);
	} while (scn && !(gelf_getshdr(scn, &header) &&
			  header.sh_type == (dynamic ? SHT_DYNSYM : SHT_SYMTAB)));
	if (!scn) {
		err = -ENODATA;
		goto fail;
	}
	section->strings = header.sh_link;
	strings = elf_getscn(section->elf, header.sh_link);
	if (!header.sh_entsize || header.sh_size > MAX_SECTION || !strings ||
	    !gelf_getshdr(strings, &section->strings_header) ||
	    section->strings_header.sh_type != SHT_STRTAB ||
	    section->strings_header.sh_size > MAX_SECTION)
		goto fail;
	section->symbols = elf_getdata(scn, NULL);
	if (!section->symbols || section->symbols->d_type != ELF_T_SYM)
		goto fail;
	section->nr = section->symbols->d_size / gelf_fsize(section->elf, ELF_T_SYM, 1, EV_CURRENT);
	return 0;
fail:
	elf_end(section->elf);
	return err;
}

/* The next symbol of the wanted kind that has a place in memory; @i goes on behind it. */
static bool section__next(struct section *section, size_t *i, bool functions, GElf_Sym *symbol)
{
	while (*i < section->nr && *i <= INT32_MAX) {
		int type;

		if (!gelf_getsym(section->symbols, (int)(*i)++, symbol))
			return false;
		type = GELF_ST_TYPE(symbol->st_info);
		if (symbol->st_shndx == SHN_UNDEF || symbol->st_shndx == SHN_ABS ||
		    symbol->st_size > UINT64_MAX - symbol->st_value)
			continue;
		if (functions ? type == STT_FUNC || type == STT_GNU_IFUNC
			      : (type == STT_OBJECT || type == STT_COMMON) && symbol->st_size)
			return true;
	}
	return false;
}

/* Names that programs use come before inner ones: pthread_mutex_lock, not __pthread_mutex_lock. */
static uint32_t rank(const GElf_Sym *symbol, const char *name)
{
	uint32_t underscores = strspn(name, "_");

	return (GELF_ST_BIND(symbol->st_info) != STB_LOCAL ? 16 : 0) + 8 -
	       (underscores < 8 ? underscores : 8);
}

/* By address; of those that begin together, the one to prefer last. */
static int by_place(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	if (x->size != y->size)
		return x->size > y->size ? -1 : 1;
	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return x->name < y->name ? -1 : x->name > y->name;
}

/* Functions written in assembler often have no size: they reach up to the next. */
static void fill_sizes(struct symbol_table *table)
{
	uint64_t next = 0;

	for (size_t i = table->nr; i-- > 0;) {
		struct symbol *symbol = &table->list[i];

		if (!symbol->size && next > symbol->start)
			symbol->size = next - symbol->start;
		if (i && table->list[i - 1].start != symbol->start)
			next = symbol->start;
	}
}

static int section__read(struct section *section, struct symbol_table *table, bool functions)
{
	size_t capacity = section->nr < SYMBOL_TABLE_MAX ? section->nr : SYMBOL_TABLE_MAX;
	struct symbol *fitted;
	GElf_Sym symbol;
	size_t i = 0;

	table->list = calloc(capacity ? capacity : 1, sizeof(*table->list));
	if (!table->list)
		return -ENOMEM;
	while (table->nr < capacity && section__next(section, &i, functions, &symbol)) {
		const char *name = elf_strptr(section->elf, section->strings, symbol.st_name);

		if (!name || !*name)
			continue;
		table->list[table->nr++] = (struct symbol){
			.start = symbol.st_value,
			.size = symbol.st_size,
			.name = symbol.st_name,
			.rank = rank(&symbol, name),
		};
	}
	fitted = reallocarray(table->list, table->nr ? table->nr : 1, sizeof(*fitted));
	if (fitted)
		table->list = fitted;
	qsort(table->list, table->nr, sizeof(*table->list), by_place);
	if (functions)
		fill_sizes(table);
	return 0;
}

int symbol_table__load(struct symbol_table *table, int fd, bool dynamic, bool functions)
{
	struct section section = { 0 };
	int err;

	memset(table, 0, sizeof(*table));
	err = section__open(&section, fd, dynamic);
	if (err)
		return err;
	table->fd = fd;
	table->strings = section.strings_header.sh_offset;
	table->strings_size = section.strings_header.sh_size;
	err = section__read(&section, table, functions);
	elf_end(section.elf);
	return err;
}

void symbol_table__clear(struct symbol_table *table)
{
	free(table->list);
	memset(table, 0, sizeof(*table));
}

const struct symbol *symbol_table__at(const struct symbol_table *table, uint64_t addr)
{
	size_t low = 0, high = table->nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (table->list[middle].start <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	for (size_t i = low; i > 0 && low - i < MAX_STEPS; i--) {
		const struct symbol *symbol = &table->list[i - 1];

		if (addr - symbol->start < symbol->size)
			return symbol;
	}
	return NULL;
}

bool symbol_table__name(const struct symbol_table *table, const struct symbol *symbol, char *buf,
			size_t size)
{
	uint64_t left = table->strings_size > symbol->name ? table->strings_size - symbol->name : 0;
	ssize_t got;

	if (!size || !left)
		return false;
	got = pread(table->fd, buf, left < size - 1 ? left : size - 1,
		    (off_t)(table->strings + symbol->name));
	if (got <= 0)
		return false;
	buf[got] = '\0';
	return *buf != '\0';
}

bool symbol_table__find(int fd, bool dynamic, const char *name, uint64_t *addr, uint64_t *size)
{
	struct section section = { 0 };
	GElf_Sym symbol;
	bool found = false;
	size_t i = 0;

	if (section__open(&section, fd, dynamic))
		return false;
	while (!found && section__next(&section, &i, false, &symbol)) {
		const char *at = elf_strptr(section.elf, section.strings, symbol.st_name);

		found = at && !strcmp(at, name);
	}
	elf_end(section.elf);
	if (found) {
		*addr = symbol.st_value;
		*size = symbol.st_size;
	}
	return found;
}

bool symbol_table__find_functions(int fd, bool dynamic, const char *const *names, size_t nr, uint64_t *addrs)
{
	struct section section = { 0 };
	GElf_Sym symbol;
	bool found = false;
	size_t i = 0;

	memset(addrs, 0, nr * sizeof(*addrs));
	if (section__open(&section, fd, dynamic))
		return false;
	while (section__next(&section, &i, true, &symbol)) {
		const char *at = elf_strptr(section.elf, section.strings, symbol.st_name);

		for (size_t j = 0; at && j < nr; j++) {
			if (strcmp(at, names[j]))
				continue;
			addrs[j] = symbol.st_value;
			found = true;
		}
	}
	elf_end(section.elf);
	return found;
}
