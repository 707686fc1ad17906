// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "symbols.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "demangle.h"
#include "elf_file.h"
#include "jit_map.h"
#include "maps.h"
#include "rooted.h"

/* What /proc/PID/maps can hold at most with MAPS_MAX lines of usual length. */
#define MAX_MAPS_TEXT (64u << 20)
#define MAX_NAME 4096

struct symbols {
	int proc_fd; /* /proc/PID: never another process that got the same number */
	int root_fd; /* -1: could not be opened */
	struct maps maps;
	uint64_t hash; /* of the text that maps was made from */
	char exe[PATH_MAX];
	pid_t pid_inside; /* its number in its own namespace */
	uid_t uid;
	struct jit_map *jit; /* NULL: not asked for yet */
	bool jit_stale;
};

/* A module's address. */
struct place {
	struct elf_file *elf;
	const struct map_file *file;
	uint64_t bias;
	uint64_t addr; /* in the ELF file */
};

/* The whole of a file in /proc, NUL-terminated; NULL with errno set. */
static char *read_all(int dir_fd, const char *name, size_t limit, size_t *len)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
	size_t capacity = 16384;
	char *text = fd < 0 ? NULL : malloc(capacity);
	ssize_t got = 0;

	*len = 0;
	while (text && *len < limit) {
		if (capacity - *len < 4097) {
			char *grown = realloc(text, 2 * capacity);

			if (!grown)
				break;
			capacity *= 2;
			text = grown;
		}
		got = read(fd, text + *len, capacity - *len - 1);
		if (got <= 0)
			break;
		*len += got;
	}
	if (text && got < 0) {
		int err = errno;

		free(text);
		text = NULL;
		errno = err;
	}
	if (text)
		text[*len] = '\0';
	if (fd >= 0)
		close(fd);
	return text;
}

static void read_status(struct symbols *symbols)
{
	size_t len;
	char *text = read_all(symbols->proc_fd, "status", 65536, &len);
	const char *uid = text ? strstr(text, "\nUid:") : NULL;
	const char *inside = text ? strstr(text, "\nNSpid:") : NULL;
	unsigned int effective;

	if (uid && sscanf(uid + 5, "%*u %u", &effective) == 1)
		symbols->uid = effective;
	if (inside) {
		size_t line = strcspn(inside + 1, "\n");

		/* one number per namespace, the innermost last */
		while (line && inside[line] >= '0' && inside[line] <= '9')
			line--;
		symbols->pid_inside = atoi(inside + line + 1);
	}
	free(text);
}

static uint64_t hash(const char *text, size_t len)
{
	uint64_t value = 0xcbf29ce484222325;

	for (size_t i = 0; i < len; i++)
		value = (value ^ (unsigned char)text[i]) * 0x100000001b3;
	return value;
}

static void put_files(struct maps *maps)
{
	for (size_t i = 0; i < maps->nr_files; i++)
		elf_file__put(maps->files[i].elf);
	maps__clear(maps);
}

static bool same_file(const struct map_file *a, const struct map_file *b)
{
	return a->inode == b->inode && a->dev_major == b->dev_major &&
	       a->dev_minor == b->dev_minor && !strcmp(a->path, b->path);
}

/* Files that were open stay so: after a deletion or at the process's end they can't be opened
 * again. */
static void take_over(struct maps *maps, const struct maps *old)
{
	size_t next = 0;

	/* Both are in the order of addresses, so it is mostly the next one. */
	for (size_t i = 0; i < maps->nr_files; i++) {
		struct map_file *file = &maps->files[i];

		for (size_t j = next; j < old->nr_files && j < next + 64; j++) {
			const struct map_file *was = &old->files[j];

			if (!same_file(was, file))
				continue;
			next = j + 1;
			file->tried = was->tried;
			file->elf = was->elf;
			if (was->elf)
				elf_file__hold(was->elf);
			break;
		}
	}
}

