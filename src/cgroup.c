// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "table.h"

/* FILEID_KERNFS of include/linux/exportfs.h: the handle of a cgroup's directory is its id. */
#define HANDLE_KERNFS 0xfe
#define MAX_REMEMBERED 16384

struct cgroup {
	struct table_node node;
	uint64_t id;
	char path[]; /* "": not known */
};

struct cgroups {
	struct table table;
	int mount_fd;
	size_t mount_length;
};

struct cgroups *cgroups__new(void)
{
	struct cgroups *cgroups = calloc(1, sizeof(*cgroups));
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	const struct mntent *mount;

	if (cgroups)
		cgroups->mount_fd = -1;
	while (cgroups && mounts && (mount = getmntent(mounts))) {
		if (strcmp(mount->mnt_type, "cgroup2"))
			continue;
		cgroups->mount_fd = open(mount->mnt_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		cgroups->mount_length = strlen(mount->mnt_dir);
		break;
	}
	if (mounts)
		endmntent(mounts);
	return cgroups;
}

static void forget_all(struct cgroups *cgroups)
{
	struct table_node *node;

	while ((node = table__take(&cgroups->table)))
		free(TABLE_ENTRY(node, struct cgroup, node));
}

void cgroups__free(struct cgroups *cgroups)
{
	if (!cgroups)
		return;
	forget_all(cgroups);
	if (cgroups->mount_fd >= 0)
		close(cgroups->mount_fd);
	free(cgroups);
}

/* What works for the root works for all. */
const char *cgroups__why_unknown(const struct cgroups *cgroups)
{
	_Alignas(struct file_handle) char space[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	struct file_handle *handle = (struct file_handle *)space;
	int mount_id, fd;

	if (cgroups->mount_fd < 0)
		return "no cgroup version 2 file system is mounted here (mount -t cgroup2 none DIRECTORY)";
	handle->handle_bytes = MAX_HANDLE_SZ;
	if (name_to_handle_at(cgroups->mount_fd, "", handle, &mount_id, AT_EMPTY_PATH))
		return "this kernel's cgroups have no handles";
	fd = open_by_handle_at(cgroups->mount_fd, handle, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return "to find one by its id takes CAP_DAC_READ_SEARCH";
	close(fd);
	return NULL;
}

/* Opens the directory by its id, and asks what it is called. */
static void look_up(const struct cgroups *cgroups, uint64_t id, char path[PATH_MAX])
{
	_Alignas(struct file_handle) char space[sizeof(struct file_handle) + sizeof(id)];
	struct file_handle *handle = (struct file_handle *)space;
	char link[64];
	ssize_t length;
	int fd;

	path[0] = '\0';
	handle->handle_bytes = sizeof(id);
	handle->handle_type = HANDLE_KERNFS;
	memcpy(handle->f_handle, &id, sizeof(id));
	fd = open_by_handle_at(cgroups->mount_fd, handle, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, path, PATH_MAX - 1);
	path[length > 0 ? length : 0] = '\0';
	close(fd);
	if (path[0] != '/' || strlen(path) < cgroups->mount_length)
		path[0] = '\0';
	else if (path[cgroups->mount_length])
		memmove(path, path + cgroups->mount_length,
			strlen(path + cgroups->mount_length) + 1);
	else
		strcpy(path, "/");
}

const char *cgroups__path(struct cgroups *cgroups, uint64_t id)
{
	uint64_t hash = table__hash(TABLE_HASH_INIT, &id, sizeof(id));
	struct table_node *node;
	struct cgroup *cgroup;
	char path[PATH_MAX];

	if (!id || cgroups->mount_fd < 0)
		return NULL;
	for (node = table__find(&cgroups->table, hash); node; node = table__find_next(node)) {
		cgroup = TABLE_ENTRY(node, struct cgroup, node);
		if (cgroup->id == id)
			return cgroup->path[0] ? cgroup->path : NULL;
	}
	if (cgroups->table.nr >= MAX_REMEMBERED)
		forget_all(cgroups);
	look_up(cgroups, id, path);
	cgroup = malloc(sizeof(*cgroup) + strlen(path) + 1);
	if (!cgroup)
		return NULL;
	cgroup->id = id;
	memcpy(cgroup->path, path, strlen(path) + 1);
	if (table__insert(&cgroups->table, &cgroup->node, hash)) {
		free(cgroup);
		return NULL;
	}
	return cgroup->path[0] ? cgroup->path : NULL;
}

bool cgroup__is_below(const char *path, const char *root)
{
	size_t length = strlen(root);

	while (length && root[length - 1] == '/')
		length--;
	return !strncmp(path, root, length) && (!path[length] || path[length] == '/');
}
