/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * A request's life: from the first read of a connection that returned data to the last write before the next such
 * read, with the thread that has it in hand. Of request.bpf.c, the only one that includes it.
 */
#ifndef THREADPROF_REQUEST_BPF_H
#define THREADPROF_REQUEST_BPF_H

#include "threadprof.bpf.h"
#include "queue.bpf.h"

#define SOCK_NOSPACE 2 /* include/linux/net.h: set where a send found no room */

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

static __always_inline void request__on_read(const struct call *c, const struct end *end, long bytes, bool got_data)
{
	struct tp_conn *conn = end->conn;

	request__read_begins(conn, c->now);
	if (!got_data)
		return;
	c->t->turn = (__u64)end->file;
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

#endif /* THREADPROF_REQUEST_BPF_H */
