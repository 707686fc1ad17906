// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "process_sweep.h"

#include "clock.h"
#include "process_burst.h"

int process_sweep__run(struct process_sweep *sweep, struct snoop_session *session, struct processes *processes,
		       snoop_record_fn fn, void *context)
{
	uint64_t losses[SNOOP_NR_LOSSES], now_ns;
	int err;

	snoop_session__read_losses(session, losses);
	if (losses[SNOOP_LOSS_EXIT] == sweep->nr_lost)
		return 0;
	now_ns = clock__now_ns();
	if (now_ns - sweep->at_ns < NS_PER_SEC)
		return 0;
	sweep->at_ns = now_ns;
	sweep->nr_lost = losses[SNOOP_LOSS_EXIT];
	processes__begin_sweep(processes);
	err = snoop_session__each_living(session, fn, context);
	/* One that has ended since the last drain is gone, and its record still in the ring buffer. */
	if (!err)
		err = snoop_session__drain(session, fn, context);
	if (err < 0)
		return err;
	processes__end_sweep(processes, process__leave_burst);
	return 0;
}
