/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* The capabilities of this process: which it has, what it lacks, and giving up those that are not needed. */
#ifndef THREADPROF_RIGHTS_H
#define THREADPROF_RIGHTS_H

#include <stdbool.h>

#include "report.h"
#include "target.h"

/* Is capability @cap (CAP_… of linux/capability.h) in effect? */
bool rights__has(int cap);

/* May BPF programs be loaded and attached: CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN, which has both. */
bool rights__may_trace(void);

/* Does bpf(2) fail before the kernel looks at what is asked for, although rights__may_trace()? So does a seccomp filter. */
bool rights__bpf_is_filtered(void);

/* Is this process in a user namespace of its own? Its capabilities are then none towards the kernel. */
bool rights__is_in_user_namespace(void);

/*
 * Gives up for good, in this thread and in those that it starts from now on, what is not needed once the
 * programs are attached. What it never had is no failure. Negative errno.
 */
int rights__drop(void);

/* The same for a process that does one thing, which takes capability @cap. */
int rights__drop_all_but(int cap);

/* How much of a process can be seen in /proc: its memory map, which names its files, and the files. */
enum rights_view { VIEW_CLOSED, VIEW_MAPS, VIEW_OPEN };

enum rights_view rights__view_of(uint32_t tgid);

enum { RIGHTS_SYMBOLS, RIGHTS_EXECUTABLES, RIGHTS_NR_FEATURES };

/* The features that depend on rights alone. The strings are static. */
void rights__features(const struct targets *targets, struct report_feature features[RIGHTS_NR_FEATURES]);

#endif /* THREADPROF_RIGHTS_H */
