// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * What a blocked thread waits for: from the system call it sleeps in, the kind of its descriptor, and
 * whether it has a request in hand. Waits for a file are summed up by its name; for peers: peer.bpf.c.
 */
#include "threadprof.bpf.h"
#include "syscalls.bpf.h"
#include "task_copy.bpf.h"

#define S_IFREG 0100000
#define S_IFBLK 0060000
#define S_IFDIR 0040000

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct tp_file_key);
	__type(value, struct tp_wait);
} files SEC(".maps");

#define POLLOUT 4

struct pollfd {
	int fd;
	short events;
	short revents;
};

/* --- the kinds of wait --- */

/* For a socket that the target did not accept: a wait for its peer, if it is part of a request. */
static __always_inline enum tp_state peer__classify(struct thread *t, __u32 tid, struct file *file)
{
	if (!thread__has_in_hand(t, tid)) {
		t->tent_state = TP_NET;
		if (file) {
			t->tent_what = BLOCK_PEER;
			t->block_file = (__u64)file;
			t->block_inode = compat__read(struct file, file, f_inode, i_ino);
		}
		return TP_IDLE;
	}
	if (file) {
		t->block_what = BLOCK_PEER;
		t->block_file = (__u64)file;
	}
	t->not_in_hand = TP_IDLE;
	return TP_NET;
}

/* For a connection that the target did accept. */
static __always_inline enum tp_state conn__classify(struct thread *t, struct tp_conn *conn, __u64 now, bool reads)
{
	if (reads)
		request__read_begins(conn, now);
	if (reads && conn->phase != TP_CONN_OPEN)
		return TP_IDLE;
	t->block_what = reads ? BLOCK_CLIENT_READ : BLOCK_CLIENT_SEND;
	return TP_NET;
}

static __always_inline enum tp_state disk__classify(struct thread *t, struct file *file)
{
	if (file) {
		t->block_what = BLOCK_FILE;
		t->block_file = (__u64)file;
	}
	return TP_DISK;
}

static __always_inline bool task__waits_for_io(struct task_struct *task, long task_state)
{
	return BPF_CORE_READ_BITFIELD(task, in_iowait) || (task_state & TASK_UNINTERRUPTIBLE);
}

static __always_inline enum tp_state fd__classify(struct thread *t, struct task_struct *task,
						  struct files_struct *files, __s32 fd, __u64 now, bool reads)
{
	struct file *file = files__file(files, fd);
	struct tp_conn *conn;
	__u16 mode;

	if (!file)
		return TP_OTHER;
	conn = file__conn(file);
	if (conn)
		return conn__classify(t, conn, now, reads);
	mode = file__mode(file);
	if (mode == S_IFSOCK) {
		if (reads) {
			t->block_again = t->read_file == (__u64)file;
			if (!t->read_file)
				__sync_fetch_and_add(&nr_read_files, 1);
			t->read_file = (__u64)file;
			return peer__classify(t, t->tid, file);
		}
		t->block_what = BLOCK_PEER;
		t->block_file = (__u64)file;
		return TP_NET;
	}
	if (mode == S_IFREG || mode == S_IFBLK || mode == S_IFDIR)
		return disk__classify(t, file);
	return BPF_CORE_READ_BITFIELD(task, in_iowait) ? TP_DISK : TP_OTHER;
}

/* A poll of a single descriptor is a wait for that peer; of many, for none that we could name. */
static __always_inline enum tp_state poll__classify(struct thread *t, struct files_struct *files,
						    struct pt_regs *regs, bool is_current)
{
	struct pollfd poll = { .fd = -1 };
	struct file *file = NULL;
	struct tp_conn *conn;

	if (is_current && regs__arg1(regs) == 1 &&
	    !bpf_probe_read_user(&poll, sizeof(poll), (void *)regs__arg0(regs)))
		file = files__file(files, poll.fd);
	if (file && file__mode(file) != S_IFSOCK)
		file = NULL;
	conn = file__conn(file);
	if (conn && (conn->phase == TP_CONN_OPEN || poll.events & POLLOUT)) {
		t->block_what = poll.events & POLLOUT ? BLOCK_CLIENT_SEND : BLOCK_CLIENT_READ;
		return TP_NET;
	}
	t->polled = !file;
	t->turn = TURN_NONE;
	return peer__classify(t, t->tid, conn ? NULL : file);
}

