/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * Opens files that another process named, as that process sees them. Only regular files are ever
 * opened for real: to open a pipe could block, to open a device could do something.
 */
#ifndef THREADPROF_ROOTED_H
#define THREADPROF_ROOTED_H

#include <stdbool.h>

/*
 * Opens @path for reading with @root_fd as root directory (-1: our own), out of which neither ".."
 * nor symbolic links lead; @follow false: @path may not be a symbolic link itself. The file
 * descriptor, or a negative errno.
 */
int rooted__open(int root_fd, const char *path, bool follow);

/* The same for a link below /proc/PID (@dir_fd), which the kernel resolves to the very file. */
int rooted__open_link(int dir_fd, const char *name);

#endif /* THREADPROF_ROOTED_H */
