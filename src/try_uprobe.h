/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* Can functions of programs be probed on this host? Only an attach tells. */
#ifndef THREADPROF_TRY_UPROBE_H
#define THREADPROF_TRY_UPROBE_H

/* Attaches an empty program to a function of threadprof itself, and detaches it. 0, or negative errno. */
int try_uprobe(void);

#endif /* THREADPROF_TRY_UPROBE_H */
