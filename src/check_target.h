/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* `threadprof check -p`: what one process allows. */
#ifndef THREADPROF_CHECK_TARGET_H
#define THREADPROF_CHECK_TARGET_H

#include "check_list.h"
#include "target.h"

/* What one process allows, as far as it can be seen. */
void check__target(struct check *check, const struct target_process *process);

#endif /* THREADPROF_CHECK_TARGET_H */
