// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "demangle.h"
#include "elf_file.h"
#include "jit_map.h"
#include "maps.h"
#include "rooted.h"
#include "symbols.h"

struct {
	int first;
	int second[7];
} symbols_test_data = { 1, { 2 } };
char symbols_test_bss[1 << 20];
static int symbols_test_static = 3;
static __thread int symbols_test_tls = 4;

static char dir[] = "/tmp/threadprof-symbols-XXXXXX";

static const char c_source[] = "int lib_lock[8] = { 1 };\n"
			       "static int lib_hidden[8] = { 1 };\n"
			       "char lib_bss[300000];\n"
			       "static inline __attribute__((always_inline)) int lib_inner(int x)\n"
			       "{\n"
			       "	return x * lib_lock[x & 7];\n"
			       "}\n"
			       "int lib_outer(int x)\n"
			       "{\n"
			       "	return lib_inner(x) + 1;\n"
			       "}\n"
			       "int *lib_where(void)\n"
			       "{\n"
			       "	return lib_hidden;\n"
			       "}\n";
static const char cxx_source[] = "namespace pool {\n"
				 "struct worker {\n"
				 "	static int lock;\n"
				 "	int run(int x);\n"
				 "};\n"
				 "int worker::lock = 1;\n"
				 "int worker::run(int x) { return x + lock; }\n"
				 "}\n"
				 "extern \"C\" int *cxx_lock() { return &pool::worker::lock; }\n"
				 "extern \"C\" long cxx_run()\n"
				 "{\n"
				 "	union { int (pool::worker::*f)(int); long at; } u;\n"
				 "	u.f = &pool::worker::run;\n"
				 "	return u.at;\n"
				 "}\n";

static bool shell(const char *format, ...)
{
	char command[1024];
	va_list args;

	va_start(args, format);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	vsnprintf(command, sizeof(command), format, args);
#pragma GCC diagnostic pop
	va_end(args);
	return system(command) == 0;
}

static const char *in_dir(const char *name)
{
	static char path[4][128];
	static unsigned int turn;
	char *to = path[turn++ % 4];

	snprintf(to, sizeof(path[0]), "%s/%s", dir, name);
	return to;
}

static void write_file(const char *path, const void *data, size_t size)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, size, file), size);
	fclose(file);
}

static struct symbols *symbols_of(pid_t pid)
{
	struct symbols *symbols;

	assert_int_equal(symbols__new(pid, &symbols), 0);
	return symbols;
}

static void assert_data(struct symbols *symbols, const void *addr, const char *want)
{
	char name[128];

	assert_true(symbols__data_name(symbols, (uintptr_t)addr, name, sizeof(name)));
	assert_string_equal(name, want);
}

static void *load(const char *path)
{
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);

	if (!library)
		fail_msg("%s", dlerror());
	return library;
}

static int build_libraries(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	write_file(in_dir("plain.c"), c_source, strlen(c_source));
	write_file(in_dir("plain.cc"), cxx_source, strlen(cxx_source));
	return shell("cd %s && cc -shared -fPIC -g -O2 -Wl,--build-id=none -o libplain.so plain.c &&"
		     " cp libplain.so libdeleted.so && cp libplain.so libchild.so",
		     dir)
		       ? 0
		       : -1;
}

static int remove_libraries(void **state)
{
	(void)state;
	shell("rm -rf %s", dir);
	return 0;
}

static void test_data_of_this_program(void **state)
{
	struct symbols *symbols = symbols_of(getpid());
	char *heap = malloc(64);
	char name[128], small[16];

	(void)state;
	assert_data(symbols, &symbols_test_data, "symbols_test_data");
	assert_data(symbols, &symbols_test_data.second[3], "symbols_test_data+0x10");
	assert_data(symbols, &symbols_test_bss[0x54321], "symbols_test_bss+0x54321");
	assert_data(symbols, &symbols_test_static, "symbols_test_static");
	assert_false(symbols__data_name(symbols, (uintptr_t)heap, name, sizeof(name)));
	assert_false(symbols__data_name(symbols, (uintptr_t)name, name, sizeof(name)));
	assert_false(symbols__data_name(symbols, (uintptr_t)&symbols_test_tls, name, sizeof(name)));
	assert_false(symbols__data_name(symbols, 0, name, sizeof(name)));
	assert_false(symbols__data_name(symbols, UINT64_MAX, name, sizeof(name)));
	assert_true(symbols__data_name(symbols, (uintptr_t)&symbols_test_bss[0x54321], small,
				       sizeof(small)));
	assert_string_equal(small, "symbols+0x54321");
	free(heap);
	symbols__free(symbols);
}

