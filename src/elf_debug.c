// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "elf_debug.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <elfutils/libdwelf.h>
#include <gelf.h>
#include <zlib.h>

#include "maps.h"
#include "rooted.h"

#define DEBUG_ROOT "/usr/lib/debug"
/* A checksum over more would take too long; such files have a build-id. */
#define MAX_CHECKED (64 << 20)
#define MAX_NOTES (1 << 20)

/* libelf reads all of a section that it looks into, whatever size that claims in a file full of
 * holes. */
static bool sizes_are_sane(Elf *elf)
{
	Elf_Scn *scn = NULL;
	size_t names, nr;

	if (elf_getphdrnum(elf, &nr) || elf_getshdrstrndx(elf, &names))
		return false;
	for (size_t i = 0; i < nr && i < UINT16_MAX; i++) {
		GElf_Phdr header;

		if (!gelf_getphdr(elf, (int)i, &header) ||
		    (header.p_type == PT_NOTE && header.p_filesz > MAX_NOTES))
			return false;
	}
	while ((scn = elf_nextscn(elf, scn))) {
		GElf_Shdr header;
		const char *name;

		if (!gelf_getshdr(scn, &header) || header.sh_size <= MAX_NOTES)
			continue;
		if (header.sh_type == SHT_NOTE || elf_ndxscn(scn) == names)
			return false;
		name = elf_strptr(elf, names, header.sh_name);
		if (name && !strcmp(name, ".gnu_debuglink"))
			return false;
	}
	return true;
}

/* Its length; 0 if there is none. */
static size_t read_build_id(Elf *elf, unsigned char id[ELF_BUILD_ID_MAX])
{
	const void *found;
	ssize_t len;

	if (!sizes_are_sane(elf))
		return 0;
	len = dwelf_elf_gnu_build_id(elf, &found);
	if (len < 2 || len > ELF_BUILD_ID_MAX)
		return 0;
	memcpy(id, found, len);
	return len;
}

void elf_debug__read(Elf *elf, struct elf_debug *debug)
{
	GElf_Word crc;
	const char *name = sizes_are_sane(elf) ? dwelf_elf_gnu_debuglink(elf, &crc) : NULL;

	*debug = (struct elf_debug){ 0 };
	debug->build_id_len = read_build_id(elf, debug->build_id);
	if (!name || strchr(name, '/') || !strcmp(name, "..") || strlen(name) >= sizeof(debug->link))
		return;
	strcpy(debug->link, name);
	debug->crc = crc;
}

static bool same_build(const struct elf_debug *debug, int fd)
{
	unsigned char id[ELF_BUILD_ID_MAX];
	Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
	bool same;

	same = elf && read_build_id(elf, id) == debug->build_id_len && !memcmp(id, debug->build_id, debug->build_id_len);
	elf_end(elf);
	return same;
}

static bool same_checksum(const struct elf_debug *debug, int fd)
{
	unsigned char chunk[16384];
	uLong crc = crc32(0, NULL, 0);
	off_t at = 0;
	ssize_t got;

	while ((got = pread(fd, chunk, sizeof(chunk), at)) > 0 && at < MAX_CHECKED) {
		crc = crc32(crc, chunk, got);
		at += got;
	}
	return !got && crc == debug->crc;
}

/* @fd if it is the debug file of @of, and not @of itself under another name. */
static int checked(const struct elf_debug *debug, int of, int fd)
{
	struct stat its, st;

	if (fd < 0)
		return -1;
	if (!fstat(of, &its) && !fstat(fd, &st) && !(st.st_dev == its.st_dev && st.st_ino == its.st_ino) &&
	    (debug->build_id_len ? same_build(debug, fd) : same_checksum(debug, fd)))
		return fd;
	close(fd);
	return -1;
}

int elf_debug__open_build_id(int root_fd, const unsigned char *id, size_t len)
{
	char path[sizeof(DEBUG_ROOT) + 2 * ELF_BUILD_ID_MAX + 32];
	int at = snprintf(path, sizeof(path), DEBUG_ROOT "/.build-id/%02x/", id[0]);

	for (size_t i = 1; i < len && i < ELF_BUILD_ID_MAX; i++)
		at += snprintf(path + at, sizeof(path) - at, "%02x", id[i]);
	snprintf(path + at, sizeof(path) - at, ".debug");
	return rooted__open(root_fd, path, true);
}

static int open_by_name(const struct elf_debug *debug, int of, const struct elf_place *place, int root_fd)
{
	static const char *const patterns[] = {
		DEBUG_ROOT "%.*s/%s",
		"%.*s/%s",
		"%.*s/.debug/%s",
	};
	int dir_len = (int)(maps__basename(place->path) - place->path) - 1;
	char path[PATH_MAX];
	int fd;

	for (size_t i = 0; i < sizeof(patterns) / sizeof(*patterns) && dir_len >= 0; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		int len = snprintf(path, sizeof(path), patterns[i], dir_len, place->path, debug->link);
#pragma GCC diagnostic pop

		if (len >= (int)sizeof(path))
			continue;
		fd = checked(debug, of, rooted__open(root_fd, path, true));
		if (fd >= 0)
			return fd;
	}
	return -1;
}

/* Ours before the process's own: who installed debug packages did so here. */
int elf_debug__open(const struct elf_debug *debug, int of, const struct elf_place *place)
{
	const int roots[] = { -1, place->root_fd };
	int fd = -1;

	for (size_t i = 0; i < 2 && fd < 0; i++) {
		if (i && roots[i] < 0)
			break;
		if (debug->build_id_len)
			fd = checked(debug, of, elf_debug__open_build_id(roots[i], debug->build_id, debug->build_id_len));
		if (fd < 0 && *debug->link)
			fd = open_by_name(debug, of, place, roots[i]);
	}
	return fd;
}
