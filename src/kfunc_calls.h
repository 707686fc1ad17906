/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* What stands in the programs for calls of kernel functions (src/kfunc.h). */
#ifndef THREADPROF_KFUNC_CALLS_H
#define THREADPROF_KFUNC_CALLS_H

enum tp_kfunc {
	TP_TASK_FROM_PID,
	TP_TASK_FROM_VPID,
	TP_TASK_RELEASE,
	TP_PREEMPT_DISABLE,
	TP_PREEMPT_ENABLE,
	TP_RDONLY_CAST,
	TP_NR_KFUNCS,
};

/* A number that no helper has. */
#define TP_KFUNC_CALL(which) (0x7f000000 + (which))

#endif /* THREADPROF_KFUNC_CALLS_H */
