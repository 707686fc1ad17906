// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "fallback.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "log.h"

static const char *const names[NR_FALLBACKS] = {
	[FALLBACK_KERNEL_BTF] = "kernel_btf",
	[FALLBACK_TASK_STORAGE] = "task_storage",
	[FALLBACK_TP_BTF] = "tp_btf",
	[FALLBACK_CURRENT_TASK_BTF] = "current_task_btf",
	[FALLBACK_TASK_PT_REGS] = "task_pt_regs",
	[FALLBACK_PREV_STATE] = "prev_state",
	[FALLBACK_GROUP_DEAD] = "group_dead",
	[FALLBACK_MEM_ALLOC] = "mem_alloc",
	[FALLBACK_RDONLY_CAST] = "rdonly_cast",
	[FALLBACK_STEADY_SYS_EXIT] = "steady_sys_exit",
	[FALLBACK_STEADY_PROCESSES] = "steady_processes",
};

const char *fallback__name(enum fallback which)
{
	return names[which];
}

static int unknown(const char *name, int length)
{
	char all[256] = "";

	for (size_t i = 0; i < NR_FALLBACKS; i++) {
		if (i)
			strcat(all, ", ");
		strcat(all, names[i]);
	}
	return log__fail(-EINVAL, "\"%.*s\" is nothing that has a fallback; --force-fallback takes %s", length, name,
			 all);
}

static int parse_one(const char *name, size_t length, unsigned *forced)
{
	for (size_t i = 0; i < NR_FALLBACKS; i++) {
		if (strlen(names[i]) == length && !strncmp(names[i], name, length)) {
			*forced |= FALLBACK_BIT(i);
			return 0;
		}
	}
	return unknown(name, (int)length);
}

int fallback__parse(const char *list, unsigned *forced)
{
	for (const char *name = list;; name++) {
		size_t length = strcspn(name, ",");
		int err = parse_one(name, length, forced);

		if (err)
			return err;
		name += length;
		if (!*name)
			return 0;
	}
}
