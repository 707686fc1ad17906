/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * What a system call means to us, by its number, and how its number and arguments are read from the
 * user registers that the kernel saved at entry. Numbers: asm/unistd_64.h (x86-64), asm-generic/unistd.h
 * (arm64).
 */
#ifndef THREADPROF_SYSCALLS_BPF_H
#define THREADPROF_SYSCALLS_BPF_H

#include "vmlinux.h"

enum syscall_class {
	SC_NONE,
	/* traced at their exit */
	SC_READ,	  /* (fd, …) returns bytes */
	SC_WRITE,	  /* (fd, …) returns bytes */
	SC_READ_MSGS,	  /* (fd, …) returns messages */
	SC_WRITE_MSGS,	  /* (fd, …) returns messages */
	SC_SPLICE,	  /* (fd_in, off, fd_out, …) returns bytes */
	SC_ACCEPT,	  /* (fd, …) returns an fd */
	SC_SHUTDOWN,	  /* (fd, how) */
	SC_CLOSE,	  /* (fd) */
	SC_CLOSE_RANGE,	  /* closes many */
	SC_DUP,		  /* (fd, …) returns an fd */
	SC_FCNTL,	  /* (fd, cmd, …) */
	SC_FUTEX,	  /* (uaddr, op, val, …) */
	SC_FUTEX_WAIT,	  /* (uaddr, val, mask, flags, …) */
	SC_FUTEX_WAITV,	  /* (struct futex_waitv *, n, …) */
	SC_CONNECT,	  /* (fd, …) */
	SC_LAST_TRACED = SC_CONNECT,
	/* of interest only while a thread sleeps in them */
	SC_POLL,	  /* for work on any of many fds */
	SC_POLL_FDS,	  /* (struct pollfd *, n, …) */
	SC_SLEEP,
	SC_FILE,	  /* (fd, …) on files only */
	SC_PATH,	  /* file operations without an fd */
};

#define NR_SYSCALLS 512

#if defined(__TARGET_ARCH_x86)
static const __u8 syscall_class[NR_SYSCALLS] = {
	[0] = SC_READ /* read */,
	[1] = SC_WRITE /* write */,
	[2] = SC_PATH /* open */,
	[3] = SC_CLOSE,
	[4] = SC_PATH /* stat */,
	[6] = SC_PATH /* lstat */,
	[7] = SC_POLL_FDS /* poll */,
	[17] = SC_FILE /* pread64 */,
	[18] = SC_FILE /* pwrite64 */,
	[19] = SC_READ /* readv */,
	[20] = SC_WRITE /* writev */,
	[21] = SC_PATH /* access */,
	[23] = SC_POLL /* select */,
	[26] = SC_PATH /* msync */,
	[32] = SC_DUP /* dup */,
	[33] = SC_DUP /* dup2 */,
	[35] = SC_SLEEP /* nanosleep */,
	[40] = SC_WRITE /* sendfile */,
	[42] = SC_CONNECT,
	[43] = SC_ACCEPT /* accept */,
	[44] = SC_WRITE /* sendto */,
	[45] = SC_READ /* recvfrom */,
	[46] = SC_WRITE /* sendmsg */,
	[47] = SC_READ /* recvmsg */,
	[48] = SC_SHUTDOWN,
	[72] = SC_FCNTL,
	[74] = SC_FILE /* fsync */,
	[75] = SC_FILE /* fdatasync */,
	[76] = SC_PATH /* truncate */,
	[77] = SC_FILE /* ftruncate */,
	[78] = SC_FILE /* getdents */,
	[82] = SC_PATH /* rename */,
	[83] = SC_PATH /* mkdir */,
	[84] = SC_PATH /* rmdir */,
	[85] = SC_PATH /* creat */,
	[87] = SC_PATH /* unlink */,
	[162] = SC_PATH /* sync */,
	[187] = SC_FILE /* readahead */,
	[202] = SC_FUTEX,
	[208] = SC_PATH /* io_getevents */,
	[217] = SC_FILE /* getdents64 */,
	[230] = SC_SLEEP /* clock_nanosleep */,
	[232] = SC_POLL /* epoll_wait */,
	[257] = SC_PATH /* openat */,
	[262] = SC_PATH /* newfstatat */,
	[263] = SC_PATH /* unlinkat */,
	[270] = SC_POLL /* pselect6 */,
	[271] = SC_POLL_FDS /* ppoll */,
	[275] = SC_SPLICE,
	[277] = SC_FILE /* sync_file_range */,
	[281] = SC_POLL /* epoll_pwait */,
	[285] = SC_FILE /* fallocate */,
	[288] = SC_ACCEPT /* accept4 */,
	[292] = SC_DUP /* dup3 */,
	[295] = SC_FILE /* preadv */,
	[296] = SC_FILE /* pwritev */,
	[299] = SC_READ_MSGS /* recvmmsg */,
	[306] = SC_FILE /* syncfs */,
	[307] = SC_WRITE_MSGS /* sendmmsg */,
	[316] = SC_PATH /* renameat2 */,
	[326] = SC_FILE /* copy_file_range */,
	[327] = SC_FILE /* preadv2 */,
	[328] = SC_FILE /* pwritev2 */,
	[332] = SC_PATH /* statx */,
	[426] = SC_POLL /* io_uring_enter */,
	[436] = SC_CLOSE_RANGE,
	[437] = SC_PATH /* openat2 */,
	[441] = SC_POLL /* epoll_pwait2 */,
	[449] = SC_FUTEX_WAITV,
	[455] = SC_FUTEX_WAIT,
};

#define RETURN_ADDRESS_BYTES 8 /* that a return takes off the stack */

static __always_inline long regs__nr(struct pt_regs *regs)
{
	return regs->orig_ax;
}

