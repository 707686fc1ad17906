/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* What session.c and session_maps.c share; for nobody else. */
#ifndef THREADPROF_SESSION_IMPL_H
#define THREADPROF_SESSION_IMPL_H

#include <bpf/libbpf.h>

#include "probes.h"
#include "ring.h"
#include "session.h"
#include "threadprof.skel.h"

struct session {
	struct threadprof_bpf *skel;
	struct ring *ring;
	enum session_way way;
	enum session_hook hooks[NR_HOOKED];
	bool reads_alone; /* there are programs that the kernel does not run while this CPU's thread reads a map */
	char switch_symbol[128]; /* of SWITCH_FUNCTION; "": the kernel has none */
	struct probes probes;
	int part_error[SESSION_NR_PARTS];
	bool stacks_of_all;
	bool has_uprobe_multi;
	uint64_t nr_events;
	int nr_drained; /* by the session__drain() that runs */
	session_record_fn fn; /* of the session__drain() that runs */
	void *context;
};

/* In session_look.c: are the types that the programs were loaded with those of this kernel? Negative errno, said. */
int session__check_types(struct session *session);

#endif /* THREADPROF_SESSION_IMPL_H */
