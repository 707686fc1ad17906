/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* A command that is profiled from its first instruction: it waits, before exec, until we are attached. */
#ifndef THREADPROF_COMMAND_H
#define THREADPROF_COMMAND_H

#include <sys/types.h>

struct command {
	pid_t pid;    /* 0: there is none */
	int pidfd;
	int go_fd;    /* writing to it lets the child go on */
	int error_fd; /* tells the errno of an exec that failed */
};

#define COMMAND_INIT { .pidfd = -1, .go_fd = -1, .error_fd = -1 }

/* Forks the child that will be @argv. Negative errno after a sentence on stderr. */
int command__start(struct command *command, char **argv);

/* Lets the child exec. Fails if that fails; 0 also if there is no command. */
int command__go(struct command *command);

/* A child that was not let go ends; one that runs goes on without us. */
void command__free(struct command *command);

#endif /* THREADPROF_COMMAND_H */
