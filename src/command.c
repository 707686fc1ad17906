// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"

#define EXEC_PATIENCE_MS 2000

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* In the child: waits for a byte, then becomes the command. No byte: threadprof gave up. */
static void __attribute__((noreturn)) become(char **argv, int go_fd, int error_fd)
{
	sigset_t none;
	char byte;
	int err;

	if (read(go_fd, &byte, 1) != 1)
		_exit(127);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	execvp(argv[0], argv);
	err = errno;
	log__fail(-err, "cannot start %s: %s", argv[0], strerror(err));
	if (write(error_fd, &err, sizeof(err)) < 0)
		_exit(126);
	_exit(127);
}

int command__start(struct command *command, char **argv)
{
	int go[2], error[2];

	if (pipe2(go, O_CLOEXEC))
		return log__fail(-errno, "cannot start %s: %s", argv[0], strerror(errno));
	if (pipe2(error, O_CLOEXEC)) {
		close(go[0]);
		close(go[1]);
		return log__fail(-errno, "cannot start %s: %s", argv[0], strerror(errno));
	}
	command->go_fd = go[1];
	command->error_fd = error[0];
	command->pid = fork();
	if (!command->pid) {
		close(go[1]);
		close(error[0]);
		become(argv, go[0], error[1]);
	}
	close(go[0]);
	close(error[1]);
	if (command->pid < 0)
		return log__fail(-errno, "cannot start %s: %s", argv[0], strerror(errno));
	command->pidfd = syscall(SYS_pidfd_open, command->pid, 0);
	if (command->pidfd < 0)
		return log__fail(-errno, "cannot watch %s: %s", argv[0], strerror(errno));
	return 0;
}

int command__go(struct command *command)
{
	struct pollfd waits = { .fd = command->error_fd, .events = POLLIN };
	int err = 0;

	if (!command->pid)
		return 0;
	if (write(command->go_fd, "", 1) != 1)
		return log__fail(-errno, "cannot start the command: %s", strerror(errno));
	close_fd(&command->go_fd);
	/*
	 * The other end closes with a successful exec; otherwise the child has said what failed. A program on a
	 * file system that does not answer is not waited for: it is profiled from its begin whenever that is.
	 */
	if (poll(&waits, 1, EXEC_PATIENCE_MS) <= 0)
		return 0;
	if (read(command->error_fd, &err, sizeof(err)) == sizeof(err))
		return -err;
	close_fd(&command->error_fd);
	return 0;
}

void command__free(struct command *command)
{
	close_fd(&command->go_fd);
	close_fd(&command->error_fd);
	close_fd(&command->pidfd);
	if (command->pid > 0)
		waitpid(command->pid, NULL, WNOHANG);
}
