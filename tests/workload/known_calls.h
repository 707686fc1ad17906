/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* Of known.c: every call by which a server reads from a connection and writes to it. */
#ifndef KNOWN_CALLS_H
#define KNOWN_CALLS_H

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "workload.h"

static int file_fd = -1; /* what sendfile() sends from */

/* ---- every call by which a server reads and writes ---- */

static ssize_t by_read(int fd, char *buf, size_t len)
{
	return read(fd, buf, len);
}
static ssize_t by_recv(int fd, char *buf, size_t len)
{
	return recv(fd, buf, len, 0);
}

static ssize_t by_readv(int fd, char *buf, size_t len)
{
	struct iovec iov[2] = { { buf, len / 2 }, { buf + len / 2, len - len / 2 } };

	return readv(fd, iov, 2);
}

static ssize_t by_recvmsg(int fd, char *buf, size_t len)
{
	struct iovec iov = { buf, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	return recvmsg(fd, &msg, 0);
}

static ssize_t by_recvmmsg(int fd, char *buf, size_t len)
{
	struct iovec iov = { buf, len };
	struct mmsghdr msg = { .msg_hdr = { .msg_iov = &iov, .msg_iovlen = 1 } };
	int got = recvmmsg(fd, &msg, 1, MSG_WAITFORONE, NULL);

	return got < 0 ? got : (ssize_t)msg.msg_len;
}

static ssize_t by_write(int fd, const char *buf, size_t len)
{
	return write(fd, buf, len);
}
static ssize_t by_send(int fd, const char *buf, size_t len)
{
	return send(fd, buf, len, MSG_NOSIGNAL);
}

static ssize_t by_writev(int fd, const char *buf, size_t len)
{
	struct iovec iov[2] = { { (char *)buf, len / 2 },
				{ (char *)buf + len / 2, len - len / 2 } };

	return writev(fd, iov, 2);
}

static ssize_t by_sendmsg(int fd, const char *buf, size_t len)
{
	struct iovec iov = { (char *)buf, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	return sendmsg(fd, &msg, MSG_NOSIGNAL);
}

static ssize_t by_sendmmsg(int fd, const char *buf, size_t len)
{
	struct iovec iov = { (char *)buf, len };
	struct mmsghdr msg = { .msg_hdr = { .msg_iov = &iov, .msg_iovlen = 1 } };
	int sent = sendmmsg(fd, &msg, 1, MSG_NOSIGNAL);

	return sent < 0 ? sent : (ssize_t)msg.msg_len;
}

static ssize_t by_sendfile(int fd, const char *buf, size_t len)
{
	off_t offset = 0;

	if (pwrite(file_fd, buf, len, 0) != (ssize_t)len)
		die("pwrite");
	return sendfile(fd, file_fd, &offset, len);
}

static ssize_t by_splice(int fd, const char *buf, size_t len)
{
	int pipe_fds[2];
	ssize_t sent;

	if (pipe(pipe_fds) || write(pipe_fds[1], buf, len) != (ssize_t)len)
		die("pipe");
	sent = splice(pipe_fds[0], NULL, fd, NULL, len, 0);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	return sent;
}

static ssize_t (*const readers[])(int, char *, size_t) = { by_read, by_recv, by_readv, by_recvmsg,
							   by_recvmmsg };
static ssize_t (*const writers[])(int, const char *, size_t) = {
	by_write, by_send, by_writev, by_sendmsg, by_sendmmsg, by_sendfile, by_splice,
};
#define NR_READERS (sizeof(readers) / sizeof(readers[0]))
#define NR_WRITERS (sizeof(writers) / sizeof(writers[0]))

static void open_file(void)
{
	file_fd = memfd_create("response", MFD_CLOEXEC);
	if (file_fd < 0)
		die("memfd_create");
}

#endif
