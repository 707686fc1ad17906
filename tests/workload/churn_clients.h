/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* Of churn.c: the clients, in a process of their own. */
#ifndef CHURN_CLIENTS_H
#define CHURN_CLIENTS_H

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "loopback.h"
#include "workload.h"

#define CLIENT_THREADS 8

static int listen_fd = -1;
static struct sockaddr_in server_addr;
static unsigned count;
static pid_t client_pid;

static int dial(void)
{
	/* The client's end is reset, so that ten thousand connections leave no port in TIME_WAIT. */
	struct linger reset = { 1, 0 };
	int fd = connect_to(&server_addr);

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	return fd;
}

static void await_end(int fd)
{
	char byte;

	while (recv(fd, &byte, 1, 0) > 0)
		;
	close(fd);
}

static void converse(int fd)
{
	char reply;

	do {
		if (send(fd, "?", 1, MSG_NOSIGNAL) != 1)
			break;
	} while (recv(fd, &reply, 1, 0) == 1 && reply == '+');
	await_end(fd);
}

static void *client_of_many(void *arg)
{
	for (unsigned i = *(unsigned *)arg; i < count; i += CLIENT_THREADS)
		converse(dial());
	return NULL;
}

static void *client_of_one(void *arg)
{
	converse(dial());
	return arg;
}

static void *client_that_waits(void *arg)
{
	await_end(dial());
	return arg;
}

static void join_clients(void *(*run)(void *), unsigned nr)
{
	pthread_t *clients = calloc(nr, sizeof(*clients));
	unsigned *numbers = calloc(nr, sizeof(*numbers));

	for (unsigned i = 0; i < nr; i++) {
		numbers[i] = i;
		if ((errno = pthread_create(&clients[i], NULL, run, &numbers[i])))
			die("pthread_create");
	}
	for (unsigned i = 0; i < nr; i++)
		pthread_join(clients[i], NULL);
	free(clients);
	free(numbers);
}

static void many_clients(void)
{
	join_clients(client_of_many, CLIENT_THREADS);
}

static void clients_at_once(void)
{
	join_clients(client_of_one, count);
}

static void silent_clients(void)
{
	for (unsigned i = 0; i < count; i++)
		client_that_waits(NULL);
}

static void client_pairs(void)
{
	for (unsigned i = 0; i < count; i += 2)
		join_clients(client_of_one, 2);
}

static void *client_that_stays(void *arg)
{
	int fd = dial();
	char reply;

	if (send(fd, "?", 1, MSG_NOSIGNAL) != 1 || recv(fd, &reply, 1, 0) != 1)
		die("client");
	await_end(fd);
	return arg;
}

static void clients_that_stay(void)
{
	join_clients(client_that_stays, count);
}

static int fork_clients(void (*run)(void))
{
	/*
	 * No PR_SET_PDEATHSIG: it fires when the forking thread ends, which an exec from another thread brings about. The
	 * end of the server's sockets ends the clients.
	 */
	return fork_behind_gate("churn-client", listen_fd, NULL, run, &client_pid);
}

#endif
