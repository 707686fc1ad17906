// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "lock_library.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "elf_file.h"
#include "maps.h"
#include "symbol_table.h"
#include "symbols.h"
#include "threadprof.h"

static const char *const function_names[] = {
	"pthread_mutex_lock",	     "pthread_mutex_trylock",	   "pthread_mutex_timedlock",
	"pthread_mutex_clocklock",   "pthread_rwlock_rdlock",	   "pthread_rwlock_wrlock",
	"pthread_rwlock_tryrdlock",  "pthread_rwlock_trywrlock",   "pthread_rwlock_timedrdlock",
	"pthread_rwlock_timedwrlock", "pthread_rwlock_clockrdlock", "pthread_rwlock_clockwrlock",
};

#define NR_FUNCTIONS (sizeof(function_names) / sizeof(function_names[0]))
#define NR_MUTEX_FUNCTIONS 4 /* the first ones */
_Static_assert(NR_FUNCTIONS <= UPROBE_MAX_PLACES, "a place for each function");

/* Of programs and libraries that switch between stacks by themselves. */
static const char *const coroutine_names[] = { "makecontext", "swapcontext", "jump_fcontext",
					       "bthread_start_urgent" };
static const char *const coroutine_libraries[] = {
	"libboost_context*", "libboost_coroutine*", "libboost_fiber*", "libbthread*", "libbrpc*",
	"*greenlet*.so",     "libco.so*",	    "libcoro.so*",     "libpth.so*",
};

#define NR(list) (sizeof(list) / sizeof((list)[0]))

static const struct lock_refusal is_go = { "it is a Go program, whose moving stacks a return probe destroys",
					   "--locks=scheduler sees the waits of Go's locks too" };
static const struct lock_refusal has_coroutines = {
	"it switches between stacks by itself (coroutines), where a return probe kills", "--locks=scheduler"
};
static const struct lock_refusal has_seccomp = {
	"it is under a seccomp filter, which may kill it at the system call that return probes make",
	"--locks=scheduler, or run it without the filter"
};
static const struct lock_refusal is_32_bit = { "it is a 32-bit program", "--locks=scheduler" };
static const struct lock_refusal has_none = {
	"no lock function is found in its program and libraries (stripped, or linked into other code)",
	"a program that is not stripped, or --locks=scheduler"
};

struct look {
	struct lock_library *libraries;
	size_t nr;
	const struct lock_refusal *refusal;
};

/* --- what is against it --- */

static bool has_filter(pid_t pid, const char *tid)
{
	char path[64], line[256];
	int mode = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%.16s/status", pid, tid);
	file = fopen(path, "re");
	if (!file)
		return false;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "Seccomp: %d", &mode) == 1)
			break;
	}
	fclose(file);
	return mode != 0;
}

bool lock_library__is_filtered(pid_t pid)
{
	char tid[16];

	snprintf(tid, sizeof(tid), "%d", pid);
	return has_filter(pid, tid);
}

/* A filter is a thread's own. */
static bool is_any_filtered(pid_t pid)
{
	char path[32];
	struct dirent *entry;
	bool found = false;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tasks = opendir(path);
	if (!tasks)
		return false;
	while (!found && (entry = readdir(tasks)))
		found = entry->d_name[0] != '.' && has_filter(pid, entry->d_name);
	closedir(tasks);
	return found;
}

static bool has_section(int fd, const char *const *names, size_t nr)
{
	bool found = false;
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	size_t strings;
	Elf *elf;

	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	if (elf && !elf_getshdrstrndx(elf, &strings)) {
		while (!found && (section = elf_nextscn(elf, section))) {
			const char *name = gelf_getshdr(section, &header) ? elf_strptr(elf, strings, header.sh_name)
									   : NULL;

			for (size_t i = 0; name && i < nr; i++)
				found |= !strcmp(name, names[i]);
		}
	}
	elf_end(elf);
	return found;
}

/* What a program uses of another library's shows as an undefined symbol. */
static bool imports_any(int fd, const char *const *names, size_t nr)
{
	bool found = false;
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	GElf_Sym symbol;
	Elf *elf;

	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	while (elf && !found && (section = elf_nextscn(elf, section))) {
		Elf_Data *data;

		if (!gelf_getshdr(section, &header) || header.sh_type != SHT_DYNSYM)
			continue;
		data = elf_getdata(section, NULL);
		for (int i = 0; data && !found && gelf_getsym(data, i, &symbol); i++) {
			const char *name = elf_strptr(elf, header.sh_link, symbol.st_name);

			for (size_t j = 0; name && symbol.st_shndx == SHN_UNDEF && j < nr; j++)
				found |= !strcmp(name, names[j]);
		}
	}
	elf_end(elf);
	return found;
}

static bool has_coroutines_in(const struct symbols_code_file *module)
{
	uint64_t addrs[NR(coroutine_names)];

	for (size_t i = 0; i < NR(coroutine_libraries); i++) {
		if (!fnmatch(coroutine_libraries[i], maps__basename(module->path), 0))
			return true;
	}
	/* A library may have a use for them that this program never comes to, such as libcrypto. */
	return module->is_program &&
	       (imports_any(module->elf->fd, coroutine_names, NR(coroutine_names)) ||
		symbol_table__find_functions(module->elf->fd, false, coroutine_names, NR(coroutine_names), addrs));
}

