/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * A connection's life: its accept, its descriptors, its end. Of request.bpf.c, the only one that includes it.
 *
 * A connection is known by its struct file, which dup(2), fork(2) and SCM_RIGHTS share; map fds remembers
 * which file a descriptor was, for the exit of close(2), where the descriptor is gone. Descriptors that
 * close in other ways (close_range(2), exec, the process's end) are swept by userspace.
 */
#ifndef THREADPROF_CONN_BPF_H
#define THREADPROF_CONN_BPF_H

#include "threadprof.bpf.h"
#include "queue.bpf.h"
#include "request.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 131072);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct tp_fd_key);
	__type(value, struct tp_fd);
} fds SEC(".maps");

/*
 * Room for a connection that is made or reported: the stack has none where two functions have called each
 * other. One a CPU will do, since the program runs to its end before it begins again there.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct tp_conn);
} conn_room SEC(".maps");

static __always_inline struct tp_conn *conn__room(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&conn_room, &zero);
}

static __always_inline struct tp_fd_key fd_key(__u32 tgid, __s32 fd)
{
	struct tp_fd_key key = { .tgid = tgid, .fd = fd };

	return key;
}

static __always_inline struct tp_rec_conn *conn__record(const struct tp_conn *conn, __u16 how, __u64 now)
{
	struct tp_rec_conn *rec = rec__reserve(struct tp_rec_conn, TP_REC_CONN, now);
	bool in_hand = conn->phase == TP_CONN_OPEN;

	if (!rec)
		return NULL;
	rec->conn_id = conn->r.conn_id;
	rec->open_ns = conn->open_ns;
	rec->end_ns = now;
	rec->in_bytes = conn->in_bytes;
	rec->out_bytes = conn->out_bytes;
	rec->tgid = conn->tgid;
	rec->fd = conn->r.fd;
	rec->requests = conn->r.seq - in_hand;
	rec->unanswered = in_hand;
	rec->end = how;
	rec->flags = conn->flags;
	rec->never_read = conn->phase == TP_CONN_QUEUED;
	rec->peer = conn->r.peer;
	return rec;
}

/*
 * Ends a connection: its last request, and its own record. Two threads may come here for the same one (its
 * close, and the accept that gets its descriptor): the one whose delete succeeds reports it, from a copy.
 */
static __noinline void conn__end(const struct call *c, __u64 file, struct tp_conn *conn, __u16 how)
{
	struct tp_rec_request *request;
	struct tp_rec_conn *rec;
	struct tp_conn *last = conn__room();

	if (!last)
		return;
	*last = *conn;
	if (bpf_map_delete_elem(&conns, &file))
		return;
	request = request__record(last, c->now);
	if (request)
		rec__submit(request);
	rec = conn__record(last, how, c->now);
	if (rec)
		rec__submit(rec);
	if (last->phase == TP_CONN_QUEUED)
		queue__leave(c->now);
	else if (last->phase == TP_CONN_OPEN)
		in_hand__release(c, last->owner_tid);
}

/* The descriptor that was @entry is gone; ends the connection unless a copy of it is open elsewhere. */
static __noinline void conn__descriptor_gone(const struct call *c, const struct tp_fd *entry, bool replaced)
{
	struct file *file = (struct file *)entry->file;
	struct tp_conn *conn = bpf_map_lookup_elem(&conns, &entry->file);

	if (!conn || conn->inode != entry->inode)
		return; /* ended before, by shutdown(2) */
	if (!replaced && compat__file_is_held(file) && BPF_CORE_READ(file, f_inode, i_ino) == entry->inode)
		return;
	conn__end(c, entry->file, conn, TP_END_CLOSE);
}

