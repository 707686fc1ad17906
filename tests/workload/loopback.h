/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* Sockets of the workloads that talk TCP: a listener with a port of its own, and connections to it. */
#ifndef LOOPBACK_H
#define LOOPBACK_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "workload.h"

/* Leaves in @addr where it listens. */
static inline int listen_on_loopback(struct sockaddr_in *addr, int backlog)
{
	socklen_t len = sizeof(*addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*addr = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	if (fd < 0 || bind(fd, (const struct sockaddr *)addr, len) || listen(fd, backlog) ||
	    getsockname(fd, (struct sockaddr *)addr, &len))
		die("listen");
	return fd;
}

static inline int connect_to(const struct sockaddr_in *addr)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)addr, sizeof(*addr)))
		die("connect");
	return fd;
}

/* As say_ready(). */
static inline void say_ready_at(const struct sockaddr_in *addr)
{
	printf("{\"type\":\"ready\",\"pid\":%d,\"port\":%d}\n", (int)getpid(), ntohs(addr->sin_port));
	fflush(stdout);
}

/*
 * A process that talks to @listen_fd from outside: calls @prepare (NULL: nothing), closes its copy, and calls @run when a
 * byte comes by the fd that is returned. Leaves its id in @pid.
 */
static inline int fork_behind_gate(const char *name, int listen_fd, void (*prepare)(void), void (*run)(void), pid_t *pid)
{
	int fds[2];
	char byte;

	if (pipe2(fds, O_CLOEXEC) || (*pid = fork()) < 0)
		die("fork");
	if (!*pid) {
		if (prepare)
			prepare();
		prctl(PR_SET_NAME, name);
		close(listen_fd);
		close(fds[1]);
		if (read(fds[0], &byte, 1) == 1)
			run();
		_exit(0);
	}
	close(fds[0]);
	return fds[1];
}

#endif
