// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "scope.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

#define PROCS "cgroup.procs"
/* A cgroup whose name says nothing but an id is taken for a container's from so many digits on. */
#define MIN_BARE_ID 32
#define SHOWN_ID 12 /* as docker shows it */
#define MAX_ID 256

/* --- the file systems --- */

/* Returns other than 0 to end the walk. */
typedef int (*mount_fn)(void *context, const char *mount);

static int each_mount(const char *type, mount_fn fn, void *context)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	const struct mntent *mount;
	int done = 0;

	while (mounts && !done && (mount = getmntent(mounts))) {
		if (!strcmp(mount->mnt_type, type))
			done = fn(context, mount->mnt_dir);
	}
	if (mounts)
		endmntent(mounts);
	return done;
}

/* Version 2 first: there a process is in one cgroup only. */
static int each_hierarchy(mount_fn fn, void *context)
{
	return each_mount("cgroup2", fn, context) ?: each_mount("cgroup", fn, context);
}

static bool is_cgroup(const char *path)
{
	char procs[PATH_MAX];

	return snprintf(procs, sizeof(procs), "%s/" PROCS, path) < (int)sizeof(procs) && !access(procs, F_OK);
}

struct search {
	struct scope *scope;
	const char *wanted;
	char *others;
	size_t size;
	int err;
};

static int try_below(void *context, const char *mount)
{
	struct search *search = context;
	struct scope *scope = search->scope;

	if (snprintf(scope->path, sizeof(scope->path), "%s/%s", mount, search->wanted) < (int)sizeof(scope->path) &&
	    is_cgroup(scope->path))
		return 1;
	scope->path[0] = '\0';
	return 0;
}

int scope__find_cgroup(struct scope *scope, const char *path)
{
	struct search search = { .scope = scope, .wanted = path + strspn(path, "/") };

	if (path[0] == '/' && is_cgroup(path)) {
		snprintf(scope->path, sizeof(scope->path), "%s", path);
		return 0;
	}
	if (each_hierarchy(try_below, &search))
		return 0;
	return log__fail(-ENOENT, "there is no cgroup \"%s\": give a directory below /sys/fs/cgroup, or a path as in "
				  "/proc/PID/cgroup", path);
}

/* --- containers --- */

static bool is_hex(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (!isxdigit((unsigned char)text[i]))
			return false;
	}
	return length > 0;
}

static const char *without_prefix(const char *name, bool *has_prefix)
{
	/* The monitors of podman and CRI-O live in a cgroup with the container's id, and are not the container. */
	static const char *const monitors[] = { "libpod-conmon-", "crio-conmon-" };
	static const char *const prefixes[] = { "docker-",  "libpod-",	    "cri-containerd-", "crio-",
						"nerdctl-", "lxc.payload.", "machine-" };

	*has_prefix = false;
	for (size_t i = 0; i < sizeof(monitors) / sizeof(monitors[0]); i++) {
		if (!strncmp(name, monitors[i], strlen(monitors[i])))
			return NULL;
	}
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		if (strncmp(name, prefixes[i], strlen(prefixes[i])))
			continue;
		*has_prefix = true;
		return name + strlen(prefixes[i]);
	}
	return name;
}

int scope__container_id(const char *name, char *id, size_t size)
{
	const char *slice = strrchr(name, ':'); /* SLICE:cri-containerd:ID, containerd's without systemd */
	const char *scope;
	bool has_prefix;
	size_t length;

	name = without_prefix(slice ? slice + 1 : name, &has_prefix);
	if (!name)
		return -ENOENT;
	scope = strstr(name, ".scope");
	length = scope && !scope[strlen(".scope")] ? (size_t)(scope - name) : strlen(name);
	if (!length || length >= size || (!has_prefix && (length < MIN_BARE_ID || !is_hex(name, length))))
		return -ENOENT;
	memcpy(id, name, length);
	id[length] = '\0';
	return 0;
}

static bool is_subdirectory(int dir_fd, const struct dirent *entry)
{
	struct stat st;

	if (entry->d_name[0] == '.')
		return false;
	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == DT_DIR;
	return !fstatat(dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) && S_ISDIR(st.st_mode);
}