static void test_find(void **state)
{
	struct symbols *symbols = symbols_of(getpid());
	void *library = load(in_dir("libplain.so"));
	uint64_t start, end;

	(void)state;
	assert_true(symbols__find(symbols, "symbols_test_bss", NULL, &start, &end));
	assert_int_equal(start, (uintptr_t)symbols_test_bss);
	assert_int_equal(end - start, sizeof(symbols_test_bss));
	assert_false(symbols__find(symbols, "lib_lock", "libplain*", &start, &end));
	symbols__refresh(symbols);
	assert_false(symbols__find(symbols, "lib_lock", NULL, &start, &end));
	assert_false(symbols__find(symbols, "lib_lock", "libother*", &start, &end));
	assert_true(symbols__find(symbols, "lib_lock", "libplain*", &start, &end));
	assert_int_equal(start, (uintptr_t)dlsym(library, "lib_lock"));
	assert_int_equal(end - start, 32);
	dlclose(library);
	symbols__free(symbols);
}

static void test_library(void **state)
{
	void *library = load(in_dir("libplain.so"));
	struct symbols *symbols = symbols_of(getpid());
	int *(*where)(void) = (int *(*)(void))dlsym(library, "lib_where");

	(void)state;
	assert_data(symbols, (char *)dlsym(library, "lib_lock") + 4, "lib_lock+0x4");
	assert_data(symbols, (char *)dlsym(library, "lib_bss") + 299999, "lib_bss+0x493df");
	assert_data(symbols, where() + 1, "lib_hidden+0x4");
	dlclose(library);
	symbols__free(symbols);
}

static void test_deleted_library(void **state)
{
	struct symbols *symbols;
	void *library;

	(void)state;
	if (geteuid()) {
		print_message("only root may open deleted files of a process\n");
		skip();
	}
	library = load(in_dir("libdeleted.so"));
	unlink(in_dir("libdeleted.so"));
	/* what stands there now is not what is mapped */
	write_file(in_dir("libdeleted.so"), "new", 3);
	symbols = symbols_of(getpid());
	assert_data(symbols, dlsym(library, "lib_lock"), "lib_lock");
	dlclose(library);
	symbols__refresh(symbols);
	symbols__free(symbols);
}

static void test_stripped_library(void **state)
{
	struct symbols *symbols;
	uint64_t start, end;
	int *(*where)(void);
	char name[128];
	void *library;

	(void)state;
	if (!shell("cd %s && strip -o libstripped.so libplain.so 2>/dev/null", dir)) {
		print_message("no strip here\n");
		skip();
	}
	library = load(in_dir("libstripped.so"));
	symbols = symbols_of(getpid());
	where = (int *(*)(void))dlsym(library, "lib_where");
	assert_data(symbols, dlsym(library, "lib_lock"), "lib_lock");
	assert_true(symbols__data_name(symbols, (uintptr_t)where(), name, sizeof(name)));
	assert_int_equal(strncmp(name, "libstripped.so+0x", 17), 0);
	assert_true(symbols__find(symbols, "lib_lock", "libstripped.so", &start, &end));
	dlclose(library);
	symbols__free(symbols);
}

