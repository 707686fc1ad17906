// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "kfunc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/btf.h>
#include <bpf/libbpf.h>

static const char *const names[TP_NR_KFUNCS] = {
	[TP_TASK_FROM_PID] = "bpf_task_from_pid",
	[TP_TASK_FROM_VPID] = "bpf_task_from_vpid",
	[TP_TASK_RELEASE] = "bpf_task_release",
	[TP_PREEMPT_DISABLE] = "bpf_preempt_disable",
	[TP_PREEMPT_ENABLE] = "bpf_preempt_enable",
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

int kfunc__resolve(struct bpf_program *prog, const int ids[TP_NR_KFUNCS])
{
	size_t nr = bpf_program__insn_cnt(prog);
	struct bpf_insn *insns = malloc(nr * sizeof(*insns));
	int err;

	if (!insns)
		return -ENOMEM;
	memcpy(insns, bpf_program__insns(prog), nr * sizeof(*insns));
	for (size_t i = 0; i < nr; i++)
		resolve(&insns[i], ids);
	err = bpf_program__set_insns(prog, insns, nr);
	free(insns);
	return err;
}
