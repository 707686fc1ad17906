// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "end_signals.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "log.h"

static sigset_t end_signals(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	return signals;
}

int end_signals__take(int *fd)
{
	sigset_t signals = end_signals();

	signal(SIGPIPE, SIG_IGN);
	*fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (*fd < 0 || sigprocmask(SIG_BLOCK, &signals, NULL))
		return log__fail(-errno, "cannot wait for signals: %s", strerror(errno));
	return 0;
}

bool end_signals__came(int fd)
{
	struct signalfd_siginfo info;
	sigset_t signals = end_signals();

	if (read(fd, &info, sizeof(info)) <= 0)
		return false;
	sigprocmask(SIG_UNBLOCK, &signals, NULL);
	return true;
}
