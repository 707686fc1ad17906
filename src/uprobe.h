/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * Probes on instructions of one process. Where the kernel can, all probes of a file are one link: taken away,
 * its probes are gone at once, while single ones go one after the other, and each can take 100 ms.
 */
#ifndef THREADPROF_UPROBE_H
#define THREADPROF_UPROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* BPF_TRACE_UPROBE_MULTI, include/uapi/linux/bpf.h, since 6.6; to be set before a program is loaded. */
#define UPROBE_MULTI_ATTACH_TYPE 48

#define UPROBE_MAX_PLACES 16

struct uprobe_place {
	uint64_t offset; /* in the file */
	uint64_t cookie; /* for bpf_get_attach_cookie() */
};

struct uprobe {
	int program_fd;
	bool is_multi; /* the program was loaded for many probes in one link */
	bool is_return; /* at the function's return, not its begin */
	uint32_t pid; /* probes act in this process only */
	int file_fd; /* of the program or library */
	const struct uprobe_place *places;
	size_t nr_places; /* at most UPROBE_MAX_PLACES */
};

/*
 * Does this kernel have many probes in one link, with a filter that is right? Before 6.10 (46ba0e49b642) it took
 * a process's id for that of one thread.
 */
bool uprobe__has_multi(void);

/*
 * Puts the probes in. Appends the descriptors of the links to @fds, which has room for @nr_places more, and
 * adds their number to @nr: also on failure, where some may be in. Negative errno.
 */
int uprobe__attach(const struct uprobe *probe, int *fds, size_t *nr);

/* Takes probes away, all at the same time, and returns when they are gone. */
void uprobe__close(const int *fds, size_t nr);

/* The same without waiting: for those of a process that has ended. */
void uprobe__close_later(const int *fds, size_t nr);

/* The same for any number of them; frees @fds. */
void uprobe__close_all_later(int *fds, size_t nr);

#endif /* THREADPROF_UPROBE_H */
