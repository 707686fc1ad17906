// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "elf_file.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "debug_image.h"

/*
 * Targets with many processes map the same files: each is opened once for all of them. Who names stacks asks for files
 * in one thread, who looks for lock functions in another.
 */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* of the list, and of the users of each */
static struct elf_file *files;
static size_t nr_files;

static bool read_loads(struct elf_file *file, Elf *elf)
{
	size_t nr;

	if (elf_getphdrnum(elf, &nr))
		return false;
	for (size_t i = 0; i < nr && i < UINT16_MAX && file->nr_loads < ELF_LOADS_MAX; i++) {
		GElf_Phdr header;

		if (!gelf_getphdr(elf, (int)i, &header))
			return false;
		if (header.p_type != PT_LOAD || header.p_memsz > UINT64_MAX - header.p_vaddr ||
		    header.p_filesz > INT64_MAX || header.p_offset > INT64_MAX)
			continue;
		file->loads[file->nr_loads++] = (struct elf_load){
			.offset = header.p_offset,
			.addr = header.p_vaddr,
			.file_size = header.p_filesz,
			.size = header.p_memsz,
			.write = header.p_flags & PF_W,
			.exec = header.p_flags & PF_X,
		};
	}
	return file->nr_loads > 0;
}

static bool read_headers(struct elf_file *file)
{
	bool good = false;
	Elf *elf;

	elf_version(EV_CURRENT);
	elf = elf_begin(file->fd, ELF_C_READ, NULL);
	if (elf && elf_kind(elf) == ELF_K_ELF && read_loads(file, elf)) {
		elf_debug__read(elf, &file->debug);
		good = true;
	}
	elf_end(elf);
	return good;
}

static struct elf_file *known(const struct stat *st)
{
	struct elf_file *file = files;

	while (file && !(file->dev == st->st_dev && file->ino == st->st_ino &&
			 file->size == st->st_size && file->changed.tv_sec == st->st_mtim.tv_sec &&
			 file->changed.tv_nsec == st->st_mtim.tv_nsec))
		file = file->next;
	return file;
}

/* A file that is not known yet. */
static int add_file(int fd, const struct stat *st, struct elf_file **out)
{
	struct elf_file *file;

	if (nr_files == ELF_FILES_MAX)
		return -EMFILE;
	file = calloc(1, sizeof(*file));
	if (!file)
		return -ENOMEM;
	*file = (struct elf_file){
		.next = files,
		.users = 1,
		.fd = fd,
		.debug_fd = -1,
		.dev = st->st_dev,
		.ino = st->st_ino,
		.size = st->st_size,
		.changed = st->st_mtim,
	};
	if (!read_headers(file)) {
		free(file);
		return -EINVAL;
	}
	files = file;
	nr_files++;
	*out = file;
	return 0;
}

int elf_file__get(int fd, struct elf_file **out)
{
	struct elf_file *file;
	struct stat st;
	int err = -EINVAL;

	if (fstat(fd, &st)) {
		close(fd);
		return err;
	}
	pthread_mutex_lock(&mutex);
	file = known(&st);
	if (file) {
		file->users++;
		*out = file;
		err = 0;
	} else {
		err = add_file(fd, &st, out);
	}
	pthread_mutex_unlock(&mutex);
	if (err || file)
		close(fd); /* else it is the new file's */
	return err;
}

void elf_file__hold(struct elf_file *file)
{
	pthread_mutex_lock(&mutex);
	file->users++;
	pthread_mutex_unlock(&mutex);
}

/* Takes it off the list; false: somebody else still uses it. */
static bool is_unused(struct elf_file *file)
{
	struct elf_file **link = &files;
	bool unused;

	pthread_mutex_lock(&mutex);
	unused = !--file->users;
	if (unused) {
		while (*link != file)
			link = &(*link)->next;
		*link = file->next;
		nr_files--;
	}
	pthread_mutex_unlock(&mutex);
	return unused;
}

void elf_file__put(struct elf_file *file)
{
	if (!file || !is_unused(file))
		return;
	for (int kind = 0; kind < ELF_NR_KINDS; kind++)
		symbol_table__clear(&file->tables[kind]);
	source_lines__free(file->lines);
	if (file->frames)
		debug_image__close(file->frames);
	free(file->frames);
	if (file->debug_fd >= 0)
		close(file->debug_fd);
	close(file->fd);
	free(file);
}

