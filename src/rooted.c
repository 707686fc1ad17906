// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "rooted.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/openat2.h>

/* From a descriptor that only names a file to one that reads it, if it is a regular file. */
static int read_regular(int path_fd)
{
	char link[32];
	struct stat st;
	int fd = -1;

	if (fstat(path_fd, &st) || !S_ISREG(st.st_mode)) {
		fd = -EINVAL;
	} else {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", path_fd);
		fd = open(link, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		if (fd < 0)
			fd = -errno;
	}
	close(path_fd);
	return fd;
}

int rooted__open(int root_fd, const char *path, bool follow)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW),
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	int fd;

	if (root_fd < 0) {
		fd = open(path, (int)how.flags);
	} else {
		fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
		/* Before 5.6, or a filter that does not know the call: absolute links lead to our
		 * root there. */
		if (fd < 0 && (errno == ENOSYS || errno == EPERM)) {
			while (*path == '/')
				path++;
			fd = openat(root_fd, path, (int)how.flags);
		}
	}
	return fd < 0 ? -errno : read_regular(fd);
}

int rooted__open_link(int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_PATH | O_CLOEXEC);

	return fd < 0 ? -errno : read_regular(fd);
}
