// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "pidns.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "log.h"

/* PROC_PID_INIT_INO of include/linux/proc_ns.h: the same in every kernel since 3.8. */
#define INITIAL_NAMESPACE 0xeffffffcU

bool pidns__is_nested(void)
{
	struct stat st;

	/* Without the file the kernel was built without CONFIG_PID_NS. */
	return !stat("/proc/self/ns/pid", &st) && st.st_ino != INITIAL_NAMESPACE;
}

int pidns__depth(const char *status)
{
	const char *line = strstr(status, "\nNSpid:");
	int depth = 0;

	if (!line)
		return 0;
	for (line += strlen("\nNSpid:"); *line == '\t'; depth++)
		line += 1 + strspn(line + 1, "0123456789");
	return depth;
}

int pidns__check_proc(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	char text[8192];
	size_t length;

	if (file) {
		length = fread(text, 1, sizeof(text) - 1, file);
		text[length] = '\0';
		fclose(file);
		if (pidns__depth(text) <= 1)
			return 0;
	}
	return log__fail(-EXDEV, "/proc is not that of the PID namespace that threadprof runs in: mount it anew "
				 "('unshare --mount-proc', 'mount -t proc proc /proc'), or start threadprof outside");
}