enum tp_state block__classify(struct thread *t, struct task_struct *task, long task_state, __u64 now,
			      bool is_current)
{
	struct pt_regs *regs = compat__task_regs(task, COPY_OF_LEAVING);
	struct files_struct *files = task->files;

	t->block_since = now;
	t->waker_tid = 0;
	t->block_nr = regs__nr(regs);
	t->block_what = BLOCK_NOTHING;
	t->block_again = false;
	t->tent_what = BLOCK_NOTHING;
	t->not_in_hand = TP_NR_STATES;
	t->tent_state = TP_NR_STATES;
	t->polled = false;
	if (task_state & TASK_STOPPED_OR_TRACED)
		return TP_OTHER;
	switch (regs__class(regs)) {
	case SC_READ:
	case SC_READ_MSGS:
	case SC_SPLICE:
		return fd__classify(t, task, files, regs__arg0(regs), now, true);
	case SC_WRITE:
	case SC_WRITE_MSGS:
		return fd__classify(t, task, files, regs__arg0(regs), now, false);
	case SC_ACCEPT:
		return TP_IDLE;
	case SC_POLL:
		t->polled = true;
		t->turn = TURN_NONE;
		return peer__classify(t, t->tid, NULL);
	case SC_POLL_FDS:
		return poll__classify(t, files, regs, is_current);
	case SC_CONNECT:
		return fd__classify(t, task, files, regs__arg0(regs), now, false);
	case SC_FUTEX:
	case SC_FUTEX_WAIT:
	case SC_FUTEX_WAITV:
		return lock__classify(t, task, regs, is_current);
	case SC_SLEEP:
		return TP_SLEEP;
	case SC_FILE:
		if (!task__waits_for_io(task, task_state))
			return TP_OTHER;
		return disk__classify(t, files__file(files, regs__arg0(regs)));
	case SC_PATH:
		return task__waits_for_io(task, task_state) ? TP_DISK : TP_OTHER;
	default:
		/* Also a page fault, where uninterruptible alone may be a wait for a lock of the kernel's. */
		return BPF_CORE_READ_BITFIELD(task, in_iowait) ? TP_DISK : TP_OTHER;
	}
}

/* --- the totals --- */

static __noinline void disk__account(struct thread *t)
{
	struct file *file = (struct file *)t->block_file;
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct tp_file_key key = { .epoch = epoch };
	const unsigned char *name = BPF_CORE_READ(file, f_path.dentry, d_name.name);

	key.inode = BPF_CORE_READ(inode, i_ino);
	key.dev = BPF_CORE_READ(inode, i_sb, s_dev);
	bpf_probe_read_kernel_str(key.name, sizeof(key.name), name);
	wait__add(&files, &key, 1, t->block_ns);
}

void block__account(struct thread *t, __u32 tgid)
{
	switch (t->block_what) {
	case BLOCK_LOCK:
		lock__account(t, tgid);
		break;
	case BLOCK_PEER:
		if (detail__is_on(TP_DETAIL_WAITS))
			peer__account(t);
		break;
	case BLOCK_FILE:
		if (detail__is_on(TP_DETAIL_WAITS))
			disk__account(t);
		break;
	case BLOCK_CLIENT_SEND:
		client__waited(TP_CLIENT_SEND, t->block_ns);
		break;
	case BLOCK_CLIENT_READ:
		client__waited(TP_CLIENT_READ, t->block_ns);
		break;
	}
	t->block_what = BLOCK_NOTHING;
}

static __noinline void tentative__account(struct thread *t, __u32 tgid, const struct tentative_wait *wait)
{
	struct file *file = (struct file *)wait->at;

	t->block_what = wait->what;
	t->block_ns = wait->ns;
	t->block_again = wait->again;
	if (wait->what == BLOCK_LOCK) {
		t->lock_addr = wait->at;
		t->lock_kind = wait->detail;
		t->lock_owner = 0;
	} else {
		/* The descriptor may be closed by now. */
		if (!compat__file_is_held(file) || (__u32)BPF_CORE_READ(file, f_inode, i_ino) != wait->detail)
			t->block_what = BLOCK_NOTHING;
		t->block_file = wait->at;
	}
	block__account(t, tgid);
	if (wait->what == BLOCK_LOCK) {
		t->holder_phase = HOLDER_NONE;
		t->stack_lock_ns = 0; /* the thread is somewhere else by now */
		lock__tell(t, TP_WAIT_WOKEN);
	}
}

int block__account_tentative(__u64 since_ns)
{
	struct task_struct *task = task__current(COPY_OF_CALLER);
	struct thread *t = task ? thread__get(task) : NULL;

	if (!t)
		return 0;
	/* One that came on its CPU unseen has not been accounted yet. */
	block__account(t, t->tgid);
	for (__u32 i = 0; i < NR_TENTATIVE; i++) {
		const struct tentative_wait *wait = &t->tentative[i];

		if (wait->what != BLOCK_NOTHING && wait->since_ns >= since_ns)
			tentative__account(t, t->tgid, wait);
	}
	return 0;
}
