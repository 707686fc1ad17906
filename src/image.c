// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "image.h"

#include <errno.h>
#include <gelf.h>
#include <string.h>

static bool has_interpreter(Elf *elf)
{
	size_t count;
	GElf_Phdr phdr;

	if (elf_getphdrnum(elf, &count))
		return true;
	for (size_t i = 0; i < count; i++) {
		if (gelf_getphdr(elf, (int)i, &phdr) && phdr.p_type == PT_INTERP)
			return true;
	}
	return false;
}

static void read_sections(Elf *elf, struct image *image)
{
	Elf_Scn *section = NULL;
	size_t names;
	GElf_Shdr shdr;

	if (elf_getshdrstrndx(elf, &names))
		return;
	while ((section = elf_nextscn(elf, section))) {
		const char *name = gelf_getshdr(section, &shdr) ? elf_strptr(elf, names, shdr.sh_name) : NULL;

		image->has_symbols = image->has_symbols || (name && shdr.sh_type == SHT_SYMTAB);
		/* The linker of Go writes both; the second one is there since 1.13. */
		if (name && (!strcmp(name, ".note.go.buildid") || !strcmp(name, ".go.buildinfo")))
			image->is_go = true;
	}
}

int image__read(int fd, struct image *image)
{
	Elf *elf;

	memset(image, 0, sizeof(*image));
	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	if (!elf || elf_kind(elf) != ELF_K_ELF) {
		elf_end(elf);
		return -EINVAL;
	}
	image->is_32bit = gelf_getclass(elf) == ELFCLASS32;
	image->is_static = !has_interpreter(elf);
	read_sections(elf, image);
	elf_end(elf);
	return 0;
}
