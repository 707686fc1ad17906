/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* Of breakdown.c: whom the workers wait for: processes of their own. */
#ifndef BREAKDOWN_OTHERS_H
#define BREAKDOWN_OTHERS_H

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "loopback.h"
#include "workload.h"

/* Where a worker waits for somebody outside: kinds of descriptor, each with its process. */
enum upstream { UP_V4, UP_V6, UP_UNIX, UP_PIPE, NR_UPSTREAMS };

/* A worker's ends of them. */
struct upstream_fds {
	int out[NR_UPSTREAMS], in[NR_UPSTREAMS];
};

struct upstream_total {
	char addr[128];
	struct range wait;
	unsigned waits;
};

struct competitor {
	atomic_int cpu;
	atomic_bool spins;
};

static char unix_path[108];
static struct upstream_total upstream_totals[NR_UPSTREAMS];
static struct competitor *competitor;
static int competitor_pipe[2];

/* The CPUs that we may use, in turn. */
static int nth_cpu(unsigned n)
{
	cpu_set_t allowed;
	int cpu;

	sched_getaffinity(0, sizeof(allowed), &allowed);
	n %= CPU_COUNT(&allowed);
	for (cpu = 0; !CPU_ISSET(cpu, &allowed) || n; cpu++)
		n -= CPU_ISSET(cpu, &allowed) ? 1 : 0;
	return cpu;
}

static void pin_to(int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		die("sched_setaffinity");
}

static pid_t fork_process(const char *name)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, name);
		prctl(PR_SET_TIMERSLACK, 1);
	}
	return pid;
}

static void start_competitor(void)
{
	char byte;

	competitor = mmap(NULL, sizeof(*competitor), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (competitor == MAP_FAILED || pipe2(competitor_pipe, O_CLOEXEC))
		die("competitor");
	if (fork_process("competitor"))
		return;
	close(competitor_pipe[1]);
	while (read(competitor_pipe[0], &byte, 1) == 1) {
		pin_to(competitor->cpu);
		while (competitor->spins)
			;
	}
	_exit(0);
}

/* Answers every byte, a number of milliseconds, after so long. */
static void serve_upstream(int in, int out)
{
	unsigned char byte;

	while (read(in, &byte, 1) == 1) {
		sleep_ms(byte);
		if (write(out, &byte, 1) != 1)
			break;
	}
	_exit(0);
}

/* Connects every worker through one listener, each with a process of its own behind it. */
static void connect_upstreams(struct upstream_fds *fds, unsigned nr_workers, enum upstream kind,
			      struct sockaddr *addr, socklen_t len)
{
	int listener = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (listener < 0 || bind(listener, addr, len) || listen(listener, 16))
		die("upstream's listener");
	if (kind != UP_UNIX)
		getsockname(listener, addr, &len);
	for (unsigned i = 0; i < nr_workers; i++) {
		int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (fd < 0 || connect(fd, addr, len))
			die("upstream");
		if (!fork_process("upstream")) {
			int in = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

			close(fd);
			serve_upstream(in, in);
		}
		fds[i].in[kind] = fd;
		fds[i].out[kind] = fd;
	}
	close(listener);
}

/* Leaves in @fds what each of the workers talks to. */
static void start_upstreams(struct upstream_fds *fds, unsigned nr_workers)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	memcpy(un.sun_path, unix_path, sizeof(un.sun_path));
	connect_upstreams(fds, nr_workers, UP_V4, (struct sockaddr *)&v4, sizeof(v4));
	connect_upstreams(fds, nr_workers, UP_V6, (struct sockaddr *)&v6, sizeof(v6));
	connect_upstreams(fds, nr_workers, UP_UNIX, (struct sockaddr *)&un, sizeof(un));
	snprintf(upstream_totals[UP_V4].addr, sizeof(upstream_totals[0].addr), "127.0.0.1:%u",
		 ntohs(v4.sin_port));
	snprintf(upstream_totals[UP_V6].addr, sizeof(upstream_totals[0].addr), "[::1]:%u",
		 ntohs(v6.sin6_port));
	snprintf(upstream_totals[UP_UNIX].addr, sizeof(upstream_totals[0].addr), "unix:%s",
		 unix_path);
	for (unsigned i = 0; i < nr_workers; i++) {
		int to[2], from[2];

		if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC))
			die("pipe2");
		if (!fork_process("piper"))
			serve_upstream(to[0], from[1]);
		close(to[0]);
		close(from[1]);
		fds[i].out[UP_PIPE] = to[1];
		fds[i].in[UP_PIPE] = from[0];
	}
}

#endif