static __noinline void conn__on_accept(const struct call *c, __s32 listen_fd, __s32 fd)
{
	struct file *file = files__file(c->files, fd), *listener;
	struct tp_fd_key key = fd_key(c->tgid, fd);
	struct tp_fd *old, entry = {};
	struct tp_conn *stale, *conn;

	queue__enter(c->now);
	if (!file) {
		/* Another thread closed it before accept(2) returned here. */
		loss__count(TP_LOSS_UNMATCHED);
		queue__leave(c->now);
		return;
	}
	entry.file = (__u64)file;
	entry.inode = BPF_CORE_READ(file, f_inode, i_ino);
	old = bpf_map_lookup_elem(&fds, &key);
	if (old && old->inode != entry.inode)
		conn__descriptor_gone(c, old, true);
	stale = bpf_map_lookup_elem(&conns, &entry.file);
	if (stale)
		conn__end(c, entry.file, stale, TP_END_GONE);

	conn = conn__room();
	if (!conn)
		return;
	__builtin_memset(conn, 0, sizeof(*conn));
	conn->open_ns = c->now;
	conn->inode = entry.inode;
	conn->tgid = c->tgid;
	conn->phase = TP_CONN_QUEUED;
	conn->r.conn_id = (c->now & ~0xffULL) | (bpf_get_smp_processor_id() & 0xff);
	conn->r.fd = fd;
	sock__peer(&conn->r.peer, file__sock(file));
	if (bpf_map_update_elem(&conns, &entry.file, conn, BPF_ANY)) {
		loss__count(TP_LOSS_CONN_MAP);
		queue__leave(c->now);
	} else if (bpf_map_update_elem(&fds, &key, &entry, BPF_ANY)) {
		loss__count(TP_LOSS_CONN_MAP);
	}

	listener = files__file(c->files, listen_fd);
	if (listener)
		queue__note_backlog(file__sock(listener), c->now);
}

static __noinline void conn__on_close(const struct call *c, __s32 fd)
{
	struct tp_fd_key key = fd_key(c->tgid, fd);
	struct tp_fd *found = bpf_map_lookup_elem(&fds, &key), entry;
	struct file *file;

	if (!found)
		return;
	entry = *found;
	file = files__file(c->files, fd);
	if (file && BPF_CORE_READ(file, f_inode, i_ino) == entry.inode)
		return; /* another thread got the number meanwhile: this close was of an older file */
	bpf_map_delete_elem(&fds, &key);
	conn__descriptor_gone(c, &entry, false);
}

static __noinline void conn__on_shutdown(const struct call *c, __s32 fd)
{
	struct file *file = files__file(c->files, fd);
	struct tp_conn *conn;

	if (!file)
		return;
	conn = bpf_map_lookup_elem(&conns, &file);
	if (conn)
		conn__end(c, (__u64)file, conn, TP_END_SHUTDOWN);
}

/* dup(2) and its kin: one more descriptor for a connection, perhaps in the place of another's. */
static __noinline void conn__on_dup(const struct call *c, __s32 fd)
{
	struct file *file = files__file(c->files, fd);
	struct tp_fd_key key = fd_key(c->tgid, fd);
	struct tp_fd *old = bpf_map_lookup_elem(&fds, &key), entry = {};
	struct tp_conn *conn;

	if (!file)
		return;
	entry.file = (__u64)file;
	conn = bpf_map_lookup_elem(&conns, &entry.file);
	if (old && old->file != entry.file) {
		struct tp_fd replaced = *old;

		bpf_map_delete_elem(&fds, &key);
		conn__descriptor_gone(c, &replaced, false);
	}
	if (!conn)
		return;
	entry.inode = conn->inode;
	if (bpf_map_update_elem(&fds, &key, &entry, BPF_ANY))
		loss__count(TP_LOSS_CONN_MAP);
}

/* An inherited descriptor: the connection goes on in a process that did not accept it. */
static __always_inline void conn__move(const struct call *c, const struct end *end)
{
	struct tp_fd_key key = fd_key(c->tgid, end->fd);
	struct tp_fd entry = { .file = (__u64)end->file, .inode = end->conn->inode };

	end->conn->tgid = c->tgid;
	if (bpf_map_update_elem(&fds, &key, &entry, BPF_ANY))
		loss__count(TP_LOSS_CONN_MAP);
}

#endif /* THREADPROF_CONN_BPF_H */
