/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * Names for the addresses of a process. It is only read, never stopped: its mappings from
 * /proc/PID/maps, its files as it sees them (in a container, or deleted since). What was mapped at
 * the last refresh stays known after the process's end. Names come from files that others wrote:
 * escape them before printing.
 *
 * Files of one build are shared between processes, so all that names addresses belongs to one
 * thread. Files and tables are opened and loaded when first needed, which can take long for big
 * programs: keep it off the path that drains events.
 */
#ifndef THREADPROF_SYMBOLS_H
#define THREADPROF_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct symbols;

/* What is not known is "" or 0. */
struct symbols_frame {
	char function[256];
	char file[256]; /* source file; its end, after "..", if it is too long */
	uint32_t line;
	char module[64];
	uint64_t offset; /* the address as it stands in the module's file */
	bool inlined; /* into the next frame's function */
};

/*
 * Reads the mappings of @pid; opens nothing else of it but its root directory, which stays open
 * (its file system can't be unmounted) until symbols__free(). -ESRCH, -EACCES, -ENOMEM, or 0.
 */
int symbols__new(pid_t pid, struct symbols **out);
void symbols__free(struct symbols *symbols);

/*
 * Reads the mappings again, for libraries that were loaded since, or another program after exec.
 * Cheap if nothing changed. Keeps what it knows if the process has ended. Code compiled at run time
 * is looked for again in the runtime's file.
 */
void symbols__refresh(struct symbols *symbols);

/*
 * The variable at @addr: "name", "name+0x1b0", or "libfoo.so+0x1234" (the address as it stands in
 * that file) where there is no symbol; false where @addr is in no program or library: heap, stack,
 * other memory. Too long a name is cut at its end, not the offset.
 */
bool symbols__data_name(struct symbols *symbols, uint64_t addr, char *buf, size_t size);

/*
 * Where the variable @name is, [*start, *end): in the program's executable, or else in the modules
 * whose file name matches the shell pattern @modules ("libpython*"); NULL: in the executable only.
 * Reads no debug files. False if it is not there.
 */
bool symbols__find(struct symbols *symbols, const char *name, const char *modules, uint64_t *start,
		   uint64_t *end);

/*
 * What runs at @pc: inlined functions first, the function that holds them last, at most @max
 * frames. For a return address pass the address before it, which is in the call. Returns the number
 * of frames; one without a function where only the module is known; 0 where nothing is.
 */
int symbols__frame(struct symbols *symbols, uint64_t pc, struct symbols_frame *frames, size_t max);

/* The same without source lines and inlined functions: 1 or 0. Does not read what only these take: much, mostly. */
int symbols__function(struct symbols *symbols, uint64_t pc, struct symbols_frame *frame);

/* The file name of the program or library that @pc is in; "": in none. Valid until the next call of any of these. */
const char *symbols__module(struct symbols *symbols, uint64_t pc);

struct elf_file;

/* Calls @fn for each program and library that is mapped, with where its addresses begin and end in the process. */
typedef void (*symbols_module_fn)(void *context, const char *name, struct elf_file *elf, uint64_t start,
				  uint64_t end);
void symbols__each_module(struct symbols *symbols, symbols_module_fn fn, void *context);

/* Changes when the mappings have changed. */
uint64_t symbols__version(const struct symbols *symbols);

/* A program or library whose code is mapped. Valid during the call only. */
struct symbols_code_file {
	const struct elf_file *elf;
	const char *path; /* as the process sees it */
	bool is_program;
};

typedef void (*symbols_code_file_fn)(void *context, const struct symbols_code_file *module);

/* Calls @fn once for each file that the process has code of. */
void symbols__each_code_file(struct symbols *symbols, symbols_code_file_fn fn, void *context);

#endif /* THREADPROF_SYMBOLS_H */