static int read_maps(struct symbols *symbols)
{
	struct maps maps;
	uint64_t now;
	size_t len;
	char *text = read_all(symbols->proc_fd, "maps", MAX_MAPS_TEXT, &len);
	int err = 0;

	if (!text)
		return -errno;
	now = hash(text, len);
	/* A process that has ended has no mappings left: the last ones are the ones to keep. */
	if (len && now != symbols->hash) {
		err = maps__parse(&maps, text, len);
		if (!err) {
			take_over(&maps, &symbols->maps);
			put_files(&symbols->maps);
			symbols->maps = maps;
			symbols->hash = now;
		}
	}
	free(text);
	return err;
}

static void read_exe(struct symbols *symbols)
{
	char exe[PATH_MAX];
	ssize_t len = readlinkat(symbols->proc_fd, "exe", exe, sizeof(exe) - 1);

	if (len <= 0)
		return;
	exe[len] = '\0';
	if (len > 10 && !strcmp(exe + len - 10, " (deleted)"))
		exe[len - 10] = '\0';
	strcpy(symbols->exe, exe);
}

int symbols__new(pid_t pid, struct symbols **out)
{
	struct symbols *symbols = calloc(1, sizeof(*symbols));
	char path[32];
	int err;

	if (!symbols)
		return -ENOMEM;
	snprintf(path, sizeof(path), "/proc/%d", pid);
	symbols->root_fd = -1;
	symbols->pid_inside = pid;
	symbols->uid = (uid_t)-1;
	symbols->proc_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (symbols->proc_fd < 0) {
		err = errno == ENOENT ? -ESRCH : -errno;
		goto fail;
	}
	symbols->root_fd = openat(symbols->proc_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	read_exe(symbols);
	read_status(symbols);
	err = read_maps(symbols);
	if (err)
		goto fail;
	*out = symbols;
	return 0;
fail:
	symbols__free(symbols);
	return err;
}

void symbols__free(struct symbols *symbols)
{
	if (!symbols)
		return;
	put_files(&symbols->maps);
	jit_map__free(symbols->jit);
	if (symbols->root_fd >= 0)
		close(symbols->root_fd);
	if (symbols->proc_fd >= 0)
		close(symbols->proc_fd);
	free(symbols);
}

void symbols__refresh(struct symbols *symbols)
{
	uint64_t before = symbols->hash;

	symbols->jit_stale = true;
	read_maps(symbols);
	if (symbols->hash != before)
		read_exe(symbols);
}

/*
 * The link of the mapping leads to the very file, but needs privileges and a live process; the path
 * may name another file by now. Some file systems show another device to stat than in maps, none
 * another inode number.
 */
static int open_mapped(struct symbols *symbols, const struct map_file *file, const struct map *map)
{
	char link[64];
	struct stat st;
	int fd;

	snprintf(link, sizeof(link), "map_files/%" PRIx64 "-%" PRIx64, map->start, map->end);
	fd = rooted__open_link(symbols->proc_fd, link);
	if (fd >= 0 || file->deleted)
		return fd;
	fd = rooted__open(symbols->root_fd, file->path, true);
	if (fd >= 0 && (fstat(fd, &st) || st.st_ino != file->inode)) {
		close(fd);
		fd = -ESTALE;
	}
	return fd;
}

static struct elf_file *elf_of(struct symbols *symbols, const struct map *map)
{
	struct map_file *file = &symbols->maps.files[map->file];
	struct elf_file *elf = NULL;
	int fd;

	if (!file->tried) {
		file->tried = true;
		fd = file->inode ? open_mapped(symbols, file, map) : -1;
		if (fd >= 0 && !elf_file__get(fd, &elf))
			file->elf = elf;
	}
	return file->elf;
}

/* The .bss of a module is memory without a file, behind the part that has one. */
static bool locate(struct symbols *symbols, uint64_t addr, struct place *place)
{
	const struct map *map = maps__below(&symbols->maps, addr);

	if (!map)
		return false;
	place->file = &symbols->maps.files[map->file];
	place->elf = elf_of(symbols, map);
	if (!place->elf || !elf_file__bias(place->elf, map, &place->bias))
		return false;
	place->addr = addr - place->bias;
	return elf_file__contains(place->elf, place->addr);
}

static void print_offset(char *buf, size_t size, const char *name, uint64_t offset)
{
	char suffix[24] = "";
	size_t len = strlen(name);

	if (!size)
		return;
	if (offset)
		snprintf(suffix, sizeof(suffix), "+0x%" PRIx64, offset);
	if (len + strlen(suffix) >= size)
		len = size > strlen(suffix) + 1 ? size - 1 - strlen(suffix) : 0;
	snprintf(buf, size, "%.*s%s", (int)len, name, suffix);
}

bool symbols__data_name(struct symbols *symbols, uint64_t addr, char *buf, size_t size)
{
	char mangled[MAX_NAME], name[MAX_NAME];
	struct elf_place files;
	struct place place;
	uint64_t offset;

	if (!locate(symbols, addr, &place))
		return false;
	files = (struct elf_place){ .root_fd = symbols->root_fd, .path = place.file->path };
	if (elf_file__symbol(place.elf, &files, ELF_DATA, place.addr, mangled, sizeof(mangled),
			     &offset)) {
		demangle(name, sizeof(name), mangled);
		print_offset(buf, size, name, offset);
	} else {
		print_offset(buf, size, maps__basename(place.file->path), place.addr);
	}
	return true;
}

static bool find_in(struct symbols *symbols, const struct map *map, const char *name,
		    uint64_t *start, uint64_t *end)
{
	struct elf_file *elf = elf_of(symbols, map);
	uint64_t bias, addr, size;

	if (!elf || !elf_file__bias(elf, map, &bias) || !elf_file__find(elf, name, &addr, &size))
		return false;
	*start = addr + bias;
	*end = addr + bias + size;
	return true;
}

bool symbols__find(struct symbols *symbols, const char *name, const char *modules, uint64_t *start,
		   uint64_t *end)
{
	const struct maps *maps = &symbols->maps;

	for (int pass = 0; pass < (modules ? 2 : 1); pass++) {
		for (size_t i = 0; i < maps->nr; i++) {
			const struct map *map = &maps->list[i];
			const char *path = maps->files[map->file].path;
			bool exe = !strcmp(path, symbols->exe);

			if (i && map[-1].file == map->file)
				continue;
			if (pass ? exe || fnmatch(modules, maps__basename(path), 0) : !exe)
				continue;
			if (find_in(symbols, map, name, start, end))
				return true;
		}
	}
	return false;
}

static void read_jit(struct symbols *symbols)
{
	char path[48];
	int fd;

	if (!symbols->jit)
		symbols->jit = jit_map__new();
	else if (!symbols->jit_stale)
		return;
	symbols->jit_stale = false;
	if (!symbols->jit)
		return;
	read_status(symbols);
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", symbols->pid_inside);
	fd = rooted__open(symbols->root_fd, path, false);
	if (fd < 0)
		return;
	jit_map__read(symbols->jit, fd, symbols->uid);
	close(fd);
}

/* Code outside of modules: compiled at run time, or the kernel's page of functions. */
static int other_frame(struct symbols *symbols, uint64_t pc, struct symbols_frame *frame)
{
	const struct map *map = maps__below(&symbols->maps, pc);
	char name[MAX_NAME];

	memset(frame, 0, sizeof(*frame));
	if (map && pc < map->end) {
		const struct map_file *file = &symbols->maps.files[map->file];

		frame->offset = pc - map->start + map->offset;
		snprintf(frame->module, sizeof(frame->module), "%s", maps__basename(file->path));
		if (!file->inode)
			return 1;
	}
	read_jit(symbols);
	if (symbols->jit && jit_map__name(symbols->jit, pc, name, sizeof(name))) {
		demangle(frame->function, sizeof(frame->function), name);
		return 1;
	}
	return *frame->module != '\0';
}

static int frames_at(struct symbols *symbols, uint64_t pc, bool with_lines, struct symbols_frame *frames, size_t max)
{
	struct source_lines *lines;
	struct elf_place files;
	char name[MAX_NAME];
	struct place place;
	uint64_t offset;
	size_t count;

	if (!max)
		return 0;
	if (!locate(symbols, pc, &place))
		return other_frame(symbols, pc, frames);
	files = (struct elf_place){ .root_fd = symbols->root_fd, .path = place.file->path };
	lines = with_lines ? elf_file__lines(place.elf, &files) : NULL;
	count = lines ? source_lines__at(lines, place.addr, frames, max) : 0;
	if (!count) {
		memset(frames, 0, sizeof(*frames));
		count = 1;
	}
	/* The function as the linker knows it: with all of its name, and where DWARF knows none. */
	if (!frames[count - 1].inlined && elf_file__symbol(place.elf, &files, ELF_FUNCTIONS,
							   place.addr, name, sizeof(name), &offset))
		demangle(frames[count - 1].function, sizeof(frames->function), name);
	for (size_t i = 0; i < count; i++) {
		snprintf(frames[i].module, sizeof(frames[i].module), "%s",
			 maps__basename(place.file->path));
		frames[i].offset = place.addr;
	}
	return (int)count;
}

int symbols__frame(struct symbols *symbols, uint64_t pc, struct symbols_frame *frames, size_t max)
{
	return frames_at(symbols, pc, true, frames, max);
}

int symbols__function(struct symbols *symbols, uint64_t pc, struct symbols_frame *frame)
{
	return frames_at(symbols, pc, false, frame, 1);
}

const char *symbols__module(struct symbols *symbols, uint64_t pc)
{
	const struct map *map = maps__below(&symbols->maps, pc);

	return map && pc < map->end ? maps__basename(symbols->maps.files[map->file].path) : "";
}

/* Where the file's first and last part lie; a part that is not mapped does not matter. */
static void module_extent(const struct elf_file *elf, uint64_t bias, uint64_t *start, uint64_t *end)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	*start = UINT64_MAX;
	*end = 0;
	for (size_t i = 0; i < elf->nr_loads; i++) {
		uint64_t first = (elf->loads[i].addr & ~(page - 1)) + bias;
		uint64_t last = ((elf->loads[i].addr + elf->loads[i].size + page - 1) & ~(page - 1)) + bias;

		if (first < *start)
			*start = first;
		if (last > *end)
			*end = last;
	}
}

