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
	Elf_Scn *scn;
	Elf_Data *symbols; /* not read by section__open() */
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
	section->scn = scn;
	return 0;
fail:
	elf_end(section->elf);
	return err;
}

static bool section__load(struct section *section)
{
	section->symbols = elf_getdata(section->scn, NULL);
	if (!section->symbols || section->symbols->d_type != ELF_T_SYM)
		return false;
	section->nr = section->symbols->d_size / gelf_fsize(section->elf, ELF_T_SYM, 1, EV_CURRENT);
	return true;
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

/* By address; of those that begin together, the one to prefer last, but for the name. */
static int by_place(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	if (x->size != y->size)
		return x->size > y->size ? -1 : 1;
	return x->name < y->name ? -1 : x->name > y->name;
}

/* Names that programs use come before inner ones: pthread_mutex_lock, not __pthread_mutex_lock. */
static unsigned int rank(const struct symbol_table *table, const struct symbol *symbol)
{
	char begin[9];

	if (!symbol_table__name(table, symbol, begin, sizeof(begin)))
		return 0;
	return (symbol->is_local ? 0 : 16) + 8 - strspn(begin, "_");
}

/* Of several names for one place only the best one stays: their first letters are read for no others. */
static void choose_names(struct symbol_table *table)
{
	unsigned int best = 0;
	size_t kept = 0;

	for (size_t i = 1; i < table->nr; i++) {
		struct symbol *last = &table->list[kept], *symbol = &table->list[i];
		unsigned int this;

		if (symbol->start != last->start || symbol->size != last->size) {
			table->list[++kept] = *symbol;
			best = 0;
			continue;
		}
		if (!best)
			best = rank(table, last);
		this = rank(table, symbol);
		if (this < best)
			continue;
		best = this;
		*last = *symbol;
	}
	if (table->nr)
		table->nr = kept + 1;
}

/* Functions written in assembler often have no size: they reach up to the next. */
static void fill_sizes(struct symbol_table *table)
{
	uint64_t next = 0;

	for (size_t i = table->nr; i-- > 0;) {
		struct symbol *symbol = &table->list[i];

		if (!symbol->size && next > symbol->start)
			symbol->size = next - symbol->start < UINT32_MAX ? next - symbol->start : UINT32_MAX;
		if (i && table->list[i - 1].start != symbol->start)
			next = symbol->start;
	}
}

static bool has_name(const struct section *section, const GElf_Sym *symbol)
{
	return symbol->st_name && symbol->st_name < section->strings_header.sh_size;
}

static size_t section__count(struct section *section, bool functions)
{
	GElf_Sym symbol;
	size_t i = 0, count = 0;

	while (count < SYMBOL_TABLE_MAX && section__next(section, &i, functions, &symbol))
		count += has_name(section, &symbol);
	return count;
}

static int section__read(struct section *section, struct symbol_table *table, bool functions)
{
	size_t capacity = section__count(section, functions);
	GElf_Sym symbol;
	size_t i = 0;

	table->list = calloc(capacity ? capacity : 1, sizeof(*table->list));
	if (!table->list)
		return -ENOMEM;
	while (table->nr < capacity && section__next(section, &i, functions, &symbol)) {
		if (!has_name(section, &symbol))
			continue;
		table->list[table->nr++] = (struct symbol){
			.start = symbol.st_value,
			.size = symbol.st_size < UINT32_MAX ? symbol.st_size : UINT32_MAX,
			.name = symbol.st_name,
			.is_local = GELF_ST_BIND(symbol.st_info) == STB_LOCAL,
		};
	}
	return 0;
}

static void finish(struct symbol_table *table, bool functions)
{
	struct symbol *fitted;

	qsort(table->list, table->nr, sizeof(*table->list), by_place);
	choose_names(table);
	if (functions)
		fill_sizes(table);
	fitted = reallocarray(table->list, table->nr ? table->nr : 1, sizeof(*fitted));
	if (fitted)
		table->list = fitted;
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
	err = section__load(&section) ? section__read(&section, table, functions) : -EINVAL;
	elf_end(section.elf);
	if (!err)
		finish(table, functions);
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

#define MAX_PLACES 16

/* Where a name stands in the strings, also as the end of another one. */
struct places {
	uint32_t list[MAX_PLACES];
	size_t nr;
};

static void find_string(const struct section *section, int fd, const char *name, struct places *places)
{
	uint64_t size = section->strings_header.sh_size, begin = section->strings_header.sh_offset, at = 0;
	size_t length = strlen(name) + 1;
	char chunk[16384];

	while (size - at >= length) {
		size_t wanted = size - at < sizeof(chunk) ? size - at : sizeof(chunk);
		ssize_t got = pread(fd, chunk, wanted, (off_t)(begin + at));
		const char *next = chunk;

		if (got < (ssize_t)length)
			return;
		while (places->nr < MAX_PLACES && (next = memmem(next, chunk + got - next, name, length)))
			places->list[places->nr++] = at + (next++ - chunk);
		at += got - (length - 1); /* it may lie across this chunk's end */
	}
}

static bool is_at(const struct places *places, uint64_t name)
{
	for (size_t i = 0; i < places->nr; i++) {
		if (places->list[i] == name)
			return true;
	}
	return false;
}

/* The strings, which are most of it, are not kept in memory for one name. */
bool symbol_table__find(int fd, bool dynamic, const char *name, uint64_t *addr, uint64_t *size)
{
	struct section section = { 0 };
	struct places places = { 0 };
	GElf_Sym symbol;
	bool found = false;
	size_t i = 0;

	if (section__open(&section, fd, dynamic))
		return false;
	find_string(&section, fd, name, &places);
	if (places.nr && !section__load(&section))
		places.nr = 0;
	while (places.nr && !found && section__next(&section, &i, false, &symbol))
		found = is_at(&places, symbol.st_name);
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
	if (!section__load(&section))
		section.nr = 0;
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
