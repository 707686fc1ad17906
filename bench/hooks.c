// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/*
 * Attaches programs that do nothing. Each line on stdin names those to be attached, separated by blanks;
 * the ones before go. "ok" on stdout when it is done, "no" if the kernel will not have one of them.
 * With an argument it attaches what that names, and waits for a signal.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "hooks.skel.h"

static struct hooks_bpf *attach(char *names)
{
	struct hooks_bpf *skel = hooks_bpf__open();
	struct bpf_program *prog;
	char *rest = NULL;
	int err = skel ? 0 : -1;

	for (char *name = strtok_r(names, " \n", &rest); name && !err; name = strtok_r(NULL, " \n", &rest)) {
		prog = bpf_object__find_program_by_name(skel->obj, name);
		err = prog ? bpf_program__set_autoload(prog, true) : -1;
	}
	if (!err)
		err = hooks_bpf__load(skel);
	if (!err)
		err = hooks_bpf__attach(skel);
	if (!err)
		return skel;
	hooks_bpf__destroy(skel);
	return NULL;
}

int main(int argc, char **argv)
{
	struct hooks_bpf *skel = NULL;
	char line[256];

	if (argc > 1) {
		skel = attach(argv[1]);
		return skel ? pause() : 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin)) {
		hooks_bpf__destroy(skel);
		skel = attach(line);
		puts(skel ? "ok" : "no");
	}
	hooks_bpf__destroy(skel);
	return 0;
}
