/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * Of states.c: clients, an upstream, and who sends signals: processes of their own, so that they are no threads
 * of the target.
 */
#ifndef STATES_OTHERS_H
#define STATES_OTHERS_H

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "loopback.h"
#include "workload.h"

#define ROUNDS 15
#define ROUND_MS 30
#define SEND_REQUESTS 4

static int listen_fd = -1, upstream_fd = -1;
static struct sockaddr_in server_addr, upstream_addr;

static void put_byte(int fd)
{
	if (send(fd, "x", 1, MSG_NOSIGNAL) != 1)
		die("send");
}

static void clients_in_a_row(void)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		int fd = connect_to(&server_addr);
		char byte;

		put_byte(fd);
		while (recv(fd, &byte, 1, 0) > 0)
			;
		close(fd);
	}
}

static void clients_now_and_then(void)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		int fd;
		char byte;

		sleep_ms(ROUND_MS);
		fd = connect_to(&server_addr);
		put_byte(fd);
		while (recv(fd, &byte, 1, 0) > 0)
			;
		close(fd);
	}
}

static void client_that_thinks(void)
{
	char byte;
	int fd;

	sleep_ms(ROUND_MS);
	fd = connect_to(&server_addr);
	for (unsigned i = 0; i < ROUNDS; i++) {
		sleep_ms(ROUND_MS);
		put_byte(fd);
		if (recv(fd, &byte, 1, 0) != 1)
			die("no answer");
	}
	close(fd);
}

static void clients_that_read_slowly(void)
{
	static char data[65536];
	int size = sizeof(data);

	for (unsigned i = 0; i < SEND_REQUESTS; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
		if (connect(fd, (struct sockaddr *)&server_addr, sizeof(server_addr)))
			die("connect");
		put_byte(fd);
		while (recv(fd, data, sizeof(data), MSG_WAITALL) > 0)
			sleep_ms(4);
		close(fd);
	}
}

static void stop_and_go(void)
{
	pid_t target = getppid();

	for (unsigned i = 0; i < 6; i++) {
		sleep_ms(40);
		kill(target, SIGSTOP);
		sleep_ms(60);
		kill(target, SIGCONT);
	}
}

static void upstream_main(void)
{
	char byte;
	int fd = accept4(upstream_fd, NULL, NULL, SOCK_CLOEXEC);

	while (recv(fd, &byte, 1, 0) == 1) {
		sleep_ms(ROUND_MS);
		put_byte(fd);
	}
	_exit(0);
}

static void end_with_target(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_TIMERSLACK, 1);
}

/* Returns the fd whose one byte starts the process's part. */
static int fork_helper(void (*run)(void), const char *name)
{
	pid_t pid;

	return fork_behind_gate(name, listen_fd, end_with_target, run, &pid);
}

#endif
