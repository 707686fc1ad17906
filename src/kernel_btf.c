// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "kernel_btf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/btf.h>
#include <bpf/libbpf.h>

#define OWN_PATH "/sys/kernel/btf/vmlinux"

/* A member that this machine's registers have, and no other's. Both machines are little-endian, of 64 bits. */
#if defined(__x86_64__)
#define OWN_REGISTER "orig_ax"
#else
#define OWN_REGISTER "orig_x0"
#endif

static const char *given_file;
static bool is_without;

void kernel_btf__choose(const char *file, bool without)
{
	given_file = file;
	is_without = without;
}

bool kernel_btf__has_own(void)
{
	return !access(OWN_PATH, R_OK);
}

const char *kernel_btf__file(void)
{
	if (given_file)
		return given_file;
	return is_without ? OWN_PATH : NULL;
}

bool kernel_btf__is_given(void)
{
	return given_file;
}

const char *kernel_btf__remedy(void)
{
	return "--btf takes the BTF of exactly the kernel that 'uname -r' names: from an archive of BTF files, or by "
	       "'pahole --btf_encode_detached=FILE VMLINUX' from its debug symbols";
}

static const struct btf_type *find_struct(const struct btf *btf, const char *name)
{
	int id = btf__find_by_name_kind(btf, name, BTF_KIND_STRUCT);

	return id > 0 ? btf__type_by_id(btf, id) : NULL;
}

static bool has_member(const struct btf *btf, const struct btf_type *type, const char *name)
{
	for (int i = 0; i < btf_vlen(type); i++) {
		if (!strcmp(btf__name_by_offset(btf, btf_members(type)[i].name_off), name))
			return true;
	}
	return false;
}

bool kernel_btf__is_right(const struct btf *btf, char *why, size_t size)
{
	const struct btf_type *regs = find_struct(btf, "pt_regs");
	const char *wrong = NULL;

	if (!find_struct(btf, "task_struct"))
		wrong = "describes no kernel: it has no struct task_struct";
	else if (btf__endianness(btf) != BTF_LITTLE_ENDIAN || !regs || !has_member(btf, regs, OWN_REGISTER))
		wrong = "describes the kernel of another architecture";
	if (wrong)
		snprintf(why, size, "%s %s", kernel_btf__file() ?: OWN_PATH, wrong);
	return !wrong;
}

int kernel_btf__load(struct btf **out, char *why, size_t size)
{
	const char *path = kernel_btf__file() ?: OWN_PATH;
	libbpf_print_fn_t print;
	struct btf *btf;

	if (access(path, R_OK)) {
		int err = -errno;

		snprintf(why, size, "cannot read the kernel's types from %s: %s", path, strerror(-err));
		return err;
	}
	/* What it says of a file that is none is no sentence of ours. */
	print = libbpf_set_print(NULL);
	btf = kernel_btf__file() ? btf__parse(path, NULL) : btf__load_vmlinux_btf();
	libbpf_set_print(print);
	if (!btf) {
		snprintf(why, size, "%s has no description of types (BTF) in it", path);
		return -EINVAL;
	}
	if (kernel_btf__file() && !kernel_btf__is_right(btf, why, size)) {
		btf__free(btf);
		return -EINVAL;
	}
	*out = btf;
	return 0;
}
