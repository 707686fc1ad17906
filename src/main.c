// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
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
	probes__force(options.force_fallback);
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

int main(int argc, char **argv)
{
	struct options options;
	int err;

	name_service__init();
	if (argc > 1 && !strcmp(argv[1], "snoop"))
		return run_snoop(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "check"))
		return run_check(argc - 1, argv + 1);
	err = options__parse(&options, argc, argv);
	if (err)
		return err < 0 ? EXIT_USAGE : EXIT_SUCCESS;
	log__set_verbose(options.verbose);
	probes__force(options.force_fallback);
	return monitor__run(&options) ? EXIT_FAILURE : EXIT_SUCCESS;
}
