// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "object_cost.h"

#include <stdio.h>

#include <bpf/libbpf.h>

void object__each_program(struct bpf_object *object, program_fn fn, void *context)
{
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, object) {
		if (bpf_program__fd(prog) >= 0 && bpf_program__expected_attach_type(prog) != BPF_TRACE_ITER)
			fn(context, bpf_program__fd(prog));
	}
}

uint64_t object__map_bytes(struct bpf_object *object)
{
	struct bpf_map *map;
	uint64_t total = 0;

	bpf_object__for_each_map(map, object) {
		unsigned long long bytes;
		char path[64], line[128];
		FILE *info;

		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", bpf_map__fd(map));
		info = fopen(path, "re");
		if (!info)
			continue;
		while (fgets(line, sizeof(line), info)) {
			if (sscanf(line, "memlock: %llu", &bytes) == 1)
				total += bytes;
		}
		fclose(info);
	}
	return total;
}