static const struct lock_refusal *objection(const struct symbols_code_file *module)
{
	static const char *const go_sections[] = { ".note.go.buildid", ".go.buildinfo" };
	unsigned char ident[EI_NIDENT] = "";

	if (pread(module->elf->fd, ident, sizeof(ident), 0) == sizeof(ident) && ident[EI_CLASS] != ELFCLASS64)
		return &is_32_bit;
	if (has_section(module->elf->fd, go_sections, NR(go_sections)))
		return &is_go;
	return has_coroutines_in(module) ? &has_coroutines : NULL;
}

/* --- the functions --- */

static bool has_place(const struct lock_library *library, uint64_t offset)
{
	for (size_t i = 0; i < library->nr_places; i++) {
		if (library->places[i].offset == offset)
			return true;
	}
	return false;
}

/* From an address in memory to the place in the file that the code comes from. */
static void add_place(struct lock_library *library, const struct elf_file *elf, uint64_t addr, uint32_t kind)
{
	for (size_t i = 0; i < elf->nr_loads; i++) {
		const struct elf_load *load = &elf->loads[i];
		uint64_t offset = addr - load->addr + load->offset;

		if (!load->exec || addr - load->addr >= load->file_size || has_place(library, offset))
			continue;
		library->places[library->nr_places++] = (struct uprobe_place){ .offset = offset, .cookie = kind };
		return;
	}
}

/* A stripped library has the dynamic symbols only, a static program the others only. */
static bool find_functions(const struct elf_file *elf, bool is_program, uint64_t addrs[NR_FUNCTIONS])
{
	if (symbol_table__find_functions(elf->fd, true, function_names, NR_FUNCTIONS, addrs))
		return true;
	return is_program && symbol_table__find_functions(elf->fd, false, function_names, NR_FUNCTIONS, addrs);
}

static void on_module(void *context, const struct symbols_code_file *module)
{
	struct look *look = context;
	struct lock_library *library = &look->libraries[look->nr];
	uint64_t addrs[NR_FUNCTIONS];
	struct stat st;

	if (!look->refusal)
		look->refusal = objection(module);
	if (look->refusal || look->nr == LOCK_LIBRARIES_MAX ||
	    !find_functions(module->elf, module->is_program, addrs) || fstat(module->elf->fd, &st))
		return;
	memset(library, 0, sizeof(*library));
	for (size_t i = 0; i < NR_FUNCTIONS; i++) {
		if (addrs[i])
			add_place(library, module->elf, addrs[i],
				  i < NR_MUTEX_FUNCTIONS ? TP_LOCK_MUTEX : TP_LOCK_RWLOCK);
	}
	if (!library->nr_places)
		return;
	library->dev = st.st_dev;
	library->inode = st.st_ino;
	snprintf(library->name, sizeof(library->name), "%s", maps__basename(module->path));
	library->fd = fcntl(module->elf->fd, F_DUPFD_CLOEXEC, 0);
	look->nr += library->fd >= 0;
}

int lock_library__find(pid_t pid, struct lock_library *libraries, struct lock_refusal *refusal)
{
	struct look look = { .libraries = libraries };
	struct symbols *symbols;
	int err = symbols__new(pid, &symbols);

	if (err)
		return err;
	if (is_any_filtered(pid))
		look.refusal = &has_seccomp;
	else
		symbols__each_code_file(symbols, on_module, &look);
	symbols__free(symbols);
	if (look.refusal || !look.nr) {
		for (size_t i = 0; i < look.nr; i++)
			close(libraries[i].fd);
		*refusal = look.refusal ? *look.refusal : has_none;
		return 0;
	}
	*refusal = (struct lock_refusal){ 0 };
	return (int)look.nr;
}

/* --- our own --- */

/* In which file the code at an address is, and where in it. */
struct own_code {
	uintptr_t addr;
	const char *path; /* NULL: not found */
	uint64_t offset;
};

static int on_own_object(struct dl_phdr_info *info, size_t size, void *context)
{
	struct own_code *code = context;

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *load = &info->dlpi_phdr[i];
		uintptr_t at = code->addr - info->dlpi_addr - load->p_vaddr;

		if (load->p_type != PT_LOAD || at >= load->p_filesz)
			continue;
		code->path = info->dlpi_name && *info->dlpi_name ? info->dlpi_name : "/proc/self/exe";
		code->offset = load->p_offset + at;
		return 1;
	}
	return 0;
}

int lock_library__own(struct lock_library *library)
{
	struct own_code code = { .addr = (uintptr_t)pthread_mutex_lock };
	int fd;

	if (is_any_filtered(getpid()))
		return -EPERM;
	dl_iterate_phdr(on_own_object, &code);
	if (!code.path)
		return -ENOENT;
	fd = open(code.path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*library = (struct lock_library){
		.fd = fd,
		.places = { { .offset = code.offset, .cookie = TP_LOCK_MUTEX } },
		.nr_places = 1,
	};
	return 0;
}
