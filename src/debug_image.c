// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "debug_image.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gelf.h>

static _Atomic uint64_t used_by_all;

static const char *section_name(Elf *elf, const GElf_Shdr *header)
{
	const char *name = NULL;
	size_t names;

	if (!elf_getshdrstrndx(elf, &names))
		name = elf_strptr(elf, names, header->sh_name);
	return name ? name : "";
}

static bool is_one_of(const char *name, const char *const *names)
{
	while (*names && strcmp(name, *names))
		names++;
	return *names;
}

/* Of the debug sections those that lines and inlined functions are in: where variables lie is a quarter of all. */
static bool tells_lines(const char *name)
{
	static const char *const names[] = {
		".debug_info", ".debug_types", ".debug_abbrev", ".debug_line", ".debug_str", ".debug_line_str",
		".debug_str_offsets", ".debug_addr", ".debug_ranges", ".debug_rnglists", ".gnu_debugaltlink", NULL,
	};

	return is_one_of(name, names);
}

static bool tells_frames(const char *name)
{
	static const char *const names[] = { ".eh_frame", ".eh_frame_hdr", ".debug_frame", NULL };

	return is_one_of(name, names);
}

static bool is_wanted(const struct debug_image *image, Elf *elf, const GElf_Shdr *header)
{
	const char *name = section_name(elf, header);

	if (header->sh_type == SHT_NOBITS)
		return false;
	return image->is_for_unwind ? tells_frames(name) : !(header->sh_flags & SHF_ALLOC) && tells_lines(name);
}

/* What is not there stays 0. */
static void copy(struct debug_image *image, int fd, uint64_t at, uint64_t len)
{
	if (at > image->size)
		return;
	if (len > image->size - at)
		len = image->size - at;
	while (len) {
		ssize_t got = pread(fd, image->base + at, len, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return;
		at += got;
		len -= got;
	}
}

/* Headers first: they say where the sections are, and are not read a second time. */
static int copy_headers(struct debug_image *image, int fd)
{
	GElf_Ehdr header;
	GElf_Shdr names_header;
	size_t nr, nr_parts, names;
	Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
	int err = -ENODATA;

	if (elf && elf_kind(elf) == ELF_K_ELF && gelf_getehdr(elf, &header) &&
	    !elf_getshdrnum(elf, &nr) && nr <= UINT16_MAX && !elf_getphdrnum(elf, &nr_parts) &&
	    nr_parts <= UINT16_MAX && !elf_getshdrstrndx(elf, &names) &&
	    gelf_getshdr(elf_getscn(elf, names), &names_header) &&
	    names_header.sh_size <= 1 << 20) {
		copy(image, fd, 0, 4096);
		copy(image, fd, header.e_phoff, nr_parts * sizeof(GElf_Phdr));
		copy(image, fd, header.e_shoff, nr * sizeof(GElf_Shdr));
		copy(image, fd, names_header.sh_offset, names_header.sh_size);
		err = 0;
	}
	elf_end(elf);
	return err;
}

/*
 * Sections count with the size they have or, compressed, claim to have. The older kind of
 * compressed section (.zdebug) says so where only libdw looks: such files are not read.
 */
static int copy_sections(struct debug_image *image, int fd)
{
	uint64_t limit = DEBUG_IMAGE_MAX - used_by_all;
	Elf_Scn *scn = NULL;
	uint64_t sum = 0;

	while ((scn = elf_nextscn(image->elf, scn))) {
		GElf_Shdr header;
		GElf_Chdr packed;
		uint64_t size;

		if (!gelf_getshdr(scn, &header))
			continue;
		if (!strncmp(section_name(image->elf, &header), ".zdebug", strlen(".zdebug")))
			return -ENODATA;
		if (!is_wanted(image, image->elf, &header))
			continue;
		if (header.sh_size > limit - sum)
			return -EFBIG;
		copy(image, fd, header.sh_offset, header.sh_size);
		size = header.sh_size;
		if (header.sh_flags & SHF_COMPRESSED) {
			if (!gelf_getchdr(scn, &packed))
				return -ENODATA;
			size = packed.ch_size;
		}
		if (size > limit - sum)
			return -EFBIG;
		sum += size;
	}
	image->used = sum;
	used_by_all += sum;
	return sum ? 0 : -ENODATA;
}

static bool holds_strings(const char *name)
{
	return !strcmp(name, ".debug_info") || !strcmp(name, ".debug_str") ||
	       !strcmp(name, ".debug_line_str");
}

/*
 * Behind sections that libdw unpacked there is no NUL of ours, so their last byte becomes one. In
 * good files it is one, or the high byte of something we don't need of a unit written in assembler.
 */
static void end_strings(struct debug_image *image)
{
	Elf_Scn *scn = NULL;

	while ((scn = elf_nextscn(image->elf, scn))) {
		GElf_Shdr header;
		Elf_Data *data;
		char *bytes;

		if (!gelf_getshdr(scn, &header) || !is_wanted(image, image->elf, &header) ||
		    !holds_strings(section_name(image->elf, &header)))
			continue;
		data = elf_rawdata(scn, NULL);
		bytes = data ? data->d_buf : NULL;
		if (bytes && data->d_size &&
		    !(bytes >= image->base && bytes < image->base + image->size))
			bytes[data->d_size - 1] = '\0';
	}
}

static int open_copy(struct debug_image *image, int fd)
{
	struct stat st;
	int err;

	elf_version(EV_CURRENT);
	if (fstat(fd, &st) || st.st_size <= 0)
		return -ENODATA;
	image->size = (size_t)st.st_size;
	image->base = mmap(NULL, image->size + 1, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (image->base == MAP_FAILED) {
		image->base = NULL;
		return -ENOMEM;
	}
	err = copy_headers(image, fd);
	if (err)
		return err;
	image->elf = elf_memory(image->base, image->size);
	if (!image->elf || elf_kind(image->elf) != ELF_K_ELF)
		return -ENODATA;
	err = copy_sections(image, fd);
	if (err || image->is_for_unwind)
		return err;
	image->dwarf = dwarf_begin_elf(image->elf, DWARF_C_READ, NULL);
	if (!image->dwarf)
		return -ENODATA;
	end_strings(image);
	return 0;
}

static int open_for(struct debug_image *image, int fd, bool is_for_unwind)
{
	int err;

	*image = (struct debug_image){ .is_for_unwind = is_for_unwind };
	err = open_copy(image, fd);
	if (err)
		debug_image__close(image);
	return err;
}

int debug_image__open(struct debug_image *image, int fd)
{
	return open_for(image, fd, false);
}

int debug_image__open_unwind(struct debug_image *image, int fd)
{
	return open_for(image, fd, true);
}

void debug_image__close(struct debug_image *image)
{
	dwarf_end(image->dwarf);
	elf_end(image->elf);
	if (image->base)
		munmap(image->base, image->size + 1);
	used_by_all -= image->used;
	memset(image, 0, sizeof(*image));
}