static void test_separate_debug_file(void **state)
{
	struct symbols_frame frames[4];
	struct symbols *symbols;
	int *(*where)(void);
	void *library;

	(void)state;
	if (!shell("cd %s && mkdir .debug && objcopy --only-keep-debug libplain.so .debug/lib.debug"
		   " 2>/dev/null && cp .debug/lib.debug . && strip -o libsplit.so libplain.so &&"
		   " objcopy --add-gnu-debuglink=.debug/lib.debug libsplit.so && rm lib.debug",
		   dir)) {
		print_message("no objcopy here\n");
		skip();
	}
	library = load(in_dir("libsplit.so"));
	symbols = symbols_of(getpid());
	where = (int *(*)(void))dlsym(library, "lib_where");
	assert_data(symbols, where(), "lib_hidden");
	assert_int_equal(symbols__frame(symbols, (uintptr_t)where, frames, 4), 1);
	assert_in_range(frames[0].line, 12, 14);
	symbols__free(symbols);

	/* one that does not fit is not taken */
	assert_true(shell("echo >>%s", in_dir(".debug/lib.debug")));
	symbols = symbols_of(getpid());
	assert_int_equal(symbols__frame(symbols, (uintptr_t)where, frames, 4), 1);
	assert_string_equal(frames[0].function, "lib_where");
	assert_int_equal(frames[0].line, 0);
	dlclose(library);
	symbols__free(symbols);
}

static void test_frames(void **state)
{
	void *library = load(in_dir("libplain.so"));
	struct symbols *symbols = symbols_of(getpid());
	uint64_t outer = (uintptr_t)dlsym(library, "lib_outer");
	struct symbols_frame frames[4];
	bool seen = false;

	(void)state;
	for (uint64_t pc = outer; pc < outer + 16 && !seen; pc++) {
		int count = symbols__frame(symbols, pc, frames, 4);

		assert_true(count >= 1);
		if (count != 2)
			continue;
		seen = true;
		assert_string_equal(frames[0].function, "lib_inner");
		assert_true(frames[0].inlined);
		assert_int_equal(frames[0].line, 6);
		assert_string_equal(frames[1].function, "lib_outer");
		assert_false(frames[1].inlined);
		assert_int_equal(frames[1].line, 10);
		assert_string_equal(frames[1].module, "libplain.so");
		assert_non_null(strstr(frames[1].file, "/plain.c"));
		assert_int_equal(symbols__frame(symbols, pc, frames, 1), 1);
	}
	assert_true(seen);
	assert_int_equal(symbols__frame(symbols, (uintptr_t)frames, frames, 4), 0);
	assert_int_equal(symbols__frame(symbols, outer, frames, 0), 0);
	assert_int_equal(symbols__frame(symbols, (uintptr_t)test_frames, frames, 4), 1);
	assert_string_equal(frames[0].function, "test_frames");
	dlclose(library);
	symbols__free(symbols);
}

static void test_cxx_names(void **state)
{
	struct symbols_frame frames[4];
	struct symbols *symbols;
	void *library;
	char name[64];

	(void)state;
	demangle(name, sizeof(name), "_ZN4pool6worker3runEi");
	if (name[0] == '_' ||
	    !shell("cd %s && g++ -shared -fPIC -g -o libcxx.so plain.cc 2>/dev/null", dir)) {
		print_message("no g++ or no libstdc++ here\n");
		skip();
	}
	library = load(in_dir("libcxx.so"));
	symbols = symbols_of(getpid());
	assert_data(symbols, ((int *(*)(void))dlsym(library, "cxx_lock"))(), "pool::worker::lock");
	assert_int_equal(
		symbols__frame(symbols, ((long (*)(void))dlsym(library, "cxx_run"))(), frames, 4),
		1);
	assert_string_equal(frames[0].function, "pool::worker::run(int)");
	assert_int_equal(frames[0].line, 7);
	demangle(name, sizeof(name), "_ZN4core5alloc17h0123456789abcdefE");
	assert_string_equal(name, "core::alloc");
	demangle(name, 9, "_ZN4pool6worker3runEi");
	assert_string_equal(name, "pool::wo");
	dlclose(library);
	symbols__free(symbols);
}

