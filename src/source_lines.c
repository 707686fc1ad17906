// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "source_lines.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwelf.h>

#include "debug_image.h"
#include "demangle.h"
#include "elf_debug.h"
#include "symbols.h"

#define MAX_RANGES (1 << 21)
/* Broken data may go in circles: what one look-up visits at most. */
#define MAX_VISITS (1 << 20)
#define MAX_NESTING 64

struct range {
	uint64_t start;
	uint64_t end;
	uint64_t unit; /* offset of the compilation unit's entry */
};

struct source_lines {
	struct debug_image image;
	struct debug_image shared; /* by several files: what dwz took out of each */
	struct range *ranges;
	size_t nr;
	size_t capacity;
};

/* The way from a function down to the innermost inlined function at an address. */
struct path {
	uint64_t addr;
	size_t visits;
	Dwarf_Die list[MAX_NESTING];
	size_t nr;
};

void source_lines__free(struct source_lines *lines)
{
	if (!lines)
		return;
	debug_image__close(&lines->image);
	debug_image__close(&lines->shared);
	free(lines->ranges);
	free(lines);
}

/*
 * Left alone, libdw would open whatever path the file names as the place of its shared part: only
 * the one with the right build-id among this host's debug files will do.
 */
static int open_shared(struct source_lines *lines)
{
	const char *name;
	const void *id;
	ssize_t len = dwelf_dwarf_gnu_debugaltlink(lines->image.dwarf, &name, &id);
	int fd, err;

	if (!len)
		return 0;
	if (len < 2 || len > ELF_BUILD_ID_MAX)
		return -ENODATA;
	fd = elf_debug__open_build_id(-1, id, len);
	if (fd < 0)
		return -ENODATA;
	err = debug_image__open(&lines->shared, fd);
	close(fd);
	if (!err)
		dwarf_setalt(lines->image.dwarf, lines->shared.dwarf);
	return err;
}

