// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"

#define MAX_LEVELS 16 /* of cgroups above each other */
#define MAX_STAT_BYTES (256 * 1024)

struct host {
	uint32_t tgid;
	cpu_set_t cpus; /* as last seen */
	bool begun;
	uint64_t idle_ticks;
	uint64_t times;
	uint64_t throttled_ns;
	int levels[MAX_LEVELS]; /* cpu.stat of the target's cgroup and of those above it */
	size_t nr_levels;
	char text[MAX_STAT_BYTES];
};

uint64_t host__parse_idle(const char *text, const cpu_set_t *cpus, uint32_t *count)
{
	uint64_t total = 0, idle, iowait;
	unsigned int cpu;

	*count = 0;
	for (; text; text = strchr(text, '\n')) {
		text += *text == '\n';
		if (sscanf(text, "cpu%u %*u %*u %*u %" SCNu64 " %" SCNu64, &cpu, &idle, &iowait) != 3)
			continue;
		if (cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, cpus))
			continue;
		total += idle + iowait;
		++*count;
	}
	return total;
}

void host__parse_throttled(const char *text, uint64_t *times, uint64_t *ns)
{
	char name[32];
	uint64_t value;

	for (; text; text = strchr(text, '\n')) {
		text += *text == '\n';
		if (sscanf(text, "%31s %" SCNu64, name, &value) != 2)
			continue;
		if (!strcmp(name, "nr_throttled"))
			*times += value;
		else if (!strcmp(name, "throttled_usec"))
			*ns += value * 1000;
		else if (!strcmp(name, "throttled_time"))
			*ns += value;
	}
}

/* --- the target's cgroup --- */

/* Where the cgroups that limit CPU time are mounted; @version is 1 or 2. */
static bool find_mount(int version, char *dir, size_t size)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	const struct mntent *mount;
	bool found = false;

	while (mounts && !found && (mount = getmntent(mounts))) {
		if (version == 2)
			found = !strcmp(mount->mnt_type, "cgroup2");
		else
			found = !strcmp(mount->mnt_type, "cgroup") && hasmntopt(mount, "cpu");
		if (found)
			snprintf(dir, size, "%s", mount->mnt_dir);
	}
	if (mounts)
		endmntent(mounts);
	return found;
}

/* Has the comma-separated list the word "cpu"? */
static bool has_cpu(const char *list, size_t length)
{
	for (const char *end = list + length; list < end; list += strcspn(list, ",:") + 1) {
		if (strcspn(list, ",:") == 3 && !strncmp(list, "cpu", 3))
			return true;
	}
	return false;
}

static void open_levels(struct host *host, const char *mount, char *path)
{
	char name[PATH_MAX + 64];

	for (;;) {
		char *slash;
		int fd;

		snprintf(name, sizeof(name), "%s%s/cpu.stat", mount, path);
		fd = open(name, O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && host->nr_levels < MAX_LEVELS)
			host->levels[host->nr_levels++] = fd;
		else if (fd >= 0)
			close(fd);
		slash = strrchr(path, '/');
		if (!slash)
			return;
		*slash = '\0';
	}
}

static void find_cgroup(struct host *host)
{
	char name[64], line[PATH_MAX], mount[PATH_MAX], *path;
	FILE *file;

	snprintf(name, sizeof(name), "/proc/%u/cgroup", host->tgid);
	file = fopen(name, "re");
	while (file && fgets(line, sizeof(line), file)) {
		char *controllers = strchr(line, ':');

		line[strcspn(line, "\n")] = '\0';
		path = controllers ? strchr(controllers + 1, ':') : NULL;
		if (!path)
			continue;
		controllers++;
		if (path == controllers ? find_mount(2, mount, sizeof(mount))
					: has_cpu(controllers, path - controllers) && find_mount(1, mount, sizeof(mount)))
			open_levels(host, mount, path + 1);
	}
	if (file)
		fclose(file);
}

/* --- --- */

struct host *host__new(uint32_t tgid)
{
	struct host *host = calloc(1, sizeof(*host));

	if (!host)
		return NULL;
	host->tgid = tgid;
	find_cgroup(host);
	return host;
}

void host__free(struct host *host)
{
	if (!host)
		return;
	for (size_t i = 0; i < host->nr_levels; i++)
		close(host->levels[i]);
	free(host);
}

static const char *read_text(struct host *host, int fd)
{
	ssize_t length = pread(fd, host->text, sizeof(host->text) - 1, 0);

	host->text[length > 0 ? length : 0] = '\0';
	return host->text;
}

static uint64_t read_idle(struct host *host, uint32_t *count)
{
	int fd = open("/proc/stat", O_RDONLY | O_CLOEXEC);
	uint64_t idle;

	*count = 0;
	if (fd < 0)
		return 0;
	idle = host__parse_idle(read_text(host, fd), &host->cpus, count);
	close(fd);
	return idle;
}

void host__read(struct host *host, struct report *report)
{
	uint64_t tick_ns = NS_PER_SEC / sysconf(_SC_CLK_TCK), times = 0, throttled_ns = 0, idle;
	struct report_host *to = &report->host;
	bool begun = host->begun;
	uint32_t count;
	cpu_set_t cpus;

	if (!sched_getaffinity(host->tgid, sizeof(cpus), &cpus) && !CPU_EQUAL(&cpus, &host->cpus)) {
		host->cpus = cpus;
		begun = false;
	}
	idle = read_idle(host, &count);
	for (size_t i = 0; i < host->nr_levels; i++)
		host__parse_throttled(read_text(host, host->levels[i]), &times, &throttled_ns);
	if (begun && count) {
		to->known = true;
		to->cpus = count;
		to->idle_ns = idle > host->idle_ticks ? (idle - host->idle_ticks) * tick_ns : 0;
		to->throttled = times - host->times;
		to->throttled_ns = throttled_ns - host->throttled_ns;
	}
	host->begun = true;
	host->idle_ticks = idle;
	host->times = times;
	host->throttled_ns = throttled_ns;
}
