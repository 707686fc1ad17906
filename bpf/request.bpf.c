// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * Connections and requests, from the exits of system calls alone: the saved registers still hold the
 * arguments there, and the moment a blocking read began is the moment the thread was switched out in it
 * (sched.bpf.c), so no enter probe is needed.
 *
 * A connection is known by its struct file, which dup(2), fork(2) and SCM_RIGHTS share; map fds remembers
 * which file a descriptor was, for the exit of close(2), where the descriptor is gone. Descriptors that
 * close in other ways (close_range(2), exec, the process's end) are swept by userspace.
 */
#include "threadprof.bpf.h"
#include "queue.bpf.h"
#include "syscalls.bpf.h"
#include "task_copy.bpf.h"

#define SHUT_RD 0
#define EAGAIN 11
#define EINPROGRESS 115
#define SOCK_NOSPACE 2 /* include/linux/net.h: set where a send found no room */
/* No socket's buffer is smaller: a response below this does not fill it, unless earlier ones have. */
#define FILLING_BYTES 16384
#define F_DUPFD 0
#define F_DUPFD_CLOEXEC 1030

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

/* What a system call's exit gives to the functions below. */
struct call {
	struct task_struct *task;
	struct files_struct *files; /* of the task */
	struct thread *t;
	__u32 tid;
	__u32 tgid;
	__u64 now;
};

/*
 * Looks up what nearly all that concerns a connection needs. Most reads and writes of most programs don't concern
 * one, so that this comes after the question which file it is. False: the thread is none of ours.
 */
static __always_inline bool call__begin(struct call *c)
{
	c->t = thread__get(c->task);
	if (!c->t)
		return false;
	c->tid = c->t->tid;
	c->tgid = c->t->tgid;
	c->now = bpf_ktime_get_ns();
	if (c->t->state != TP_CPU && c->t->since_ns && !c->t->exited)
		thread__runs_unseen(c->now);
	return true;
}

static __always_inline struct tp_conn *file__conn(struct file *file)
{
	return file ? bpf_map_lookup_elem(&conns, &file) : NULL;
}

/* What a system call that carries data reads from or writes to. */
struct end {
	struct file *file;
	struct tp_conn *conn; /* NULL: it is no connection of the target's */
	__s32 fd;
};

static __always_inline void end__find(struct end *end, struct files_struct *files, __s32 fd)
{
	end->fd = fd;
	end->file = files__file(files, fd);
	end->conn = file__conn(end->file);
}

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

/* --- the queue of accepted connections --- */

void request__read_begins(struct tp_conn *conn, __u64 now)
{
	if (conn->phase != TP_CONN_QUEUED)
		return;
	conn->phase = TP_CONN_IDLE;
	conn->dequeue_ns = now;
	queue__leave(now);
}

/* --- requests in hand --- */

static __always_inline void in_hand__take(const struct call *c)
{
	if (!thread__has_in_hand(c->t, c->tid))
		c->t->busy_since = c->now;
	c->t->in_hand++;
}

/* The request that @owner_tid has in hand is answered, or given up, by the calling thread. */
static __always_inline void in_hand__release(const struct call *c, __u32 owner_tid)
{
	struct tp_debt *debt, new_debt = { .count = 1, .last_ns = c->now };

	if (owner_tid == c->tid) {
		if (thread__has_in_hand(c->t, c->tid) && --c->t->in_hand == 0)
			c->t->busy_ns += c->now - c->t->busy_since;
		return;
	}
	debt = bpf_map_lookup_elem(&debts, &owner_tid);
	if (debt) {
		debt->last_ns = c->now;
		__sync_fetch_and_add(&debt->count, 1);
	} else if (bpf_map_update_elem(&debts, &owner_tid, &new_debt, BPF_ANY)) {
		loss__count(TP_LOSS_DETAIL_MAP);
		return;
	}
	__sync_fetch_and_add(&nr_debts, 1);
}

/* --- a request's life --- */

/* The record of the current request, if it was answered: what was read and never answered is none. */
static __always_inline struct tp_rec_request *request__record(const struct tp_conn *conn, __u64 now)
{
	struct tp_rec_request *rec;

	if (conn->phase != TP_CONN_ANSWERED)
		return NULL;
	rec = rec__reserve(struct tp_rec_request, TP_REC_REQUEST, now);
	if (rec)
		rec->r = conn->r;
	return rec;
}

static __always_inline void request__start(const struct call *c, struct tp_conn *conn, __s32 fd)
{
	struct tp_request *r = &conn->r;
	bool knows_queue_wait = !r->seq && !(conn->flags & TP_CONN_PREEXISTING);

	conn->phase = TP_CONN_OPEN;
	conn->owner_tid = c->tid;
	conn->handoff_ns = 0;
	r->no_parts = !detail__is_on(TP_DETAIL_BREAKDOWN);
	if (!r->no_parts)
		thread__copy_states(c->t, c->now, conn->base_ns);
	r->seq++;
	r->tgid = c->tgid;
	r->read_tid = c->tid;
	r->fd = fd;
	r->start_ns = c->now;
	r->queue_wait_ns = knows_queue_wait ? conn->dequeue_ns - conn->open_ns : TP_NO_QUEUE_WAIT;
	r->in_bytes = 0;
	r->out_bytes = 0;
	conn->full_since = 0;
	c->t->tent_file = 0;
	in_hand__take(c);
}

/* An inherited descriptor: the connection goes on in a process that did not accept it. */
static __always_inline void conn__move(const struct call *c, struct tp_conn *conn, struct file *file, __s32 fd)
{
	struct tp_fd_key key = fd_key(c->tgid, fd);
	struct tp_fd entry = { .file = (__u64)file, .inode = conn->inode };

	conn->tgid = c->tgid;
	if (bpf_map_update_elem(&fds, &key, &entry, BPF_ANY))
		loss__count(TP_LOSS_CONN_MAP);
}

static __always_inline void request__on_read(const struct call *c, const struct end *end, long bytes, bool got_data)
{
	struct tp_conn *conn = end->conn;

	request__read_begins(conn, c->now);
	if (!got_data)
		return;
	c->t->turn = (__u64)end->file;
	if (conn->tgid != c->tgid)
		conn__move(c, conn, end->file, end->fd);
	if (conn->phase != TP_CONN_OPEN) {
		struct tp_rec_request *last = request__record(conn, c->now);

		if (last)
			rec__submit(last);
		request__start(c, conn, end->fd);
	} else if (conn->owner_tid != c->tid) {
		/* Another thread reads on: the request is in its hands now. */
		in_hand__release(c, conn->owner_tid);
		conn->handoff_ns = c->now - conn->r.start_ns;
		conn->owner_tid = c->tid;
		thread__copy_states(c->t, c->now, conn->base_ns);
		in_hand__take(c);
	} else if (c->t->polled) {
		/* An event loop has waited for the rest; where a thread blocks for it, the scheduler's probe sees it. */
		client__waited(TP_CLIENT_READ, c->now - conn->read_ns);
	}
	conn->read_ns = c->now;
	conn->in_bytes += bytes;
	conn->r.in_bytes += bytes;
}

/*
 * Since when @t has had a request that @owner_tid read at @start_ns: since that thread woke it; or, where it
 * did not need to or the waker is not known, since @t had answered its last one, or since the first wake-up
 * after the read. Later waits are part of it. NULL: not known.
 */
static __always_inline struct free_moment *thread__taken_up(struct thread *t, __u32 owner_tid, __u64 start_ns)
{
	__u32 oldest = t->nr_free > NR_FREE ? t->nr_free - NR_FREE : 0;
	struct free_moment *first = NULL;

	for (__u32 i = 0; i < NR_FREE && oldest + i < t->nr_free; i++) {
		struct free_moment *moment = &t->free[(oldest + i) & (NR_FREE - 1)];

		if (moment->ns <= start_ns)
			continue;
		if (moment->waker_tid == owner_tid)
			return moment;
		if (!first)
			first = moment;
	}
	return t->answered.ns > start_ns ? &t->answered : first;
}

/*
 * Another thread than the one that read the request writes the response. The time before it took the request
 * up is the hand-off; what looked idle since then was a part of the request.
 */
static __always_inline void request__take_over(const struct call *c, struct tp_conn *conn)
{
	struct thread *t = c->t;
	struct free_moment *taken = thread__taken_up(t, conn->owner_tid, conn->r.start_ns);
	__u64 taken_ns = taken ? taken->ns : c->now;

	in_hand__release(c, conn->owner_tid);
	conn->owner_tid = c->tid;
	if (taken) {
		__u64 wait_ns = t->tent_wait_ns - taken->tent_wait_ns;
		__u64 net_ns = t->tent_net_ns - taken->tent_net_ns;

		__builtin_memcpy(conn->base_ns, taken->base_ns, sizeof(conn->base_ns));
		t->state_ns[TP_IDLE] -= wait_ns + net_ns;
		t->state_ns[TP_WAIT] += wait_ns;
		t->state_ns[TP_NET] += net_ns;
		block__account_tentative(taken_ns);
	} else {
		thread__copy_states(t, c->now, conn->base_ns);
	}
	conn->handoff_ns = taken_ns - conn->r.start_ns;
	if (!thread__has_in_hand(t, c->tid))
		t->busy_ns += c->now - taken_ns;
}

/* A write follows one that looked like the end of the response: what was idle since then was not. */
static __always_inline void request__extend(const struct call *c, struct tp_conn *conn, struct file *file)
{
	struct thread *t = c->t;

	if (conn->owner_tid != c->tid) {
		conn->handoff_ns += c->now - conn->r.end_ns;
		return;
	}
	if (!thread__has_in_hand(t, c->tid))
		t->busy_ns += c->now - conn->r.end_ns;
	if (t->tent_file != (__u64)file)
		return;
	t->state_ns[TP_IDLE] -= t->tent_wait_ns + t->tent_net_ns;
	t->state_ns[TP_WAIT] += t->tent_wait_ns;
	t->state_ns[TP_NET] += t->tent_net_ns;
	block__account_tentative(conn->r.end_ns);
}

/*
 * Splits the time from start to this answer: what the serving thread did, whose counters the caller has just
 * taken down as those of its last answer, and the time between two threads.
 */
static __always_inline void request__split(const struct call *c, struct tp_conn *conn)
{
	const __u64 *states = c->t->answered.base_ns;

	conn->r.part_ns[TP_HANDOFF] = conn->handoff_ns;
	if (conn->owner_tid != c->tid || conn->r.no_parts)
		return;
#pragma unroll
	for (int i = 0; i < TP_NR_STATES; i++)
		conn->r.part_ns[i] = states[i] - conn->base_ns[i];
}

/* A client takes nothing more, and an event loop waits until it does: from the write that found no room on. */
static __always_inline void conn__on_full(const struct call *c, const struct end *end, bool sure)
{
	struct file *file = end->file; /* BPF_CORE_READ() would take struct end for the kernel's */
	struct socket *socket;

	if (end->conn->full_since)
		return;
	socket = BPF_CORE_READ(file, private_data);
	if (sure || BPF_CORE_READ(socket, flags) & (1 << SOCK_NOSPACE))
		end->conn->full_since = c->now;
}

static __always_inline void conn__has_room(struct tp_conn *conn, __u64 now)
{
	if (!conn->full_since)
		return;
	client__waited(TP_CLIENT_SEND, now - conn->full_since);
	conn->full_since = 0;
}

static __always_inline void request__on_write(const struct call *c, const struct end *end, long bytes)
{
	struct tp_conn *conn = end->conn;
	struct thread *t = c->t;

	conn__has_room(conn, c->now);
	conn->out_bytes += bytes;
	if (conn->phase == TP_CONN_OPEN) {
		conn->r.first_write_ns = c->now;
		if (conn->owner_tid == c->tid)
			in_hand__release(c, c->tid);
		else
			request__take_over(c, conn);
		t->requests++;
	} else if (conn->phase == TP_CONN_ANSWERED) {
		request__extend(c, conn, end->file);
	} else {
		return; /* the server speaks first, or before we saw the request: no request is known */
	}
	conn->r.write_tid = c->tid;
	conn->r.end_ns = c->now;
	conn->r.out_bytes += bytes;
	t->tent_file = (__u64)end->file;
	t->tent_wait_ns = 0;
	t->tent_net_ns = 0;
	t->nr_free = 0;
	thread__fill_free(t, c->now, &t->answered);
	request__split(c, conn);
	/* Last: whoever closes the connection meanwhile, on another CPU, must not report half an answer. */
	barrier();
	conn->phase = TP_CONN_ANSWERED;
}

/* --- a connection's life --- */

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

static __noinline void process__ask_for_sweep(const struct call *c)
{
	struct tp_rec_process *rec = rec__reserve(struct tp_rec_process, TP_REC_PROCESS, c->now);

	if (!rec)
		return;
	rec->what = TP_PROCESS_SWEEP;
	rec->tgid = c->tgid;
	rec->ppid = 0;
	rec->pad = 0;
	__builtin_memset(rec->comm, 0, sizeof(rec->comm));
	rec__submit(rec);
}

/* --- the probe --- */

/* A call that carries data: most of all that there are. splice(2) reads from one descriptor, writes to another. */
struct transfer {
	struct end from;
	struct end to;
	__u64 bytes;
	bool has_data;
	bool may_be_full;
};

/* False: it concerns no connection. */
static __always_inline bool transfer__find(struct transfer *tr, struct files_struct *files, struct pt_regs *regs,
					   enum syscall_class class, long ret)
{
	bool reads = class == SC_READ || class == SC_READ_MSGS || class == SC_SPLICE;

	tr->has_data = ret > 0;
	tr->bytes = class == SC_READ_MSGS || class == SC_WRITE_MSGS ? 0 : ret;
	tr->may_be_full = class == SC_WRITE && (ret == -EAGAIN || ret >= FILLING_BYTES);
	/* An empty-handed read matters only as the first one of a connection. */
	if (reads && (ret > 0 || queue.accepted != queue.dequeued))
		end__find(&tr->from, files, regs__arg0(regs));
	if ((!reads && (ret > 0 || tr->may_be_full)) || (class == SC_SPLICE && ret > 0))
		end__find(&tr->to, files, class == SC_SPLICE ? regs__arg2(regs) : regs__arg0(regs));
	if (ret > 0 && tr->from.file && !tr->from.conn && any_questions)
		peer__on_data((__u64)tr->from.file);
	if (ret > 0 && tr->to.file && !tr->to.conn)
		peer__on_send((__u64)tr->to.file);
	return tr->from.conn || tr->to.conn;
}

static __always_inline void on_transfer(const struct call *c, const struct transfer *tr)
{
	if (tr->from.conn)
		request__on_read(c, &tr->from, tr->bytes, tr->has_data);
	if (!tr->to.conn)
		return;
	if (tr->has_data)
		request__on_write(c, &tr->to, tr->bytes);
	if (tr->may_be_full)
		conn__on_full(c, &tr->to, !tr->has_data);
}

static __always_inline void on_descriptor(const struct call *c, struct pt_regs *regs, enum syscall_class class,
					  long ret)
{
	__s32 fd = regs__arg0(regs);

	switch (class) {
	case SC_ACCEPT:
		if (ret >= 0)
			conn__on_accept(c, fd, ret);
		break;
	case SC_SHUTDOWN:
		if (ret == 0 && regs__arg1(regs) != SHUT_RD)
			conn__on_shutdown(c, fd);
		break;
	case SC_CLOSE:
		/* Whatever else close(2) returns, the descriptor is gone. */
		if (ret != -9 /* EBADF */)
			conn__on_close(c, fd);
		break;
	case SC_CLOSE_RANGE:
		process__ask_for_sweep(c);
		break;
	case SC_FCNTL:
		if (regs__arg1(regs) != F_DUPFD && regs__arg1(regs) != F_DUPFD_CLOEXEC)
			break;
		/* fall through */
	case SC_DUP:
		if (ret >= 0)
			conn__on_dup(c, ret);
		break;
	default:
		break;
	}
}

static __always_inline bool class__is_futex(enum syscall_class class)
{
	return class >= SC_FUTEX && class <= SC_FUTEX_WAITV;
}

/* What a wait was for, and where the program was, is told when the call that waited ends. */
static __always_inline void on_wait_end(const struct call *c, enum syscall_class class, long ret)
{
	if (class__is_futex(class))
		lock__on_exit(c->t, ret);
	if (stack__is_wanted(c->t))
		stack__on_exit();
}

/* A call of a target's that may mean something to us. */
static __always_inline void on_call(struct call *c, struct pt_regs *regs, enum syscall_class class, long ret)
{
	bool waits = class__is_futex(class) || stacks_of_all;
	struct transfer tr = {};

	task__copy_current_accounts(c->task);
	c->files = c->task->files;
	if (class >= SC_READ && class <= SC_SPLICE && !transfer__find(&tr, c->files, regs, class, ret) && !waits)
		return;
	if (class == SC_CONNECT && (!ret || ret == -EINPROGRESS))
		peer__on_send((__u64)files__file(c->files, regs__arg0(regs)));
	if (class == SC_CONNECT && !waits)
		return;
	if (!call__begin(c))
		return;
	if (waits)
		on_wait_end(c, class, ret);
	if (class <= SC_SPLICE)
		on_transfer(c, &tr);
	else if (class <= SC_FCNTL)
		on_descriptor(c, regs, class, ret);
}

static __always_inline void on_sys_exit(struct task_struct *task, struct pt_regs *regs, long ret)
{
	struct call c = { .task = task };
	enum syscall_class class;

	if (!task || !task__may_be_target(task) || !active)
		return;
	class = regs__class(regs);
	if ((class == SC_NONE || class > SC_LAST_TRACED) && !stacks_of_all)
		return;
	if (nr_read_files)
		task__end_read(c.task);
	on_call(&c, regs, class, ret);
}

SEC("?tp_btf/sys_exit")
int BPF_PROG(request_sys_exit, struct pt_regs *regs, long ret)
{
	on_sys_exit(task__current(COPY_OF_CALLER), regs, ret);
	return 0;
}

/* The same where tp_btf is refused. */
SEC("?raw_tp/sys_exit")
int request_sys_exit_raw(__u64 *ctx)
{
	const void *regs = (const void *)ctx[0];

	if (active && caller__may_be_target())
		on_sys_exit(task__current(COPY_OF_CALLER), compat__copied_regs(regs, COPY_OF_CALLER), ctx[1]);
	return 0;
}

/*
 * The same where the kernel would let the one above be preempted (compat.bpf.h): the tracepoint's perf event, whose
 * programs it does not.
 */
SEC("?tp/raw_syscalls/sys_exit")
int request_sys_exit_perf(struct trace_event_raw_sys_exit *ctx)
{
	struct task_struct *task = task__current(COPY_OF_CALLER);

	if (!task || !task__may_be_target(task))
		return 1;
	task__copy_current_rest(task, COPY_OF_CALLER);
	on_sys_exit(task, compat__task_regs(task, COPY_OF_CALLER), ctx->ret);
	return 1;
}

/* … where there is no such event: what it does to a thread is done whole, and the kernel counts whom it skips. */
SEC("?tp_btf/sys_exit")
int BPF_PROG(request_sys_exit_guarded, struct pt_regs *regs, long ret)
{
	bpf_preempt_disable();
	on_sys_exit(task__current(COPY_OF_CALLER), regs, ret);
	bpf_preempt_enable();
	return 0;
}
