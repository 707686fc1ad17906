// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "process_burst.h"

#include <errno.h>
#include <stdio.h>

int process__enter_burst(struct process *process, struct bursts *bursts)
{
	const struct process *ancestors[PROCESS_MAX_ANCESTORS];
	const char *names[PROCESS_MAX_ANCESTORS];
	char terminated[PROCESS_MAX_ANCESTORS][TP_COMM_LEN + 1];
	size_t nr = process__ancestry(process, ancestors);

	for (size_t i = 0; i < nr; i++) {
		snprintf(terminated[i], sizeof(terminated[i]), "%.*s", TP_COMM_LEN, ancestors[i]->comm);
		names[i] = terminated[i];
	}
	process__leave_burst(process);
	process->group = bursts__enter(bursts, process__exe(process), names, nr);
	return process->group ? 0 : -ENOMEM;
}

void process__leave_burst(struct process *process)
{
	if (process->group)
		bursts__leave(process->group);
	process->group = NULL;
}
