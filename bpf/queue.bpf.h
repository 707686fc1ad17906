/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * The queue of accepted connections that nobody has started to read, and the kernel's own before it. Of
 * request.bpf.c, the only one that includes it.
 */
#ifndef THREADPROF_QUEUE_BPF_H
#define THREADPROF_QUEUE_BPF_H

#include "threadprof.bpf.h"

struct tp_queue queue;

/* How many connections waited in a listening socket's accept queue when one was taken out of it last. */
struct listener {
	__u64 since_ns;
	__u64 backlog;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64); /* struct sock * */
	__type(value, struct listener);
} listeners SEC(".maps");

static __always_inline void queue__enter(__u64 now)
{
	__u64 depth;

	__sync_fetch_and_add(&queue.accepted, 1);
	__sync_fetch_and_add(&queue.accepted_ts_sum, now);
	depth = queue.accepted - queue.dequeued;
	if (depth > queue.max)
		queue.max = depth;
}

static __always_inline void queue__leave(__u64 now)
{
	__sync_fetch_and_add(&queue.dequeued, 1);
	__sync_fetch_and_add(&queue.dequeued_ts_sum, now);
}

/* Those that were left at the last accept have waited since. */
static __always_inline void queue__add_backlog(struct sock *sock, __u64 backlog, __u64 now)
{
	struct listener *listener = bpf_map_lookup_elem(&listeners, &sock);
	struct listener first = { .since_ns = now, .backlog = backlog };

	if (!listener) {
		if (backlog)
			bpf_map_update_elem(&listeners, &sock, &first, BPF_ANY);
		return;
	}
	if (listener->backlog && now > listener->since_ns)
		__sync_fetch_and_add(&queue.backlog_ns, listener->backlog * (now - listener->since_ns));
	*listener = first;
}

/* How full the kernel's accept queue was before the accept that has just taken one out of it. */
static __always_inline void queue__note_backlog(struct sock *listener, __u64 now)
{
	__u64 backlog = BPF_CORE_READ(listener, sk_ack_backlog) + 1;
	__u64 most = BPF_CORE_READ(listener, sk_max_ack_backlog) + 1; /* sk_acceptq_is_full() */

	if (backlog > most)
		backlog = most; /* another one has come meanwhile */
	if (backlog > queue.backlog_max)
		queue.backlog_max = backlog;
	queue__add_backlog(listener, backlog - 1, now);
}

#endif /* THREADPROF_QUEUE_BPF_H */
