// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "skipped_runs.h"

#include <stddef.h>

#include <bpf/bpf.h>

#include "log.h"
#include "object_cost.h"
#include "report.h"

uint64_t skipped_runs__add(uint64_t one, uint64_t other)
{
	return one == TP_UNKNOWN || other == TP_UNKNOWN ? TP_UNKNOWN : one + other;
}

uint64_t skipped_runs__since(uint64_t before, uint64_t now)
{
	return before == TP_UNKNOWN || now == TP_UNKNOWN ? TP_UNKNOWN : now - before;
}

/* bpf_prog_info::recursion_misses, since 5.12 (9ed9e9ba2337): @size is what the kernel has filled in. */
static void on_program(void *context, int fd)
{
	struct bpf_prog_info info = { 0 };
	__u32 size = sizeof(info);
	uint64_t *sum = context;
	bool is_told;

	is_told = !bpf_obj_get_info_by_fd(fd, &info, &size) &&
		  size >= offsetof(struct bpf_prog_info, recursion_misses) + sizeof(info.recursion_misses);
	if (is_told && info.recursion_misses)
		log__debug("the kernel has skipped %llu runs of %s", info.recursion_misses, info.name);
	*sum = skipped_runs__add(*sum, is_told ? info.recursion_misses : TP_UNKNOWN);
}

uint64_t skipped_runs__of(struct bpf_object *object)
{
	uint64_t sum = 0;

	object__each_program(object, on_program, &sum);
	return sum;
}