static int add_range(struct source_lines *lines, const struct range *range)
{
	if (lines->nr == lines->capacity) {
		size_t capacity = lines->capacity ? 2 * lines->capacity : 256;
		struct range *grown = reallocarray(lines->ranges, capacity, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		lines->ranges = grown;
		lines->capacity = capacity;
	}
	lines->ranges[lines->nr++] = *range;
	return 0;
}

/* Not .debug_aranges, which only some compilers write. */
static int read_ranges(struct source_lines *lines)
{
	Dwarf_Off at = 0, next;
	size_t header_size;

	while (!dwarf_next_unit(lines->image.dwarf, at, &next, &header_size, NULL, NULL, NULL, NULL,
				NULL, NULL) &&
	       next > at) {
		struct range range = { .unit = at + header_size };
		ptrdiff_t offset = 0;
		Dwarf_Addr base;
		Dwarf_Die die;

		at = next;
		if (!dwarf_offdie(lines->image.dwarf, range.unit, &die))
			continue;
		while ((offset = dwarf_ranges(&die, offset, &base, &range.start, &range.end)) > 0) {
			if (lines->nr == MAX_RANGES)
				return 0;
			/* Functions that the linker dropped stand at 0. */
			if (range.start && range.start < range.end && add_range(lines, &range))
				return -ENOMEM;
		}
	}
	return 0;
}

static int by_start(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->end < y->end ? -1 : x->end > y->end;
}

int source_lines__open(int fd, struct source_lines **out)
{
	struct source_lines *lines = calloc(1, sizeof(*lines));
	int err;

	if (!lines)
		return -ENOMEM;
	err = debug_image__open(&lines->image, fd);
	if (!err)
		err = open_shared(lines);
	if (!err)
		err = read_ranges(lines);
	if (!err && !lines->nr)
		err = -ENODATA;
	if (err) {
		source_lines__free(lines);
		return err;
	}
	qsort(lines->ranges, lines->nr, sizeof(*lines->ranges), by_start);
	*out = lines;
	return 0;
}

static bool find_unit(struct source_lines *lines, uint64_t addr, Dwarf_Die *unit)
{
	size_t low = 0, high = lines->nr;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (lines->ranges[middle].start <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low && addr < lines->ranges[low - 1].end &&
	       dwarf_offdie(lines->image.dwarf, lines->ranges[low - 1].unit, unit);
}

/* Whether code can be below: in functions where they cover the address, in scopes of names always.
 */
static bool leads_on(Dwarf_Die *die, uint64_t addr)
{
	switch (dwarf_tag(die)) {
	case DW_TAG_subprogram:
	case DW_TAG_inlined_subroutine:
	case DW_TAG_lexical_block:
		return dwarf_haspc(die, addr) > 0;
	case DW_TAG_namespace:
	case DW_TAG_module:
	case DW_TAG_class_type:
	case DW_TAG_structure_type:
		return true;
	default:
		return false;
	}
}

/* Goes down to the address, depth first; true when it was found below @parent. */
static bool descend(struct path *path, Dwarf_Die *parent, int depth)
{
	Dwarf_Die die;

	if (depth == MAX_NESTING || dwarf_child(parent, &die))
		return false;
	do {
		int tag = dwarf_tag(&die);
		bool function = tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine;
		bool code = function || tag == DW_TAG_lexical_block;

		if (++path->visits > MAX_VISITS)
			return false;
		if (!leads_on(&die, path->addr))
			continue;
		if (function && path->nr < MAX_NESTING)
			path->list[path->nr++] = die;
		if (descend(path, &die, depth + 1) || code)
			return true;
	} while (!dwarf_siblingof(&die, &die));
	return false;
}

/* Of a path that is too long, the end says more. */
static void copy_path(char *out, size_t size, const char *path)
{
	size_t len = path ? strlen(path) : 0;

	if (len < size)
		snprintf(out, size, "%s", path ? path : "");
	else
		snprintf(out, size, "..%s", path + len - (size - 3));
}

static const char *function_name(Dwarf_Die *die)
{
	static const unsigned int names[] = { DW_AT_linkage_name, DW_AT_MIPS_linkage_name,
					      DW_AT_name };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		Dwarf_Attribute attr;
		const char *name = NULL;

		if (dwarf_attr_integrate(die, names[i], &attr))
			name = dwarf_formstring(&attr);
		if (name)
			return name;
	}
	return "";
}

/* Where the function that @die stands for was called, for the frame outside of it. */
static void call_site(Dwarf_Die *unit, Dwarf_Die *die, const char **file, uint32_t *line)
{
	Dwarf_Attribute attr;
	Dwarf_Files *files;
	Dwarf_Word value;
	size_t nr;

	*file = NULL;
	*line = 0;
	if (!dwarf_formudata(dwarf_attr(die, DW_AT_call_line, &attr), &value))
		*line = (uint32_t)value;
	if (!dwarf_formudata(dwarf_attr(die, DW_AT_call_file, &attr), &value) &&
	    !dwarf_getsrcfiles(unit, &files, &nr) && value < nr)
		*file = dwarf_filesrc(files, value, NULL, NULL);
}

static void address_site(Dwarf_Die *unit, uint64_t addr, const char **file, uint32_t *line)
{
	Dwarf_Line *found = dwarf_getsrc_die(unit, addr);
	int number;

	if (!found || dwarf_lineno(found, &number) || number < 0)
		return;
	*file = dwarf_linesrc(found, NULL, NULL);
	*line = (uint32_t)number;
}

size_t source_lines__at(struct source_lines *lines, uint64_t addr, struct symbols_frame *frames,
			size_t max)
{
	struct path path = { .addr = addr };
	const char *file = NULL;
	uint32_t line = 0;
	size_t count = 0;
	Dwarf_Die unit;

	if (!max || !find_unit(lines, addr, &unit))
		return 0;
	address_site(&unit, addr, &file, &line);
	descend(&path, &unit, 0);
	for (size_t i = path.nr; i-- > 0 && count < max;) {
		struct symbols_frame *frame = &frames[count++];

		memset(frame, 0, sizeof(*frame));
		demangle(frame->function, sizeof(frame->function), function_name(&path.list[i]));
		frame->inlined = dwarf_tag(&path.list[i]) == DW_TAG_inlined_subroutine;
		frame->line = line;
		copy_path(frame->file, sizeof(frame->file), file);
		call_site(&unit, &path.list[i], &file, &line);
	}
	if (!count && (file || line)) {
		memset(frames, 0, sizeof(*frames));
		frames->line = line;
		copy_path(frames->file, sizeof(frames->file), file);
		count = 1;
	}
	return count;
}