/*
 * One page of the file can be mapped twice, as the end of one part and the beginning of the next:
 * the part that begins there, then the one with the same rights, is the better guess.
 */
static int likeness(const struct elf_load *load, const struct map *map, uint64_t page)
{
	uint64_t first = load->offset & ~(page - 1);
	uint64_t end = load->offset + load->file_size;

	if (map->offset < first || map->offset >= end)
		return 0;
	return 1 + 4 * (map->offset == first) + 2 * (map->exec == load->exec) +
	       (map->write == load->write);
}

bool elf_file__bias(const struct elf_file *file, const struct map *map, uint64_t *bias)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	const struct elf_load *best = NULL;
	int best_likeness = 0;

	for (size_t i = 0; i < file->nr_loads; i++) {
		int like = likeness(&file->loads[i], map, page);

		if (like > best_likeness) {
			best_likeness = like;
			best = &file->loads[i];
		}
	}
	if (best)
		*bias = map->start - (best->addr - best->offset + map->offset);
	return best != NULL;
}

bool elf_file__contains(const struct elf_file *file, uint64_t addr)
{
	for (size_t i = 0; i < file->nr_loads; i++) {
		if (addr - file->loads[i].addr < file->loads[i].size)
			return true;
	}
	return false;
}

static int debug_fd(struct elf_file *file, const struct elf_place *place)
{
	if (!file->debug_tried) {
		file->debug_tried = true;
		file->debug_fd = elf_debug__open(&file->debug, file->fd, place);
	}
	return file->debug_fd;
}

/* .symtab has all that .dynsym has: the latter is for stripped files without a debug file. */
static void load_table(struct elf_file *file, const struct elf_place *place, enum elf_kind kind)
{
	struct symbol_table *table = &file->tables[kind];
	bool functions = kind == ELF_FUNCTIONS;

	file->table_tried[kind] = true;
	if (!symbol_table__load(table, file->fd, false, functions))
		return;
	if (debug_fd(file, place) >= 0 &&
	    !symbol_table__load(table, file->debug_fd, false, functions))
		return;
	symbol_table__load(table, file->fd, true, functions);
}

bool elf_file__symbol(struct elf_file *file, const struct elf_place *place, enum elf_kind kind,
		      uint64_t addr, char *name, size_t size, uint64_t *offset)
{
	const struct symbol *symbol;

	if (!file->table_tried[kind])
		load_table(file, place, kind);
	symbol = symbol_table__at(&file->tables[kind], addr);
	if (!symbol || !symbol_table__name(&file->tables[kind], symbol, name, size))
		return false;
	*offset = addr - symbol->start;
	return true;
}

bool elf_file__find(const struct elf_file *file, const char *name, uint64_t *addr, uint64_t *size)
{
	return symbol_table__find(file->fd, true, name, addr, size) ||
	       symbol_table__find(file->fd, false, name, addr, size);
}

static void load_frames(struct elf_file *file)
{
	file->frames_tried = true;
	file->frames = calloc(1, sizeof(*file->frames));
	if (!file->frames || !debug_image__open_unwind(file->frames, file->fd))
		return;
	free(file->frames);
	file->frames = NULL;
}

/* Where sections don't tell where the tables are, libdw finds them, and reads all that is behind them. */
Elf *elf_file__frames(struct elf_file *file)
{
	if (!file->frames_tried)
		load_frames(file);
	return file->frames ? elf_begin(-1, ELF_C_READ, file->frames->elf) : elf_begin(file->fd, ELF_C_READ, NULL);
}

struct source_lines *elf_file__lines(struct elf_file *file, const struct elf_place *place)
{
	if (!file->lines_tried) {
		file->lines_tried = true;
		if (source_lines__open(file->fd, &file->lines) && debug_fd(file, place) >= 0)
			source_lines__open(file->debug_fd, &file->lines);
	}
	file->lines_used = true;
	return file->lines;
}

void elf_file__drop_unused_lines(void)
{
	pthread_mutex_lock(&mutex);
	for (struct elf_file *file = files; file; file = file->next) {
		if (file->lines && !file->lines_used) {
			source_lines__free(file->lines);
			file->lines = NULL;
			file->lines_tried = false;
		}
		file->lines_used = false;
	}
	pthread_mutex_unlock(&mutex);
}