static void test_rust_names(void **state)
{
	static const char *const names[][2] = {
		{ "_RNvNtCs1234_7mycrate3foo3bar", "mycrate::foo::bar" },
		{ "_RNvMNtNtNtNtCsjrHSEGnQ3l9_3std3sys4sync5mutex5futexNtB2_5Mutex14lock_contended",
		  "<std::sys::sync::mutex::futex::Mutex>::lock_contended" },
		{ "_RNvXs2a_NtCsjrHSEGnQ3l9_3std4pathNtB6_16StripPrefixErrorNtNtCsgEmfK2I1SDS_4core3fmt5Debug3fmt",
		  "<std::path::StripPrefixError as core::fmt::Debug>::fmt" },
		/* closures in closures, generic arguments */
		{ "_RNCNCNCNvNtCsjrHSEGnQ3l9_3std2rt19lang_start_internal00s_0B9_",
		  "std::rt::lang_start_internal::{closure#0}::{closure#0}::{closure#1}" },
		{ "_RINvNtCsgEmfK2I1SDS_4core3ptr13drop_in_placeNtNtNtCslNYArtu3iFV_5alloc3ffi5c_str8NulErrorE",
		  "core::ptr::drop_in_place::<alloc::ffi::c_str::NulError>" },
		{ "_RNvNtCs1234_7mycrate3foo3bar.llvm.4711", "mycrate::foo::bar" },
		/* none, cut, and one that refers to itself */
		{ "_RESULT", "_RESULT" },
		{ "_RNvNtCs1234_7mycrate3foo9bar", "_RNvNtCs1234_7mycrate3foo9bar" },
		{ "_RNvB_3bar", "_RNvB_3bar" },
		{ "_R", "_R" },
	};
	char name[128];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		demangle(name, sizeof(name), names[i][0]);
		assert_string_equal(name, names[i][1]);
	}
	demangle(name, 9, names[0][0]);
	assert_string_equal(name, "mycrate:");
}

static void test_names_made_to_explode_stay(void **state)
{
	char bomb[1200] = "_Z1fSt4pairIiiE";
	char out[2000];

	(void)state;
	for (int i = 0; i < 60; i++)
		snprintf(bomb + strlen(bomb), 20, "S0_IS%c_S%c_E", '0' + i % 10, '0' + i % 10);
	demangle(out, sizeof(out), bomb);
	assert_string_equal(out, bomb);
	demangle(out, sizeof(out), "_Z");
	assert_string_equal(out, "_Z");
	demangle(out, sizeof(out), "");
	assert_string_equal(out, "");
}

/* A process that maps a library, ends, and is asked about afterwards. */
static void test_names_outlive_the_process(void **state)
{
	struct symbols *symbols, *none;
	int pipes[2];
	void *addr;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		addr = dlsym(load(in_dir("libchild.so")), "lib_lock");
		if (write(pipes[1], &addr, sizeof(addr)) == sizeof(addr))
			pause();
		_exit(0);
	}
	assert_int_equal(read(pipes[0], &addr, sizeof(addr)), sizeof(addr));
	symbols = symbols_of(pid);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	symbols__refresh(symbols);
	assert_data(symbols, addr, "lib_lock");
	symbols__refresh(symbols);
	assert_data(symbols, addr, "lib_lock");
	symbols__free(symbols);
	assert_int_equal(symbols__new(pid, &none), -ESRCH);
	close(pipes[0]);
	close(pipes[1]);
}

static void test_jit_code(void **state)
{
	struct symbols *symbols = symbols_of(getpid());
	struct symbols_frame frame;
	char path[64], text[128];
	void *code = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t pc = (uintptr_t)code;

	(void)state;
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", getpid());
	snprintf(text, sizeof(text), "%lx 100 old\n%lx 80 py::handle:/srv/app.py\n", pc, pc);
	write_file(in_dir("jit"), text, strlen(text));
	assert_int_equal(symbols__frame(symbols, pc, &frame, 1), 0);

	/* a link to somewhere else is not followed */
	assert_int_equal(symlink(in_dir("jit"), path), 0);
	symbols__refresh(symbols);
	assert_int_equal(symbols__frame(symbols, pc, &frame, 1), 0);
	unlink(path);

	write_file(path, text, strlen(text));
	assert_int_equal(symbols__frame(symbols, pc, &frame, 1), 0);
	symbols__refresh(symbols);
	assert_int_equal(symbols__frame(symbols, pc + 0x7f, &frame, 1), 1);
	assert_string_equal(frame.function, "py::handle:/srv/app.py");
	assert_int_equal(symbols__frame(symbols, pc + 0x80, &frame, 1), 1);
	assert_string_equal(frame.function, "old");
	assert_int_equal(symbols__frame(symbols, pc + 0x100, &frame, 1), 0);
	unlink(path);
	munmap(code, 4096);
	symbols__free(symbols);
}

