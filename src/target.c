// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "target.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "array.h"
#include "escape.h"
#include "log.h"
#include "units.h"

#define PF_KTHREAD 0x00200000
#define MAX_PID (1 << 22) /* PID_MAX_LIMIT, include/linux/threads.h */

struct proc_stat {
	uint32_t pid;
	char comm[TP_COMM_LEN];
	char state;
	uint32_t ppid;
	unsigned int flags;
	unsigned int nr_threads;
};

/* Reads /proc/PID/stat. The name is between the first '(' and the last ')', and may hold both, and newlines. */
static int proc__read_stat(uint32_t pid, struct proc_stat *stat)
{
	char path[64], text[1024], *name, *rest;
	size_t length;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	length = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	if (!length)
		return -ESRCH;
	text[length] = '\0';
	name = strchr(text, '(');
	rest = strrchr(text, ')');
	if (!name || !rest || rest < name)
		return -EPROTO;
	*rest = '\0';
	memset(stat, 0, sizeof(*stat));
	stat->pid = pid;
	snprintf(stat->comm, sizeof(stat->comm), "%s", name + 1);
	if (sscanf(rest + 1, " %c %u %*d %*d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %u", &stat->state,
		   &stat->ppid, &stat->flags, &stat->nr_threads) != 4)
		return -EPROTO;
	return 0;
}

/* A first thread that has ended is a zombie for as long as the others of its process go on. */
static bool has_ended(const struct proc_stat *stat)
{
	return (stat->state == 'Z' || stat->state == 'X') && stat->nr_threads <= 1;
}

/* The process that a thread belongs to; 0 if there is no such thread. */
static uint32_t proc__tgid(uint32_t tid)
{
	char path[64], line[256];
	uint32_t tgid = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%u/status", tid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "Tgid: %u", &tgid) == 1)
			break;
	}
	fclose(file);
	return tgid;
}

struct target_process *targets__find(const struct targets *targets, uint32_t tgid)
{
	for (size_t i = 0; i < targets->nr; i++) {
		if (targets->list[i].tgid == tgid)
			return &targets->list[i];
	}
	return NULL;
}

