// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "test_run.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "kernel_btf.h"
#include "log.h"

int test_run(const struct bpf_program *program, uint64_t first, uint64_t second)
{
	uint64_t args[] = { first, second };
	LIBBPF_OPTS(bpf_test_run_opts, options, .ctx_in = args, .ctx_size_in = sizeof(args));

	return bpf_prog_test_run_opts(bpf_program__fd(program), &options) ? -errno : 0;
}

int test_run__check_self(int err, uint32_t tgid, const char *comm)
{
	const char *file = kernel_btf__file();
	char own_comm[16] = "";

	if (err)
		return log__fail(err, "this kernel runs no program of a raw tracepoint on request (%s), without which "
				 "threads are not found where BTF tracepoints are not used: a newer kernel, or one with "
				 "CONFIG_DEBUG_INFO_BTF=y", strerror(-err));
	prctl(PR_GET_NAME, own_comm);
	if (tgid == (uint32_t)getpid() && !strncmp(comm, own_comm, sizeof(own_comm)))
		return 0;
	if (!file)
		return log__fail(-EPROTO, "threadprof's own process is not found in the kernel: run it without "
				 "--force-fallback and --switch-probe");
	return log__fail(-EPROTO, "%s does not describe the kernel that runs here: %s", file, kernel_btf__remedy());
}
