/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* `threadprof check`: what this kernel and this target allow, found out by trying. */
#ifndef THREADPROF_CHECK_H
#define THREADPROF_CHECK_H

#include <stdbool.h>

struct check_options {
	const char *pids; /* NULL: the host alone */
	const char *btf; /* file of the kernel's types; NULL: its own */
	const char *refuse; /* see struct session_config */
	unsigned force_fallback; /* bits of enum fallback */
	bool json;
	bool verbose;
};

/* As options__parse(). */
int check__parse(struct check_options *options, int argc, char **argv);

/* 0 if threadprof can do its main job here; negative errno otherwise. The lines go to standard output. */
int check__run(const struct check_options *options);

#endif /* THREADPROF_CHECK_H */
