// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * Whom the target asks: waits for a peer, summed up by its address, and the questions put to it. A thread that
 * sleeps in a read of one connection says itself whom it waits for. An event loop sleeps in a poll of them all;
 * there, what a peer takes is the time from the first bytes that are sent to it until the last ones that come back
 * while the request is in hand.
 */
#include "threadprof.bpf.h"
#include "task_copy.bpf.h"

#define SOCK_STREAM 1

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct tp_peer_key);
	__type(value, struct tp_peer);
} peers SEC(".maps");

struct question {
	__u64 since_ns; /* of the first bytes that have no answer; 0: there are none */
	__u64 sent_ns;	/* of the last ones */
	__u64 data_ns;	/* when the last bytes came in */
	__u64 conn;	/* whose request asked, as far as that is known: key of map conns, or 0 */
	__u64 start_ns; /* of that request */
	__u32 inode;	/* of the socket: the address of a struct file is used again */
	__u32 tid;	/* who asked */
};

/* The connections that requests have asked something on. The kernel drops those that were not used for longest. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64); /* struct file * */
	__type(value, struct question);
} questions SEC(".maps");

bool any_questions;

static __always_inline void peer__read(struct tp_peer_key *key, struct sock *sk)
{
	key->addr.family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (key->addr.family == AF_UNIX) {
		sock__peer_path(key->path, sk);
		return;
	}
	sock__peer(&key->addr, sk);
}

void peer__account(struct thread *t)
{
	struct file *file = (struct file *)t->block_file;
	struct tp_peer_key key = { .epoch = epoch };

	peer__read(&key, file__sock(file));
	wait__add(&peers, &key, !t->block_again, t->block_ns);
}

static __noinline void peer__add_answer(struct file *file, bool is_first, __u64 ns)
{
	struct tp_peer_key key = { .epoch = epoch };
	struct tp_peer *peer;

	peer__read(&key, file__sock(file));
	peer = detail__entry(&peers, &key);
	if (!peer)
		return;
	__sync_fetch_and_add(&peer->answers, is_first);
	__sync_fetch_and_add(&peer->answer_ns, ns);
}

static __always_inline bool file__is_stream_socket(struct file *file)
{
	return file && file__mode(file) == S_IFSOCK &&
	       BPF_CORE_READ(file__sock(file), sk_type) == SOCK_STREAM;
}

/* Of a program's own pair of unix sockets, by which its threads wake each other, nothing follows. */
static __always_inline bool file__is_inet_socket(struct file *file)
{
	__u16 family;

	if (!file__is_stream_socket(file))
		return false;
	family = BPF_CORE_READ(file__sock(file), __sk_common.skc_family);
	return family == AF_INET || family == AF_INET6;
}

static __always_inline struct question *file__question(struct file *file)
{
	struct question *question = bpf_map_lookup_elem(&questions, &file);

	return question && question->inode == (__u32)compat__read(struct file, file, f_inode, i_ino) ? question : NULL;
}

static __always_inline void question__begin(struct question *question, const struct thread *t, __u64 now)
{
	struct tp_conn *conn = t->turn > TURN_OTHER ? bpf_map_lookup_elem(&conns, &t->turn) : NULL;

	question->since_ns = now;
	question->tid = t->tid;
	question->conn = conn ? t->turn : 0;
	question->start_ns = conn ? conn->r.start_ns : 0;
}

/* What an event loop sends because of data that nobody had asked for belongs to no request. */
int peer__on_send(__u64 address)
{
	struct task_struct *task = task__current(COPY_OF_CALLER);
	struct thread *t = task ? thread__get(task) : NULL;
	struct file *file = (struct file *)address;
	struct question *question, first = {};
	__u64 now;

	if (!t || t->in_hand <= 0 || t->turn == TURN_OTHER || !detail__is_on(TP_DETAIL_WAITS) ||
	    !file__is_stream_socket(file) || !thread__has_in_hand(t, t->tid))
		return 0;
	now = bpf_ktime_get_ns();
	question = file__question(file);
	if (!question) {
		question__begin(&first, t, now);
		first.sent_ns = now;
		first.inode = BPF_CORE_READ(file, f_inode, i_ino);
		bpf_map_update_elem(&questions, &file, &first, BPF_ANY);
		any_questions = true;
		return 0;
	}
	if (!question->since_ns)
		question__begin(question, t, now);
	question->sent_ns = now;
	return 0;
}

/* The request that asked is still without an answer. */
static __always_inline bool question__is_open(const struct question *question)
{
	__u64 file = question->conn;
	struct tp_conn *conn = file ? bpf_map_lookup_elem(&conns, &file) : NULL;

	return conn && conn->phase == TP_CONN_OPEN && conn->r.start_ns == question->start_ns;
}

/* Some request was in hand since @since_ns. Where another thread had asked, that is taken for granted. */
static __always_inline bool question__may_be_open(const struct question *question, struct thread *t, __u64 since_ns)
{
	return question->tid != t->tid || (thread__has_in_hand(t, t->tid) && t->busy_since <= since_ns);
}

/*
 * The first bytes answer a question if its request is still open, or, where a loop has read several requests
 * before it asked, any is. More bytes are more of that answer only where its own request is open.
 */
int peer__on_data(__u64 address)
{
	struct task_struct *task = task__current(COPY_OF_CALLER);
	struct thread *t = task ? thread__get(task) : NULL;
	struct file *file = (struct file *)address;
	struct question *question = file__question(file);
	__u64 now = bpf_ktime_get_ns(), since_ns = 0;
	bool is_first = false, is_open = false, may_be_open = false;

	if (!t)
		return 0;
	if (question) {
		is_first = question->since_ns;
		since_ns = is_first ? question->since_ns : question->data_ns;
		is_open = question__is_open(question);
		may_be_open = is_open || question__may_be_open(question, t, since_ns);
		question->since_ns = 0;
		question->data_ns = now;
	}
	if (is_open)
		t->turn = question->conn;
	else if (!may_be_open && file__is_inet_socket(file))
		t->turn = TURN_OTHER;
	if ((is_open || (is_first && may_be_open)) && detail__is_on(TP_DETAIL_WAITS))
		peer__add_answer(file, is_first, now - since_ns);
	return 0;
}

/* When the last bytes went out that have no answer; 0: there are none. */
__u64 peer__asked_ns(struct file *file)
{
	struct question *question = file__question(file);

	return question && question->since_ns ? question->sent_ns : 0;
}
