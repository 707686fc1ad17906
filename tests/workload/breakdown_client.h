/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * Of breakdown.c: what clients ask for, and how.
 *
 * A request is a list of steps, "s20" for 20 ms of sleep; run_step() names them all.
 */
#ifndef BREAKDOWN_CLIENT_H
#define BREAKDOWN_CLIENT_H

#include <stdbool.h>
#include <sys/socket.h>

#include "loopback.h"
#include "workload.h"

#define STEPS_SIZE 56
/* Few long waits here too: the kernel wakes a writer when a third of its buffer is free. */
#define REPLY_BYTES (1u << 20)
#define READ_BYTES (1u << 18)

static const char *mode = "single", *script = "states";
static struct sockaddr_in server_addr;

/* What a client sends. */
struct message {
	char steps[STEPS_SIZE];
	uint64_t sent_ns; /* before it was */
};

static bool has_step(const char *steps, char op)
{
	return strchr(steps, op) != NULL;
}

static unsigned step_ms(const char *steps, char op)
{
	const char *step = strchr(steps, op);

	return step ? atoi(step + 1) : 0;
}

static int dial(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), size = 65536;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (fd < 0 || connect(fd, (struct sockaddr *)&server_addr, sizeof(server_addr)))
		die("connect");
	return fd;
}

static void ask(int fd, const char *steps)
{
	static char data[READ_BYTES];
	size_t left = has_step(steps, 'n') ? REPLY_BYTES : 1;
	struct message msg = {};

	memcpy(msg.steps, steps, strlen(steps));
	msg.sent_ns = now_ns();
	if (send(fd, &msg, sizeof(msg), MSG_NOSIGNAL) != sizeof(msg))
		die("send of a request");
	while (left) {
		ssize_t got = recv(fd, data, left < sizeof(data) ? left : sizeof(data),
				   MSG_WAITALL);

		if (got <= 0)
			die("no answer");
		left -= got;
		if (left)
			sleep_ms(20);
	}
}

static const char *const all_states[] = {
	"c20", "q20", "l20", "w25", "d20", "r20", "n", "t20",
	"v20", "u20", "T20", "s20", "p20", "l20,s15,c20,w20,d15,u20,p15,n", NULL,
};
/*
 * For several clients at a time. Not the disk: where a worker is woken while another one submits its I/O
 * on the same CPU, and that one blocks next, the kernel's switch does not read its clock again (from
 * rq_clock_skip_update()): what the one has run since the wake-up is charged to the other, up to half a
 * millisecond, and the CPU clock is no truth.
 */
static const char *const all_but_runq[] = {
	"c20", "l20", "w25", "s20", "t20", "p20", "n", "c15,l20,w15,T20,s20,u15", NULL,
};
/* What a thread without a request of its own can be seen to do for one that another has read. */
static const char *const handed_over[] = {
	"c20", "s20", "l20", "q20", "d20", "p20", "n", "t20", "w20", "h20,s20", "h25,c20,l20,n", NULL,
};
static const char *const handed_over_to_busy[] = {
	"c20", "s20", "l20", "q20", "d20", "p20", "n", "t20", "w20", "c15,l20,n", NULL,
};
/*
 * For several clients at a time: the worker answers one of them, and becomes free, while the reader still
 * keeps another one's request back.
 */
static const char *const held_back[] = {
	"s20", "h30,s20", "h30,t20", "t20,w15", "h30,w20", "u20", "h25,u15,w15", "h30,c5", NULL,
};
static const char *const peers[] = {
	"t20", "v25", "u30", "T20", "V25", "U30", "t10,v10,u10", NULL,
};
static const char *const files[] = { "d60", "r60", NULL };

/* Each request on a connection of its own, and then all on one, with and without a pause. */
static void client_in_a_row(const char *const *list)
{
	int fd;

	for (unsigned i = 0; list[i]; i++) {
		fd = dial();
		ask(fd, list[i]);
		close(fd);
	}
	fd = dial();
	for (unsigned i = 0; list[i]; i++) {
		if (i % 2)
			sleep_ms(15);
		ask(fd, list[i]);
	}
	close(fd);
}

static unsigned count(const char *const *list)
{
	unsigned n = 0;

	while (list[n])
		n++;
	return n;
}

struct traffic {
	const char *mode, *script;
	unsigned clients;
	const char *const *list;
};

static const struct traffic traffics[] = {
	{ "single", "states", 1, all_states },
	{ "pool", "states", 3, all_but_runq },
	{ "handoff", "states", 1, handed_over },
	{ "handoff", "crowd", 3, handed_over_to_busy },
	{ "handoff", "held", 2, held_back },
	{ "single", "peers", 1, peers },
	{ "single", "files", 1, files },
};
#define NR_TRAFFICS (sizeof(traffics) / sizeof(traffics[0]))

static const struct traffic *find_traffic(void)
{
	for (unsigned i = 0; i < NR_TRAFFICS; i++)
		if (!strcmp(traffics[i].mode, mode) && !strcmp(traffics[i].script, script))
			return &traffics[i];
	fprintf(stderr, "breakdown: no script '%s' for '%s'\n", script, mode);
	exit(2);
}

#endif
