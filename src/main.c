// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "log.h"
#include "monitor.h"
#include "name_service.h"
#include "options.h"
#include "probes.h"
#include "snoop.h"

enum { EXIT_USAGE = 2 };

static int run_snoop(int argc, char **argv)
{
	struct snoop_options options;
	int err = snoop_options__parse(&options, argc, argv);

	if (err)
		return err < 0 ? EXIT_USAGE : EXIT_SUCCESS;
	log__set_verbose(options.verbose);
	probes__force(options.force_fallback, options.btf);
	return snoop__run(&options) ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run_check(int argc, char **argv)
{
	struct check_options options;
	int err = check__parse(&options, argc, argv);

	if (err)
		return err < 0 ? EXIT_USAGE : EXIT_SUCCESS;
	log__set_verbose(options.verbose);
	return check__run(&options) ? EXIT_FAILURE : EXIT_SUCCESS;
}

/*
 * Tables of programs and libraries come and go, in a thread of their own: what is free goes back to the system, large
 * ones at once, and no thread has a heap of its own to keep it in.
 */
static void keep_little_memory(void)
{
#ifdef __GLIBC__
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
	mallopt(M_TRIM_THRESHOLD, 128 << 10);
#endif
}

int main(int argc, char **argv)
{
	struct options options;
	int err;

	keep_little_memory();
	name_service__init();
	if (argc > 1 && !strcmp(argv[1], "snoop"))
		return run_snoop(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "check"))
		return run_check(argc - 1, argv + 1);
	err = options__parse(&options, argc, argv);
	if (err)
		return err < 0 ? EXIT_USAGE : EXIT_SUCCESS;
	log__set_verbose(options.verbose);
	probes__force(options.force_fallback, options.btf);
	return monitor__run(&options) ? EXIT_FAILURE : EXIT_SUCCESS;
}
