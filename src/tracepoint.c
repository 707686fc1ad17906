// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "tracepoint.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "log.h"

int tracepoint__id(int root, const char *name)
{
	char path[PATH_MAX], text[16] = "", *end;
	ssize_t length;
	long id;
	int fd;

	snprintf(path, sizeof(path), "events/%s/id", name);
	fd = openat(root, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	length = read(fd, text, sizeof(text) - 1);
	close(fd);
	id = strtol(text, &end, 10);
	return length > 0 && *end == '\n' && id > 0 && id <= INT_MAX ? (int)id : -EPROTO;
}

/* A mount that is in no namespace: only this descriptor knows it. */
static int mount_for_us(void)
{
	int context = fsopen("tracefs", FSOPEN_CLOEXEC), root, err;

	if (context < 0)
		return -errno;
	root = fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) ? -1 : fsmount(context, FSMOUNT_CLOEXEC, 0);
	err = -errno;
	close(context);
	return root < 0 ? err : root;
}

static int id_in(int root, const char *name)
{
	int id;

	if (root < 0)
		return root;
	id = tracepoint__id(root, name);
	close(root);
	return id;
}

static int find_id(const char *name)
{
	int id = id_in(open("/sys/kernel/tracing", O_PATH | O_DIRECTORY | O_CLOEXEC), name);

	return id > 0 ? id : id_in(mount_for_us(), name);
}

int tracepoint__open(const char *name)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attr),
		.disabled = 1,
	};
	int id = find_id(name), fd;

	if (id < 0)
		return id;
	attr.config = id;
	/* An event of all tasks is of one CPU; the program that is attached to it runs on all of them. */
	fd = (int)syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

bool tracepoint__is_there(const char *name)
{
	int event = tracepoint__open(name);

	if (event < 0)
		log__debug("there is no perf event of %s: %s", name, strerror(-event));
	else
		close(event);
	return event >= 0;
}

struct bpf_link *tracepoint__attach(const struct bpf_program *prog, const char *name)
{
	int event = tracepoint__open(name);
	struct bpf_link *link;

	if (event < 0) {
		errno = -event;
		return NULL;
	}
	link = bpf_program__attach_perf_event(prog, event);
	if (!link)
		close(event);
	else
		ioctl(event, PERF_EVENT_IOC_DISABLE, 0); /* the link has enabled it, which only costs time */
	return link;
}