void symbols__each_module(struct symbols *symbols, symbols_module_fn fn, void *context)
{
	const struct maps *maps = &symbols->maps;
	uint64_t bias, start, end, last_end = 0;

	for (size_t i = 0; i < maps->nr; i++) {
		const struct map *map = &maps->list[i];
		struct elf_file *elf;

		if (map->start < last_end)
			continue; /* another part of the module that was told last */
		elf = elf_of(symbols, map);
		if (!elf || !elf_file__bias(elf, map, &bias))
			continue;
		module_extent(elf, bias, &start, &end);
		if (start >= end || map->start < start || map->start >= end)
			continue;
		fn(context, maps__basename(maps->files[map->file].path), elf, start, end);
		last_end = end;
	}
}

uint64_t symbols__version(const struct symbols *symbols)
{
	return symbols->hash;
}

void symbols__each_code_file(struct symbols *symbols, symbols_code_file_fn fn, void *context)
{
	const struct maps *maps = &symbols->maps;

	for (size_t i = 0; i < maps->nr; i++) {
		const struct map *map = &maps->list[i];
		struct symbols_code_file module = { .path = maps->files[map->file].path };
		bool seen = false;

		/* A file's mappings follow one another. */
		for (const struct map *m = map; !seen && m > maps->list && m[-1].file == map->file; m--)
			seen = m[-1].exec;
		if (!map->exec || seen)
			continue;
		module.elf = elf_of(symbols, map);
		module.is_program = !strcmp(module.path, symbols->exe);
		if (module.elf)
			fn(context, &module);
	}
}
