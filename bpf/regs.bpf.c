// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/* Where a task's user registers are, for kernels without a helper that tells it. */
#include "threadprof.bpf.h"

/* Attached for a moment at the start, until a system call of any task has ended. */
SEC("?raw_tp/sys_exit")
int learn_regs(__u64 *ctx)
{
	const struct task_struct *task = (const struct task_struct *)bpf_get_current_task();

	if (!regs_at)
		regs_at = ctx[0] - (__u64)BPF_CORE_READ(task, stack);
	return 0;
}
