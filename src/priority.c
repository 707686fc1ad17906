// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "priority.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>

#include "log.h"

#define UNCHANGED (-1)

/* The least there is. With a limit a thread may take it without CAP_SYS_NICE, which would allow much more. */
#define PRIORITY 1

void priority__reserve(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_RTPRIO, &limit) || limit.rlim_cur >= PRIORITY)
		return;
	limit.rlim_cur = PRIORITY;
	if (limit.rlim_max < PRIORITY)
		limit.rlim_max = PRIORITY;
	if (setrlimit(RLIMIT_RTPRIO, &limit))
		log__debug("reads of maps may be preempted: %s", strerror(errno));
}

/* No thread that is started meanwhile inherits it; that stays so, for to take it back needs CAP_SYS_NICE. */
static int set(int policy, int priority)
{
	struct sched_param param = { .sched_priority = priority };

	return sched_setscheduler(0, policy | SCHED_RESET_ON_FORK, &param);
}

int priority__raise(void)
{
	int before = sched_getscheduler(0) & ~SCHED_RESET_ON_FORK;

	/* Whoever has given it another priority knows why. */
	if ((before != SCHED_OTHER && before != SCHED_BATCH) || set(SCHED_FIFO, PRIORITY))
		return UNCHANGED;
	return before;
}

void priority__restore(int before)
{
	if (before != UNCHANGED)
		set(before, 0);
}
