// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "try_uprobe.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>

/* Never called: the probe has nothing to do. */
__attribute__((noinline, used)) static void probed_function(void)
{
	__asm__ volatile("");
}

/* Where in the file of this program a function of it is. 0: not found. */
static uint64_t file_offset(const void *function)
{
	uint64_t start, end, offset, at = (uintptr_t)function, found = 0;
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];

	if (!maps)
		return 0;
	while (!found && fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64, &start, &end, &offset) == 3 && at >= start &&
		    at < end)
			found = at - start + offset;
	}
	fclose(maps);
	return found;
}

static int uprobe_type(void)
{
	FILE *file = fopen("/sys/bus/event_source/devices/uprobe/type", "re");
	int type = -EOPNOTSUPP;

	if (file) {
		if (fscanf(file, "%d", &type) != 1)
			type = -EOPNOTSUPP;
		fclose(file);
	}
	return type;
}

static int load_empty_program(void)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_KPROBE, "try_uprobe", "GPL", insns, sizeof(insns) / sizeof(insns[0]), NULL);

	return fd < 0 ? -errno : fd;
}

static int attach(int prog_fd, int type)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = type,
		.config1 = (uintptr_t)"/proc/self/exe",
		.config2 = file_offset(probed_function),
	};
	int err = 0, fd;

	fd = (int)syscall(SYS_perf_event_open, &attr, getpid(), -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, PERF_EVENT_IOC_SET_BPF, prog_fd) || ioctl(fd, PERF_EVENT_IOC_ENABLE, 0))
		err = -errno;
	close(fd);
	return err;
}

int try_uprobe(void)
{
	int type = uprobe_type(), prog_fd, err;

	if (type < 0)
		return type;
	prog_fd = load_empty_program();
	if (prog_fd < 0)
		return prog_fd;
	err = attach(prog_fd, type);
	close(prog_fd);
	return err;
}