static void test_jit_map_is_not_trusted(void **state)
{
	static const char text[] = "10 10 good\n"
				   "zz 10 bad\n\n"
				   "-10 10 bad\n"
				   "10 -1 bad\n"
				   "20\n"
				   "20 10\n"
				   "20 10 \n"
				   "ffffffffffffffffffffff 10 bad\n"
				   "fffffffffffffff0 ffff wraps\n"
				   "20 0 empty\n"
				   "30 10 half";
	struct jit_map *jit = jit_map__new();
	char name[16];
	int fd;

	(void)state;
	write_file(in_dir("jit"), text, strlen(text));
	fd = open(in_dir("jit"), O_RDWR | O_APPEND);
	assert_int_equal(jit_map__read(jit, fd, getuid() + 1), -EPERM);
	assert_int_equal(jit_map__read(jit, fd, getuid()), 0);
	assert_true(jit_map__name(jit, 0x1f, name, sizeof(name)));
	assert_string_equal(name, "good");
	assert_false(jit_map__name(jit, 0x20, name, sizeof(name)));
	assert_false(jit_map__name(jit, 0x30, name, sizeof(name)));
	assert_false(jit_map__name(jit, UINT64_MAX, name, sizeof(name)));
	assert_int_equal(write(fd, "way\n", 4), 4);
	assert_int_equal(jit_map__read(jit, fd, getuid()), 0);
	assert_true(jit_map__name(jit, 0x30, name, 6));
	assert_string_equal(name, "halfw");
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(jit_map__read(jit, fd, getuid()), 0);
	assert_false(jit_map__name(jit, 0x1f, name, sizeof(name)));
	close(fd);
	jit_map__free(jit);
}

static void test_maps(void **state)
{
	static const char text[] =
		"1000-2000 r--p 00000000 08:01 7                  /bin/a b\n"
		"2000-3000 rw-p 00001000 08:01 7                  /bin/a b\n"
		"3000-4000 rw-p 00000000 00:00 0 \n"
		"5000-6000 rw-p 00000000 00:00 0                  [heap]\n"
		"6000-7000 r-xp 00000000 08:01 9                  /lib/x.so (deleted)\n"
		"6800-7800 r-xp 00000000 08:01 9                  /lib/overlap\n"
		"8000-7000 r-xp 00000000 08:01 9                  /lib/backwards\n"
		"8000-9000 r-xp\n"
		"8000-9000 r-xp 00000000 08:01 99999999999999999999999 /lib/huge\n"
		"garbage\n\n"
		"9000-a000 r-xp 00000000 00:00 0                  [vdso]";
	struct maps maps;

	(void)state;
	assert_int_equal(maps__parse(&maps, text, strlen(text)), 0);
	assert_int_equal(maps.nr, 4);
	assert_int_equal(maps.nr_files, 3);
	assert_string_equal(maps.files[0].path, "/bin/a b");
	assert_string_equal(maps.files[1].path, "/lib/x.so");
	assert_true(maps.files[1].deleted && !maps.files[0].deleted);
	assert_true(maps.list[1].write && !maps.list[1].exec && maps.list[2].exec);
	assert_null(maps__below(&maps, 0xfff));
	assert_ptr_equal(maps__below(&maps, 0x3800), &maps.list[1]);
	assert_ptr_equal(maps__below(&maps, 0x6000), &maps.list[2]);
	maps__clear(&maps);
	for (size_t len = 0; len < sizeof(text); len++) {
		char *copy = malloc(len + 1);

		memcpy(copy, text, len);
		assert_int_equal(maps__parse(&maps, copy, len), 0);
		maps__clear(&maps);
		free(copy);
	}
}

