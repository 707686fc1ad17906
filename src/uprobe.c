// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "uprobe.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/perf_event.h>

/* Threads that close links at the same time. */
#define MAX_CLOSERS 64

#define UPROBE_MULTI_RETURN 1 /* BPF_F_UPROBE_MULTI_RETURN */

/* union bpf_attr, link_create.uprobe_multi: younger than the headers that we are built with. */
struct multi_attr {
	uint32_t program_fd;
	uint32_t target_fd;
	uint32_t attach_type;
	uint32_t flags;
	uint64_t path;
	uint64_t offsets;
	uint64_t ref_ctr_offsets;
	uint64_t cookies;
	uint32_t count;
	uint32_t multi_flags;
	uint32_t pid;
	uint32_t pad;
};

static int create_multi(struct multi_attr *attr)
{
	int fd;

	attr->attach_type = UPROBE_MULTI_ATTACH_TYPE;
	fd = (int)syscall(SYS_bpf, BPF_LINK_CREATE, attr, offsetof(struct multi_attr, pad));
	return fd < 0 ? -errno : fd;
}

/* The root directory is no file to probe: what is wrong with the rest of the request shows before that. */
static int try_multi(int program_fd, uint32_t pid)
{
	uint64_t offset = 0;
	struct multi_attr attr = {
		.program_fd = program_fd,
		.path = (uintptr_t)"/",
		.offsets = (uintptr_t)&offset,
		.count = 1,
		.pid = pid,
	};
	int fd = create_multi(&attr);

	if (fd >= 0)
		close(fd);
	return fd;
}

bool uprobe__has_multi(void)
{
	/* r0 = 0; exit */
	const struct bpf_insn nothing[] = { { .code = BPF_ALU64 | BPF_MOV | BPF_K }, { .code = BPF_JMP | BPF_EXIT } };
	LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = UPROBE_MULTI_ATTACH_TYPE);
	int fd = bpf_prog_load(BPF_PROG_TYPE_KPROBE, "tp_uprobe_multi", "GPL", nothing, 2, &options);
	bool has;

	if (fd < 0)
		return false;
	/* A negative id is refused only since ids are those of processes. */
	has = try_multi(fd, 0) == -EBADF && try_multi(fd, (uint32_t)-1) == -EINVAL;
	close(fd);
	return has;
}

static int attach_multi(const struct uprobe *probe, const char *path, int *fds, size_t *nr)
{
	uint64_t offsets[UPROBE_MAX_PLACES], cookies[UPROBE_MAX_PLACES];
	struct multi_attr attr = {
		.program_fd = probe->program_fd,
		.path = (uintptr_t)path,
		.offsets = (uintptr_t)offsets,
		.cookies = (uintptr_t)cookies,
		.count = probe->nr_places,
		.multi_flags = probe->is_return ? UPROBE_MULTI_RETURN : 0,
		.pid = probe->pid,
	};
	int fd;

	for (size_t i = 0; i < probe->nr_places; i++) {
		offsets[i] = probe->places[i].offset;
		cookies[i] = probe->places[i].cookie;
	}
	fd = create_multi(&attr);
	if (fd < 0)
		return fd;
	fds[(*nr)++] = fd;
	return 0;
}

static int perf_type(void)
{
	FILE *file = fopen("/sys/bus/event_source/devices/uprobe/type", "re");
	int type = -EOPNOTSUPP;

	if (!file)
		return -EOPNOTSUPP;
	if (fscanf(file, "%d", &type) != 1)
		type = -EOPNOTSUPP;
	fclose(file);
	return type;
}

/*
 * The event is disabled, for the program runs all the same (__uprobe_perf_func(), kernel/trace/trace_uprobe.c),
 * and an enabled one costs the process's first thread time at each of its switches.
 */
static int attach_single(const struct uprobe *probe, const struct uprobe_place *place, const char *path, int type)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = type,
		.config = probe->is_return, /* the first bit: .../devices/uprobe/format/retprobe */
		.config1 = (uintptr_t)path,
		.config2 = place->offset,
		.disabled = 1,
	};
	LIBBPF_OPTS(bpf_link_create_opts, options, .perf_event.bpf_cookie = place->cookie);
	int event_fd, link_fd;

	event_fd = (int)syscall(SYS_perf_event_open, &attr, probe->pid, -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (event_fd < 0)
		return -errno;
	link_fd = bpf_link_create(probe->program_fd, event_fd, BPF_PERF_EVENT, &options);
	close(event_fd); /* the link holds it */
	return link_fd;
}

int uprobe__attach(const struct uprobe *probe, int *fds, size_t *nr)
{
	char path[32];
	int type;

	/* The very file that is mapped, whatever its name is now and wherever. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", probe->file_fd);
	if (probe->is_multi)
		return attach_multi(probe, path, fds, nr);
	type = perf_type();
	if (type < 0)
		return type;
	for (size_t i = 0; i < probe->nr_places; i++) {
		int fd = attach_single(probe, &probe->places[i], path, type);

		if (fd < 0)
			return fd;
		fds[(*nr)++] = fd;
	}
	return 0;
}

static void *close_one(void *fd)
{
	close((int)(intptr_t)fd);
	return NULL;
}

void uprobe__close(const int *fds, size_t nr)
{
	pthread_t threads[MAX_CLOSERS];

	for (size_t first = 0; first < nr; first += MAX_CLOSERS) {
		size_t count = nr - first < MAX_CLOSERS ? nr - first : MAX_CLOSERS, started;

		for (started = 0; started < count; started++) {
			if (pthread_create(&threads[started], NULL, close_one, (void *)(intptr_t)fds[first + started]))
				break;
		}
		for (size_t i = started; i < count; i++)
			close(fds[first + i]);
		for (size_t i = 0; i < started; i++)
			pthread_join(threads[i], NULL);
	}
}

void uprobe__close_later(const int *fds, size_t nr)
{
	pthread_t thread;

	for (size_t i = 0; i < nr; i++) {
		if (pthread_create(&thread, NULL, close_one, (void *)(intptr_t)fds[i]))
			close(fds[i]);
		else
			pthread_detach(thread);
	}
}

struct closing {
	int *fds;
	size_t nr;
};

static void *close_all(void *context)
{
	struct closing *closing = context;

	uprobe__close(closing->fds, closing->nr);
	free(closing->fds);
	free(closing);
	return NULL;
}

void uprobe__close_all_later(int *fds, size_t nr)
{
	struct closing *closing = malloc(sizeof(*closing));
	pthread_t thread;

	if (closing) {
		*closing = (struct closing){ .fds = fds, .nr = nr };
		if (!pthread_create(&thread, NULL, close_all, closing)) {
			pthread_detach(thread);
			return;
		}
		free(closing);
	}
	uprobe__close(fds, nr);
	free(fds);
}
