// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "kfunc.h"

#include <errno.h>
#include <string.h>

#include <bpf/btf.h>
#include <gelf.h>
#include <linux/bpf.h>

static const char *const names[TP_NR_KFUNCS] = {
	[TP_TASK_FROM_PID] = "bpf_task_from_pid",
	[TP_TASK_FROM_VPID] = "bpf_task_from_vpid",
	[TP_TASK_RELEASE] = "bpf_task_release",
	[TP_PREEMPT_DISABLE] = "bpf_preempt_disable",
	[TP_PREEMPT_ENABLE] = "bpf_preempt_enable",
	[TP_RDONLY_CAST] = "bpf_rdonly_cast",
};

void kfunc__find(const struct btf *btf, int ids[TP_NR_KFUNCS])
{
	for (int i = 0; i < TP_NR_KFUNCS; i++) {
		int id = btf__find_by_name_kind(btf, names[i], BTF_KIND_FUNC);

		ids[i] = id > 0 ? id : 0;
	}
}

static void resolve(struct bpf_insn *insn, const int ids[TP_NR_KFUNCS])
{
	int which = insn->imm - TP_KFUNC_CALL(0);

	if (insn->code != (BPF_JMP | BPF_CALL) || insn->src_reg || which < 0 || which >= TP_NR_KFUNCS || !ids[which])
		return;
	insn->src_reg = BPF_PSEUDO_KFUNC_CALL;
	insn->imm = ids[which];
}

/* No two halves of one instruction: the second half of a long one has no code, and is not taken for a call. */
static int resolve_section(char *image, size_t size, const GElf_Shdr *header, const int ids[TP_NR_KFUNCS])
{
	struct bpf_insn insn;

	if (header->sh_offset > size || header->sh_size > size - header->sh_offset)
		return -EINVAL;
	for (size_t at = 0; at + sizeof(insn) <= header->sh_size; at += sizeof(insn)) {
		memcpy(&insn, image + header->sh_offset + at, sizeof(insn));
		resolve(&insn, ids);
		memcpy(image + header->sh_offset + at, &insn, sizeof(insn));
	}
	return 0;
}

int kfunc__resolve(void *image, size_t size, const int ids[TP_NR_KFUNCS])
{
	Elf_Scn *section = NULL;
	int err = 0;
	Elf *elf;

	elf_version(EV_CURRENT);
	elf = elf_memory(image, size);
	if (elf_kind(elf) != ELF_K_ELF)
		err = -EINVAL;
	while (!err && (section = elf_nextscn(elf, section))) {
		GElf_Shdr header;

		if (!gelf_getshdr(section, &header))
			err = -EINVAL;
		else if (header.sh_type == SHT_PROGBITS && header.sh_flags & SHF_EXECINSTR)
			err = resolve_section(image, size, &header, ids);
	}
	elf_end(elf);
	return err;
}