/* Asks for everything that reads the file. */
static void use_file(const char *path)
{
	const struct elf_place place = { .root_fd = -1, .path = path };
	struct symbols_frame frames[4];
	struct source_lines *lines;
	struct elf_file *file;
	uint64_t addr, size;
	char name[64];

	if (elf_file__get(open(path, O_RDONLY | O_CLOEXEC), &file))
		return;
	elf_file__find(file, "lib_lock", &addr, &size);
	lines = elf_file__lines(file, &place);
	for (addr = 0x1000; addr < 0x5000; addr += 0x11) {
		elf_file__symbol(file, &place, ELF_DATA, addr, name, sizeof(name), &size);
		elf_file__symbol(file, &place, ELF_FUNCTIONS, addr, name, sizeof(name), &size);
		if (lines)
			source_lines__at(lines, addr, frames, 4);
	}
	elf_file__put(file);
}

static void break_file(const char *path)
{
	int fd = open(path, O_RDONLY);
	unsigned char *whole, *bent;
	uint32_t random = 1;
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	whole = malloc(st.st_size);
	bent = malloc(st.st_size);
	assert_int_equal(read(fd, whole, st.st_size), st.st_size);
	close(fd);
	for (off_t len = 0; len < st.st_size; len += len < 128 ? 1 : 97) {
		write_file(in_dir("cut"), whole, len);
		use_file(in_dir("cut"));
	}
	for (int i = 0; i < 400; i++) {
		memcpy(bent, whole, st.st_size);
		for (int flips = 0; flips < 1 + i % 16; flips++) {
			/* headers first, then anywhere */
			off_t range = i % 4 == 0 ? 512 : st.st_size;

			random = random * 1664525 + 1013904223;
			bent[(random >> 8) % range] ^= 1 << (random >> 4) % 8;
			if (i % 4 == 1)
				bent[st.st_size - 1 - (random >> 8) % 2048] = random >> 12;
		}
		write_file(in_dir("bent"), bent, st.st_size);
		use_file(in_dir("bent"));
	}
	free(whole);
	free(bent);
}

static void test_broken_files(void **state)
{
	(void)state;
	break_file(in_dir("libplain.so"));
	if (shell("cd %s && cc -shared -fPIC -g -gz -O2 -o libpacked.so plain.c 2>/dev/null", dir))
		break_file(in_dir("libpacked.so"));
	else
		print_message("no compressed debug sections here\n");
}

static void test_only_regular_files_are_opened(void **state)
{
	int root = open(dir, O_PATH | O_DIRECTORY);
	int fd;

	(void)state;
	assert_int_equal(mkfifo(in_dir("fifo"), 0600), 0);
	assert_int_equal(rooted__open(-1, in_dir("fifo"), true), -EINVAL);
	assert_int_equal(rooted__open(-1, "/dev/null", true), -EINVAL);
	assert_int_equal(rooted__open(-1, dir, true), -EINVAL);
	fd = rooted__open(root, "/plain.c", true);
	assert_true(fd >= 0);
	close(fd);
	/* out of the root directory by no way; the fallback for old kernels can't promise that */
	assert_int_equal(symlink("../../../../../../etc/passwd", in_dir("up")), 0);
	fd = rooted__open(root, "/up", true);
	if (fd >= 0) {
		print_message("no openat2 here\n");
		close(fd);
	}
	assert_true(rooted__open(root, "/up", false) < 0);
	close(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_data_of_this_program),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_library),
		cmocka_unit_test(test_deleted_library),
		cmocka_unit_test(test_stripped_library),
		cmocka_unit_test(test_separate_debug_file),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_cxx_names),
		cmocka_unit_test(test_rust_names),
		cmocka_unit_test(test_names_made_to_explode_stay),
		cmocka_unit_test(test_names_outlive_the_process),
		cmocka_unit_test(test_jit_code),
		cmocka_unit_test(test_jit_map_is_not_trusted),
		cmocka_unit_test(test_maps),
		cmocka_unit_test(test_broken_files),
		cmocka_unit_test(test_only_regular_files_are_opened),
	};

	return cmocka_run_group_tests_name("symbols", tests, build_libraries, remove_libraries);
}