static __always_inline long regs__arg0(struct pt_regs *regs)
{
	return regs->di;
}

static __always_inline long regs__arg1(struct pt_regs *regs)
{
	return regs->si;
}

static __always_inline long regs__arg2(struct pt_regs *regs)
{
	return regs->dx;
}

static __always_inline long regs__arg3(struct pt_regs *regs)
{
	return regs->r10;
}

static __always_inline __u64 regs__sp(struct pt_regs *regs)
{
	return regs->sp;
}

/* What a caller of this frame needs to be found, by DWARF number. */
static __always_inline void regs__copy(struct pt_regs *regs, __u64 *to)
{
	to[3] = regs->bx;
	to[6] = regs->bp;
	to[7] = regs->sp;
	to[12] = regs->r12;
	to[13] = regs->r13;
	to[14] = regs->r14;
	to[15] = regs->r15;
	to[16] = regs->ip;
}
#elif defined(__TARGET_ARCH_arm64)
static const __u8 syscall_class[NR_SYSCALLS] = {
	[4] = SC_PATH /* io_getevents */,
	[22] = SC_POLL /* epoll_pwait */,
	[23] = SC_DUP /* dup */,
	[24] = SC_DUP /* dup3 */,
	[25] = SC_FCNTL,
	[34] = SC_PATH /* mkdirat */,
	[35] = SC_PATH /* unlinkat */,
	[45] = SC_PATH /* truncate */,
	[46] = SC_FILE /* ftruncate */,
	[47] = SC_FILE /* fallocate */,
	[48] = SC_PATH /* faccessat */,
	[56] = SC_PATH /* openat */,
	[57] = SC_CLOSE,
	[61] = SC_FILE /* getdents64 */,
	[63] = SC_READ /* read */,
	[64] = SC_WRITE /* write */,
	[65] = SC_READ /* readv */,
	[66] = SC_WRITE /* writev */,
	[67] = SC_FILE /* pread64 */,
	[68] = SC_FILE /* pwrite64 */,
	[69] = SC_FILE /* preadv */,
	[70] = SC_FILE /* pwritev */,
	[71] = SC_WRITE /* sendfile */,
	[72] = SC_POLL /* pselect6 */,
	[73] = SC_POLL_FDS /* ppoll */,
	[76] = SC_SPLICE,
	[79] = SC_PATH /* newfstatat */,
	[81] = SC_PATH /* sync */,
	[82] = SC_FILE /* fsync */,
	[83] = SC_FILE /* fdatasync */,
	[84] = SC_FILE /* sync_file_range */,
	[98] = SC_FUTEX,
	[101] = SC_SLEEP /* nanosleep */,
	[115] = SC_SLEEP /* clock_nanosleep */,
	[202] = SC_ACCEPT /* accept */,
	[203] = SC_CONNECT,
	[206] = SC_WRITE /* sendto */,
	[207] = SC_READ /* recvfrom */,
	[210] = SC_SHUTDOWN,
	[211] = SC_WRITE /* sendmsg */,
	[212] = SC_READ /* recvmsg */,
	[213] = SC_FILE /* readahead */,
	[227] = SC_PATH /* msync */,
	[242] = SC_ACCEPT /* accept4 */,
	[243] = SC_READ_MSGS /* recvmmsg */,
	[267] = SC_FILE /* syncfs */,
	[269] = SC_WRITE_MSGS /* sendmmsg */,
	[276] = SC_PATH /* renameat2 */,
	[285] = SC_FILE /* copy_file_range */,
	[286] = SC_FILE /* preadv2 */,
	[287] = SC_FILE /* pwritev2 */,
	[291] = SC_PATH /* statx */,
	[426] = SC_POLL /* io_uring_enter */,
	[436] = SC_CLOSE_RANGE,
	[437] = SC_PATH /* openat2 */,
	[441] = SC_POLL /* epoll_pwait2 */,
	[449] = SC_FUTEX_WAITV,
	[455] = SC_FUTEX_WAIT,
};

#define RETURN_ADDRESS_BYTES 0 /* that a return takes off the stack */

static __always_inline long regs__nr(struct pt_regs *regs)
{
	return regs->syscallno;
}

static __always_inline long regs__arg0(struct pt_regs *regs)
{
	return regs->orig_x0;
}

static __always_inline long regs__arg1(struct pt_regs *regs)
{
	return regs->regs[1];
}

static __always_inline long regs__arg2(struct pt_regs *regs)
{
	return regs->regs[2];
}

static __always_inline long regs__arg3(struct pt_regs *regs)
{
	return regs->regs[3];
}

static __always_inline __u64 regs__sp(struct pt_regs *regs)
{
	return regs->sp;
}

/* What a caller of this frame needs to be found, by DWARF number. */
static __always_inline void regs__copy(struct pt_regs *regs, __u64 *to)
{
#pragma unroll
	for (int i = 19; i < 31; i++)
		to[i] = regs->regs[i];
	to[31] = regs->sp;
	to[32] = regs->pc;
}
#endif

/* SC_NONE also where the registers are not those of a system call (an interrupt or a page fault: -1). */
static __always_inline enum syscall_class regs__class(struct pt_regs *regs)
{
	unsigned long nr = regs__nr(regs);

	return nr < NR_SYSCALLS ? syscall_class[nr] : SC_NONE;
}

/* A call by which a thread wakes another one: through a futex, or a pipe, an eventfd, a socket. */
static __always_inline bool regs__hands_over(struct pt_regs *regs)
{
	enum syscall_class class = regs__class(regs);

	return class == SC_FUTEX || class == SC_WRITE || class == SC_WRITE_MSGS;
}

#endif /* THREADPROF_SYSCALLS_BPF_H */
