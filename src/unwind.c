// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "unwind.h"

#include <stdlib.h>
#include <string.h>

#include <elfutils/libdwfl.h>

#include "elf_file.h"

#if defined(__x86_64__)
#define REG_SP 7
#define REG_PC 16
#define NR_REGS 16 /* without pc */
#elif defined(__aarch64__)
#define REG_SP 31
#define REG_PC 32
#define NR_REGS 32
#else
#error "threadprof: no unwinding on this architecture"
#endif

struct unwinder {
	Dwfl *dwfl;
	const struct tp_rec_stack *rec; /* of the walk that goes on */
	uint64_t *pcs;
	size_t nr;
	struct elf_file *files[ELF_FILES_MAX]; /* of the modules, held */
	size_t nr_files;
};

/* --- modules --- */

/* Memory of the file's, or what reads it: no descriptor is the library's. */
static int find_elf(Dwfl_Module *module, void **user, const char *name, Dwarf_Addr base, char **file_name, Elf **elf)
{
	(void)module;
	(void)name;
	(void)base;
	(void)file_name;
	*elf = *user ? elf_file__frames(*user) : NULL;
	return -1;
}

/* The tables that unwinding needs are in the program itself. */
static int find_no_debuginfo(Dwfl_Module *module, void **user, const char *name, Dwarf_Addr base, const char *file,
			     const char *link, GElf_Word crc, char **path)
{
	(void)module;
	(void)user;
	(void)name;
	(void)base;
	(void)file;
	(void)link;
	(void)crc;
	(void)path;
	return -1;
}

static const Dwfl_Callbacks module_callbacks = {
	.find_elf = find_elf,
	.find_debuginfo = find_no_debuginfo,
};

static void report_module(void *context, const char *name, struct elf_file *elf, uint64_t start, uint64_t end)
{
	struct unwinder *unwinder = context;
	Dwfl_Module *module = dwfl_report_module(unwinder->dwfl, name, start, end);
	void **user;

	if (!module)
		return;
	dwfl_module_info(module, &user, NULL, NULL, NULL, NULL, NULL, NULL);
	if (*user || unwinder->nr_files == ELF_FILES_MAX)
		return;
	elf_file__hold(elf);
	unwinder->files[unwinder->nr_files++] = elf;
	*user = elf;
}

/* --- the thread as it was when its stack was copied --- */

static pid_t next_thread(Dwfl *dwfl, void *context, void **thread_context)
{
	struct unwinder *unwinder = context;

	(void)dwfl;
	if (*thread_context)
		return 0;
	*thread_context = unwinder;
	return 1;
}

static bool get_thread(Dwfl *dwfl, pid_t tid, void *context, void **thread_context)
{
	(void)dwfl;
	(void)tid;
	*thread_context = context;
	return true;
}

static bool read_memory(Dwfl *dwfl, Dwarf_Addr addr, Dwarf_Word *result, void *context)
{
	const struct tp_rec_stack *rec = ((struct unwinder *)context)->rec;
	uint64_t at = addr - rec->regs[REG_SP];

	(void)dwfl;
	if (at >= rec->bytes || rec->bytes - at < sizeof(*result))
		return false;
	memcpy(result, rec->stack + at, sizeof(*result));
	return true;
}

static bool set_registers(Dwfl_Thread *thread, void *context)
{
	const struct tp_rec_stack *rec = ((struct unwinder *)context)->rec;
	Dwarf_Word regs[NR_REGS];

	for (int i = 0; i < NR_REGS; i++)
		regs[i] = rec->regs[i];
	dwfl_thread_state_register_pc(thread, rec->regs[REG_PC]);
	return dwfl_thread_state_registers(thread, 0, NR_REGS, regs);
}

static const Dwfl_Thread_Callbacks thread_callbacks = {
	.next_thread = next_thread,
	.get_thread = get_thread,
	.memory_read = read_memory,
	.set_initial_registers = set_registers,
};

static int on_frame(Dwfl_Frame *frame, void *context)
{
	struct unwinder *unwinder = context;
	bool exact;
	Dwarf_Addr pc;

	if (!dwfl_frame_pc(frame, &pc, &exact) || !pc)
		return DWARF_CB_ABORT;
	unwinder->pcs[unwinder->nr++] = exact ? pc : pc - 1;
	return unwinder->nr < UNWIND_MAX ? DWARF_CB_OK : DWARF_CB_ABORT;
}

struct unwinder *unwinder__new(struct symbols *symbols)
{
	struct unwinder *unwinder = calloc(1, sizeof(*unwinder));

	if (!unwinder)
		return NULL;
	elf_version(EV_CURRENT);
	unwinder->dwfl = dwfl_begin(&module_callbacks);
	if (!unwinder->dwfl) {
		free(unwinder);
		return NULL;
	}
	symbols__each_module(symbols, report_module, unwinder);
	dwfl_report_end(unwinder->dwfl, NULL, NULL);
	/* Fails where no module can be read; then every walk ends at its first frame. */
	dwfl_attach_state(unwinder->dwfl, NULL, 1, &thread_callbacks, unwinder);
	return unwinder;
}

void unwinder__free(struct unwinder *unwinder)
{
	if (!unwinder)
		return;
	/* It gives back what it got of the files. */
	dwfl_end(unwinder->dwfl);
	for (size_t i = 0; i < unwinder->nr_files; i++)
		elf_file__put(unwinder->files[i]);
	free(unwinder);
}

size_t unwinder__walk(struct unwinder *unwinder, const struct tp_rec_stack *rec, uint64_t pcs[UNWIND_MAX])
{
	unwinder->rec = rec;
	unwinder->pcs = pcs;
	unwinder->nr = 0;
	dwfl_getthread_frames(unwinder->dwfl, 1, on_frame, unwinder);
	if (!unwinder->nr)
		pcs[unwinder->nr++] = rec->regs[REG_PC];
	return unwinder->nr;
}