int targets__add(struct targets *targets, uint32_t tgid, const char *comm, int pidfd)
{
	struct target_process *process = targets__find(targets, tgid);

	if (process && process->alive) {
		if (pidfd >= 0)
			close(pidfd);
		return 0;
	}
	if (!process) {
		struct target_process *grown =
			array__grow(targets->list, targets->nr, &targets->capacity, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		targets->list = grown;
		process = &targets->list[targets->nr++];
	}
	memset(process, 0, sizeof(*process));
	process->tgid = tgid;
	process->pidfd = pidfd;
	process->alive = true;
	snprintf(process->comm, sizeof(process->comm), "%.*s", TP_COMM_LEN - 1, comm);
	targets->nr_alive++;
	return 0;
}

static const char *printable(const char *comm)
{
	static char buf[ESCAPE_TERMINAL_SIZE(TP_COMM_LEN)];

	escape__terminal(buf, sizeof(buf), comm, TP_COMM_LEN, sizeof(buf));
	return buf;
}

static int add_pid(struct targets *targets, uint32_t pid)
{
	struct proc_stat stat;
	uint32_t tgid = proc__tgid(pid);
	int pidfd;

	if (!tgid)
		return log__fail(-ESRCH, "there is no process %u: see 'ps -e' for those that run", pid);
	if (tgid == (uint32_t)getpid())
		return log__fail(-EPERM, "process %u is threadprof itself, which it does not profile", pid);
	if (proc__read_stat(tgid, &stat))
		return log__fail(-ESRCH, "process %u has just ended", tgid);
	if (tgid != pid)
		log__info("%u is a thread of process %u (%s): profiling that process", pid, tgid,
			  printable(stat.comm));
	if (stat.flags & PF_KTHREAD)
		return log__fail(-EPERM, "%u (%s) is a kernel thread: it serves no requests, and threadprof profiles "
					 "processes only", tgid, printable(stat.comm));
	if (has_ended(&stat))
		return log__fail(-ESRCH, "process %u (%s) is a zombie: it has ended, and its parent %u has not "
					 "waited for it", tgid, printable(stat.comm), stat.ppid);
	pidfd = syscall(SYS_pidfd_open, tgid, 0);
	if (pidfd < 0)
		return log__fail(-errno, "cannot watch process %u: %s", tgid, strerror(errno));
	return targets__add(targets, tgid, stat.comm, pidfd);
}

int targets__parse(struct targets *targets, const char *arg)
{
	char *copy = strdup(arg), *rest = copy, *word;
	int err = copy ? 0 : -ENOMEM;

	while (!err && (word = strsep(&rest, ","))) {
		uint64_t pid;

		if (units__parse_u64(word, 1, MAX_PID, &pid))
			err = log__fail(-EINVAL, "\"%s\" is not a process id: -p takes numbers, separated by commas",
					word);
		else
			err = add_pid(targets, pid);
	}
	free(copy);
	return err;
}

/* --- cgroups --- */

struct scope_walk {
	struct targets *targets;
	int nr_new;
};

static int add_of_scope(void *context, uint32_t pid)
{
	struct scope_walk *walk = context;
	struct target_process *known = targets__find(walk->targets, pid);
	struct proc_stat stat;
	int err;

	if ((known && known->alive) || pid == (uint32_t)getpid() || proc__read_stat(pid, &stat) ||
	    (stat.flags & PF_KTHREAD) || has_ended(&stat))
		return 0;
	err = targets__add(walk->targets, pid, stat.comm, -1);
	walk->nr_new += !err;
	return err;
}

int targets__add_scope(struct targets *targets, const struct scope *scope)
{
	struct scope_walk walk = { .targets = targets };
	int err = scope__each_pid(scope, add_of_scope, &walk);

	return err ?: walk.nr_new;
}

/* --- descendants --- */

static int read_all_stats(struct proc_stat **out, size_t *count)
{
	struct proc_stat *list = NULL;
	size_t nr = 0, capacity = 0;
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	if (!proc)
		return -errno;
	while ((entry = readdir(proc))) {
		struct proc_stat *grown;

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		grown = array__grow(list, nr, &capacity, sizeof(*grown));
		if (!grown) {
			free(list);
			closedir(proc);
			return -ENOMEM;
		}
		list = grown;
		if (!proc__read_stat(strtoul(entry->d_name, NULL, 10), &list[nr]))
			nr++;
	}
	closedir(proc);
	*out = list;
	*count = nr;
	return 0;
}

int targets__add_descendants(struct targets *targets)
{
	struct proc_stat *stats;
	size_t count, before;
	int err = read_all_stats(&stats, &count);

	if (err)
		return err;
	/* One generation in each round; a parent may stand behind its child in the list. */
	do {
		before = targets->nr;
		for (size_t i = 0; i < count && !err; i++) {
			if (has_ended(&stats[i]) || !targets__find(targets, stats[i].ppid))
				continue;
			if (!targets__find(targets, stats[i].pid))
				err = targets__add(targets, stats[i].pid, stats[i].comm, -1);
		}
	} while (!err && targets->nr > before);
	free(stats);
	return err;
}

size_t target__nr_children(uint32_t tgid)
{
	struct proc_stat *stats;
	size_t count, children = 0;

	if (read_all_stats(&stats, &count))
		return 0;
	for (size_t i = 0; i < count; i++)
		children += stats[i].ppid == tgid && !has_ended(&stats[i]);
	free(stats);
	return children;
}

/* --- ends --- */

static void process__close(struct target_process *process)
{
	if (process->pidfd >= 0)
		close(process->pidfd);
	process->pidfd = -1;
}

void targets__end(struct targets *targets, uint32_t tgid)
{
	struct target_process *process = targets__find(targets, tgid);

	if (!process || !process->alive)
		return;
	process->alive = false;
	process__close(process);
	targets->nr_alive--;
}

void targets__check(struct targets *targets)
{
	for (size_t i = 0; i < targets->nr; i++) {
		struct target_process *process = &targets->list[i];
		struct proc_stat stat;

		if (process->alive && (proc__read_stat(process->tgid, &stat) || has_ended(&stat)))
			targets__end(targets, process->tgid);
	}
}

void targets__forget_ended(struct targets *targets)
{
	size_t kept = 0;

	for (size_t i = 0; i < targets->nr; i++) {
		if (targets->list[i].alive)
			targets->list[kept++] = targets->list[i];
	}
	targets->nr = kept;
}

void targets__free(struct targets *targets)
{
	for (size_t i = 0; i < targets->nr; i++)
		process__close(&targets->list[i]);
	free(targets->list);
	memset(targets, 0, sizeof(*targets));
}
