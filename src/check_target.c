// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "check_target.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "escape.h"
#include "image.h"
#include "name_service.h"
#include "pidns.h"
#include "rights.h"
#include "scope.h"

#define SHOWN_ID 12

enum answer { NO, YES, UNKNOWN };

struct facts {
	uint32_t uid;
	unsigned int seccomp; /* SECCOMP_MODE_… */
	int pidns_depth;
	char container[256]; /* "": in none */
	enum answer io_uring;
	int image_error;
	struct image image;
};

static size_t read_proc(uint32_t tgid, const char *name, char *text, size_t size)
{
	char path[64];
	size_t length = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%u/%s", tgid, name);
	file = fopen(path, "re");
	if (file) {
		length = fread(text, 1, size - 1, file);
		fclose(file);
	}
	text[length] = '\0';
	return length;
}

static void read_status(uint32_t tgid, struct facts *facts)
{
	char text[8192];
	const char *line;

	read_proc(tgid, "status", text, sizeof(text));
	facts->pidns_depth = pidns__depth(text);
	line = strstr(text, "\nUid:");
	if (!line || sscanf(line, "\nUid: %u", &facts->uid) != 1)
		facts->uid = (uint32_t)-1;
	line = strstr(text, "\nSeccomp:");
	if (!line || sscanf(line, "\nSeccomp: %u", &facts->seccomp) != 1)
		facts->seccomp = 0;
}

/* The innermost container in the paths of all hierarchies: one in another names the outer one. */
static void read_container(uint32_t tgid, struct facts *facts)
{
	char text[8192], *rest = text, *part, id[sizeof(facts->container)];

	read_proc(tgid, "cgroup", text, sizeof(text));
	while ((part = strsep(&rest, "/\n"))) {
		if (!scope__container_id(part, id, sizeof(id)))
			snprintf(facts->container, sizeof(facts->container), "%s", id);
	}
}

static enum answer uses_io_uring(uint32_t tgid)
{
	char path[64], link[64];
	enum answer answer = NO;
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%u/fd", tgid);
	dir = opendir(path);
	if (!dir)
		return UNKNOWN;
	while (answer == NO && (entry = readdir(dir))) {
		ssize_t length = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);

		link[length > 0 ? length : 0] = '\0';
		if (strstr(link, "[io_uring]"))
			answer = YES;
	}
	closedir(dir);
	return answer;
}

static void read_facts(uint32_t tgid, struct facts *facts)
{
	char path[64];
	int fd;

	memset(facts, 0, sizeof(*facts));
	read_status(tgid, facts);
	read_container(tgid, facts);
	facts->io_uring = uses_io_uring(tgid);
	snprintf(path, sizeof(path), "/proc/%u/exe", tgid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	facts->image_error = fd < 0 ? -errno : image__read(fd, &facts->image);
	if (fd >= 0)
		close(fd);
}

static void describe(struct check *check, const struct target_process *process, const struct facts *facts)
{
	char comm[ESCAPE_TERMINAL_SIZE(TP_COMM_LEN)], user[64], text[256], container[64] = "";

	escape__terminal(comm, sizeof(comm), process->comm, TP_COMM_LEN, sizeof(comm));
	name_service__user(facts->uid, user, sizeof(user));
	if (facts->container[0])
		snprintf(container, sizeof(container), ", in container %.*s", SHOWN_ID, facts->container);
	else if (facts->pidns_depth > 1)
		snprintf(container, sizeof(container), ", in a PID namespace of its own");
	snprintf(text, sizeof(text), "process %u, %s, of user %s%s%s", process->tgid, comm, user, container,
		 facts->seccomp ? ", with a seccomp filter" : "");
	check__add(check, "target", "on", text, NULL);
}

static void check_requests(struct check *check, const struct facts *facts)
{
	if (!facts->image_error && facts->image.is_32bit)
		check__add(check, "target_requests", "off", "it is a 32-bit program, whose system calls have other numbers: "
			   "requests are not seen, nor what its threads wait for", "a 64-bit build of it");
	else if (facts->io_uring == YES)
		check__add(check, "target_requests", "fallback", "it uses io_uring: what is read and written that way is not "
			   "seen", "have it use system calls, if its configuration knows how");
	else if (facts->io_uring == UNKNOWN)
		check__add(check, "target_requests", "fallback", "its descriptors can't be listed: whether it uses io_uring, "
			   "by which reads and writes would not be seen, is not known", "add CAP_SYS_PTRACE");
	else
		check__add(check, "target_requests", "on", NULL, NULL);
}

static void check_locks(struct check *check, const struct facts *facts)
{
	if (!facts->image_error && facts->image.is_go)
		check__add(check, "target_locks", "fallback", "it is a Go program: its goroutines wait in Go's runtime, and only "
			   "waits of whole threads are seen", "Go's own mutex and block profiles (net/http/pprof)");
	else
		check__add(check, "target_locks", "on", NULL, NULL);
}

/* What would be probed at function entries and returns. */
static void check_uprobes(struct check *check, const struct facts *facts)
{
	const struct image *image = &facts->image;

	if (facts->image_error)
		check__add(check, "target_uprobes", "off", "its executable can't be read", "add CAP_SYS_PTRACE and "
			   "CAP_DAC_READ_SEARCH");
	else if (image->is_go)
		check__add(check, "target_uprobes", "off", "it is a Go program, which a probe of function returns can crash",
			   "none is needed: locks are seen without");
	else if (facts->seccomp)
		check__add(check, "target_uprobes", "off", "it has a seccomp filter: on some kernels from 6.11 on a probe of "
			   "function returns gets such a process killed", "none is needed: locks are seen without");
	else if (image->is_static)
		check__add(check, "target_uprobes", "fallback", "it is linked statically: functions are found only by its own "
			   "symbols", "a build that keeps its symbols");
	else
		check__add(check, "target_uprobes", "on", NULL, NULL);
}

static void check_symbols(struct check *check, uint32_t tgid, const struct facts *facts)
{
	const struct image *image = &facts->image;

	if (rights__view_of(tgid) != VIEW_OPEN)
		return; /* the line "symbols" says it */
	if (!facts->image_error && !image->has_symbols)
		check__add(check, "target_symbols", "fallback", "its executable is stripped: only what it shares with its "
			   "libraries has a name, unless its debug file is here", "install its debug symbols");
	else
		check__add(check, "target_symbols", "on", NULL, NULL);
}

void check__target(struct check *check, const struct target_process *process)
{
	struct facts facts;

	read_facts(process->tgid, &facts);
	describe(check, process, &facts);
	check_requests(check, &facts);
	check_locks(check, &facts);
	check_symbols(check, process->tgid, &facts);
	check_uprobes(check, &facts);
}
