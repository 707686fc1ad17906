// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include <stdlib.h>

#include "log.h"
#include "monitor.h"
#include "options.h"

enum { EXIT_USAGE = 2 };

int main(int argc, char **argv)
{
	struct options options;
	int err = options__parse(&options, argc, argv);

	if (err)
		return err < 0 ? EXIT_USAGE : EXIT_SUCCESS;
	log__set_verbose(options.verbose);
	return monitor__run(&options) ? EXIT_FAILURE : EXIT_SUCCESS;
}