static void note_match(struct search *search, const char *path, const char *id)
{
	size_t used = strlen(search->others);

	snprintf(search->others + used, search->size - used, "%s%.*s", used ? ", " : "", SHOWN_ID, id);
	search->err = search->err == -ENOENT ? 0 : -ENOTUNIQ;
	snprintf(search->scope->path, sizeof(search->scope->path), "%s", path);
}

/* What is below a container that matches belongs to it. */
static void find_below(struct search *search, const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		char child[PATH_MAX], id[MAX_ID];

		if (!is_subdirectory(dirfd(dir), entry) ||
		    snprintf(child, sizeof(child), "%s/%s", path, entry->d_name) >= (int)sizeof(child))
			continue;
		if (!scope__container_id(entry->d_name, id, sizeof(id)) &&
		    !strncmp(id, search->wanted, strlen(search->wanted)) && is_cgroup(child))
			note_match(search, child, id);
		else
			find_below(search, child);
	}
	if (dir)
		closedir(dir);
}

int scope__find_container_below(struct scope *scope, const char *root, const char *id, char *others, size_t size)
{
	struct search search = { .scope = scope, .wanted = id, .others = others, .size = size, .err = -ENOENT };

	others[0] = '\0';
	find_below(&search, root);
	if (search.err)
		scope->path[0] = '\0';
	return search.err;
}

/* Version 1 has each container once in each of its trees: the first tree that has it will do. */
static int try_tree(void *context, const char *mount)
{
	struct search *search = context;

	search->err = scope__find_container_below(search->scope, mount, search->wanted, search->others, search->size);
	return search->err != -ENOENT;
}

int scope__find_container(struct scope *scope, const char *id)
{
	char others[256];
	struct search search = {
		.scope = scope, .wanted = id, .others = others, .size = sizeof(others), .err = -ENOENT,
	};

	if (!id[0])
		return log__fail(-EINVAL, "--container takes the beginning of a container's id");
	each_hierarchy(try_tree, &search);
	if (search.err == -ENOTUNIQ)
		return log__fail(-ENOTUNIQ, "several containers have an id that begins with \"%s\": %s; give more of it", id,
				 others);
	if (search.err)
		return log__fail(-ENOENT, "no container here has an id that begins with \"%s\": 'docker ps', 'podman ps' or "
					  "'crictl ps' lists the ids (the kernel knows no names); a container sees others only "
					  "where the host's /sys/fs/cgroup is mounted in it", id);
	return 0;
}

/* --- processes --- */

/* What @fn returned last; in @err, negative errno where the cgroup can't be read. */
static int each_pid_of(int dir_fd, scope_pid_fn fn, void *context, int *err)
{
	int fd = openat(dir_fd, PROCS, O_RDONLY | O_CLOEXEC), done = 0;
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	unsigned int pid;

	if (!file) {
		*err = -errno;
		if (fd >= 0)
			close(fd);
		return 0;
	}
	errno = 0;
	/* 0: a process that is not in our PID namespace. */
	while (!done && fscanf(file, "%u", &pid) == 1)
		done = pid ? fn(context, pid) : 0;
	*err = !done && ferror(file) ? -errno : 0;
	fclose(file);
	return done;
}

static int each_pid_below(int dir_fd, bool is_top, scope_pid_fn fn, void *context)
{
	DIR *dir = fdopendir(dir_fd);
	struct dirent *entry;
	int done, err;

	if (!dir) {
		close(dir_fd);
		return -errno;
	}
	done = each_pid_of(dirfd(dir), fn, context, &err);
	/* Below, one may be gone meanwhile, or have its threads in cgroups of their own (EOPNOTSUPP). */
	if (is_top && err)
		done = err;
	while (!done && (entry = readdir(dir))) {
		int fd;

		if (!is_subdirectory(dirfd(dir), entry))
			continue;
		fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (fd >= 0)
			done = each_pid_below(fd, false, fn, context);
	}
	closedir(dir);
	return done;
}

int scope__each_pid(const struct scope *scope, scope_pid_fn fn, void *context)
{
	int fd = open(scope->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	err = each_pid_below(fd, true, fn, context);
	return err == -ENODEV || err == -ENOENT ? 0 : err;
}
