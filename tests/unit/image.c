// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "image.h"

/* The names of all sections, the first of which is that of the names themselves. */
static const char names[] = "\0.shstrtab\0.go.buildinfo\0.note.go.buildid\0.symtab";

static Elf_Scn *add_section(Elf *elf, uint32_t name, uint32_t type)
{
	Elf_Scn *section = elf_newscn(elf);
	GElf_Shdr shdr;

	assert_non_null(gelf_getshdr(section, &shdr));
	shdr.sh_name = name;
	shdr.sh_type = type;
	assert_true(gelf_update_shdr(section, &shdr));
	return section;
}

/* A file with that one section; @name: where its name begins; 0: it has none. */
static int make(int elf_class, uint32_t name, uint32_t type, bool loads_libraries)
{
	int fd = fileno(tmpfile());
	Elf *elf;
	GElf_Ehdr ehdr = { 0 };
	GElf_Phdr phdr = { .p_type = PT_INTERP };
	Elf_Scn *section;
	Elf_Data *data;

	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_WRITE, NULL);
	assert_non_null(elf);
	assert_true(gelf_newehdr(elf, elf_class));
	if (loads_libraries) {
		assert_true(gelf_newphdr(elf, 1));
		assert_true(gelf_update_phdr(elf, 0, &phdr));
	}
	assert_non_null(gelf_getehdr(elf, &ehdr));
	ehdr.e_type = ET_EXEC;
	ehdr.e_machine = elf_class == ELFCLASS32 ? EM_386 : EM_X86_64;
	ehdr.e_ident[EI_DATA] = ELFDATA2LSB;
	ehdr.e_version = EV_CURRENT;
	section = add_section(elf, 1, SHT_STRTAB);
	data = elf_newdata(section);
	data->d_buf = (void *)names;
	data->d_size = sizeof(names);
	data->d_align = 1;
	ehdr.e_shstrndx = elf_ndxscn(section);
	assert_true(gelf_update_ehdr(elf, &ehdr));
	if (name)
		add_section(elf, name, type);
	assert_true(elf_update(elf, ELF_C_WRITE) > 0);
	elf_end(elf);
	return fd;
}

static struct image read_one(int fd)
{
	struct image image;

	assert_int_equal(image__read(fd, &image), 0);
	close(fd);
	return image;
}

static uint32_t at(const char *name)
{
	for (size_t i = 1; i < sizeof(names); i++) {
		if (!strcmp(names + i, name))
			return i;
	}
	return 0;
}

static void test_the_plain_ones(void **state)
{
	struct image image = read_one(make(ELFCLASS64, 0, 0, true));

	(void)state;
	assert_false(image.is_32bit);
	assert_false(image.is_go);
	assert_false(image.is_static);
	assert_false(image.has_symbols);
	image = read_one(make(ELFCLASS64, 0, 0, false));
	assert_true(image.is_static);
}

static void test_32_bit(void **state)
{
	struct image image = read_one(make(ELFCLASS32, 0, 0, true));

	(void)state;
	assert_true(image.is_32bit);
	assert_false(image.is_static);
}

static void test_go(void **state)
{
	(void)state;
	assert_true(read_one(make(ELFCLASS64, at(".go.buildinfo"), SHT_PROGBITS, false)).is_go);
	assert_true(read_one(make(ELFCLASS64, at(".note.go.buildid"), SHT_NOTE, false)).is_go);
}

static void test_symbols(void **state)
{
	(void)state;
	assert_true(read_one(make(ELFCLASS64, at(".symtab"), SHT_SYMTAB, true)).has_symbols);
}

static void test_this_program(void **state)
{
	struct image image = read_one(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));

	(void)state;
	assert_int_equal(image.is_32bit, sizeof(void *) == 4);
	assert_true(image.has_symbols);
	assert_false(image.is_go);
	assert_false(image.is_static);
}

static void test_what_is_no_program(void **state)
{
	struct image image;
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(image__read(fd, &image), -EINVAL);
	close(fd);
	fd = fileno(tmpfile());
	assert_int_equal(image__read(fd, &image), -EINVAL);
	assert_int_equal(write(fd, "\177ELF\2\1\1", 7), 7);
	image__read(fd, &image); /* whatever it says, it stays in its memory */
	assert_false(image.is_go);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_plain_ones),	   cmocka_unit_test(test_32_bit),
		cmocka_unit_test(test_go),		   cmocka_unit_test(test_symbols),
		cmocka_unit_test(test_this_program),	   cmocka_unit_test(test_what_is_no_program),
	};

	return cmocka_run_group_tests_name("image", tests, NULL, NULL);
}
