/* SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause) */
/*
 * What the BPF programs share among themselves: the state of a thread, the maps and switches (defined in
 * shared.bpf.c), and the functions by which one concern calls another. Nothing here reaches userspace but
 * what threadprof.h describes.
 */
#ifndef THREADPROF_BPF_H
#define THREADPROF_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "compat.bpf.h"
#include "pidns.bpf.h"
#include "stack_filter.bpf.h"
#include "threadprof.h"

/* What a blocked stretch is added to, beside the thread's state. */
enum block_what {
	BLOCK_NOTHING,
	BLOCK_LOCK,
	BLOCK_PEER,
	BLOCK_FILE,
	BLOCK_CLIENT_SEND,
	BLOCK_CLIENT_READ,
};

/* The measuring of what a lock's holder does during a wait (holder.bpf.c). */
enum holder_phase {
	HOLDER_NONE,
	HOLDER_BASE,  /* a wait is open: holder_ns has the holder's counters as they were when it began */
	HOLDER_KNOWN, /* the wait is over, holder_ns has what they grew by */
};

/* On whose data a thread works since it slept in a poll last; else the connection's key in map conns. */
enum turn {
	TURN_NONE,
	TURN_OTHER, /* on what came on a connection that no request had asked something on */
};

#define NR_FREE 8 /* a power of two */

struct free_moment {
	__u64 ns;
	__u64 waker_tid; /* the thread that woke it by a system call; 0: not known */
	__u64 base_ns[TP_NR_STATES];
	__u64 tent_wait_ns;
	__u64 tent_net_ns;
};

#define NR_TENTATIVE 8 /* a power of two */

/* A wait that looked idle, and will belong to a request if the thread turns out to have had one. */
struct tentative_wait {
	__u64 since_ns;
	__u64 ns;
	__u64 at; /* address of the lock, or the peer's struct file */
	__u32 what; /* enum block_what */
	__u32 detail; /* lock_kind, or the inode of that file */
	__u32 again;
	__u32 pad;
};

/*
 * What a thread waits for in futex(2). Not on the stack of lock.bpf.c: what the verifier knew of it there gave it
 * sixty times as many paths to follow.
 */
struct futex {
	__u64 addr;
	__u32 cmd;
	__u32 val; /* expected */
	__u32 private; /* FUTEX_PRIVATE or 0 */
	/* The words around it in the waiter's memory; 0 where they can't be read. */
	__u32 before[6]; /* at addr - 24 */
	__u32 after[4];	 /* at addr */
};

/* The call of a lock function that a thread is in. */
struct lock_call {
	__u64 addr; /* of the lock; 0: in none */
	__u64 enter_ns;
	__u64 sp; /* at the function's begin */
	__u64 ip;
	__u64 wait_ns; /* what the scheduler saw of waits inside */
	__u32 waits;
	__u32 kind;    /* enum tp_lock_kind */
	__u32 chained; /* functions that this one goes on in, with the same return */
	__u32 tgid;    /* as threadprof sees it */
};

/*
 * A target's thread, from its adoption to its end. Only the thread itself and the scheduler code that
 * switches or wakes it write here, and those never overlap: sched_switch(prev) comes before the kernel
 * clears prev->on_cpu, and a wake-up waits for that.
 */
struct thread {
	__u64 since_ns; /* begin of the open stretch; 0: not accounted yet */
	__u64 birth_ns;
	/* As threadprof sees them; own_tid: as the thread sees it itself. */
	__u32 tgid;
	__u32 tid;
	__u32 own_tid;
	__u32 pad_ids;
	__u64 state_ns[TP_NR_STATES];
	__u32 state; /* enum tp_state of the open stretch */
	__u32 exited;
	/* The kernel's own accounts when the thread left its CPU last: time it ran, time it waited to run. */
	__u64 exec_ns;
	__u64 run_delay_ns;
	__u64 clock_offset; /* what our clock was ahead of its run queue's then; 0: not known */

	__u64 busy_ns;
	__u64 busy_since; /* valid while in_hand > 0 */
	__s32 in_hand;	  /* requests read and not answered */
	__u32 settled;	  /* how much of its struct tp_debt is already in in_hand */
	__u32 requests;   /* answered by this thread */

	/*
	 * A blocked stretch is judged when it begins, and some judgements are corrected when more is known.
	 * not_in_hand: the state it is if it turns out that another thread has answered the request
	 * meanwhile; TP_NR_STATES: the same state.
	 */
	__u32 not_in_hand;
	/*
	 * tent_…: it counted as idle because the response seemed complete. If another write follows, it was
	 * a part of that request. tent_state: TP_WAIT or TP_NET; TP_NR_STATES: idle whatever follows.
	 */
	__u32 tent_state;
	__u32 runq_cpu; /* whose run queue the thread waits on, while state is TP_RUNQ */
	__u64 tent_file;
	__u64 tent_wait_ns;
	__u64 tent_net_ns;

	/*
	 * When this thread became free to take up a request that another has read, and its counters then. The
	 * last answer it gave is one such moment; after it, each wake-up from a wait that looked idle may be
	 * the hand-over, or a wait inside the request that was handed over. free[] has the latest of those.
	 */
	struct free_moment answered;
	struct free_moment free[NR_FREE];
	__u32 nr_free; /* since the last answer */
	/* Who woke it by a system call since it blocked last, as the thread does that hands a request over; 0: nobody */
	__u32 waker_tid;

	/* The latest of its tentative waits for locks and peers. */
	struct tentative_wait tentative[NR_TENTATIVE];
	__u32 nr_tentative;
	__u32 tent_what; /* enum block_what of the open stretch, while it is tentative */

	/* What the open or last blocked stretch waited for; added up at the next switch-in. */
	__u64 block_since;
	__u64 block_ns;
	__u32 block_what; /* enum block_what */
	__u32 lock_kind;
	__u64 lock_addr;
	__u64 block_file; /* the struct file of a peer's socket, or on disk */
	__u32 lock_owner;
	__u32 holder_phase; /* enum holder_phase */
	/*
	 * A read may sleep more than once: at a unix socket the kernel also wakes it when the other side has taken
	 * what was sent (unix_write_space()). block_again: the stretch goes on with the wait of the same call.
	 */
	__u32 block_again;
	__s32 holder_pid;  /* the owner, as the kernel numbers it */
	__u32 polled; /* it waited for any of many descriptors */
	__u32 pad_polled;
	__u64 turn; /* enum turn */
	__u64 read_file; /* that the call in progress has slept for */
	__u64 block_inode; /* of block_file, where the wait is tentative */

	/* The waits of the futex(2) call that the thread is in or came out of last, until its exit tells them. */
	__u64 lock_ns;
	__s64 holder_ns[TP_NR_STATES];
	/* Not 0: the stack is sent at the exit of the system call; what it stands for (struct tp_rec_stack). */
	__u64 stack_lock_ns;
	__u64 stack_wait_ns;
	__u64 unsampled_ns;
	__u32 stack_state;
	__s32 block_nr; /* of the system call that the last blocked stretch was in; below 0: in none */

	struct futex futex;
	__u32 lock_in_call; /* it is the lock of the call below */
	struct lock_call call;
	__u32 pad_call;
};

#define RUNQ_NOWHERE 0xffffffff /* runq_cpu: not counted on any run queue */

struct threads_map {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct thread);
};

/*
 * The threads where there is no task storage. An entry is made and deleted with its thread's accounting, so
 * that its key names one living thread.
 */
struct threads_by_id_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64); /* thread__id() */
	__type(value, struct thread);
};

struct targets_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32); /* tgid as threadprof sees it */
	__type(value, __u8);
};

struct events_map {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 * 1024 * 1024);
};

/* Not preallocated: the room is for a target with very many connections, the memory only for those there are. */
struct conns_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 131072);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64); /* struct file * */
	__type(value, struct tp_conn);
};

struct debts_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32); /* tid */
	__type(value, struct tp_debt);
};

extern struct threads_map threads SEC(".maps");
extern struct threads_by_id_map threads_by_id SEC(".maps");
extern struct targets_map targets SEC(".maps");
extern struct events_map events SEC(".maps");
extern struct conns_map conns SEC(".maps");
extern struct debts_map debts SEC(".maps");

/*
 * One byte for each value of the low 16 bits of a tgid, the kernel's own: 0 means that no task of such a tgid
 * is a target. The first look of every program, so that a stranger costs two loads. The exact answer is whether
 * the task has a struct thread.
 */
extern __u8 target_filter[TP_FILTER_SIZE];
extern bool active; /* userspace sets it when all is attached */
extern __u32 details; /* bits of enum tp_detail; userspace switches off what costs too much */
extern __u32 epoch; /* number of the interval, in the keys of the maps that sum up waits */
extern __u64 losses[TP_NR_LOSSES];
extern __s64 nr_read_files; /* threads whose read_file is set; not less, and 0: no call's end needs to look */
extern struct tp_clients clients;
extern __u64 nr_debts; /* 0: no request was ever handed over, debts need no look */

static __always_inline void loss__count(enum tp_loss which)
{
	__sync_fetch_and_add(&losses[which], 1);
}

static __always_inline bool detail__is_on(enum tp_detail detail)
{
	return details & 1U << detail;
}

static __always_inline bool task__may_be_target(struct task_struct *task)
{
	return target_filter[(__u16)task->tgid];
}

/* The same of the calling thread. */
static __always_inline bool caller__may_be_target(void)
{
	return target_filter[(__u16)(bpf_get_current_pid_tgid() >> 32)];
}

/* By the kernel's own ids: nothing outside sees it. */
static __always_inline __u64 thread__id(__u32 tgid, __u32 tid)
{
	return (__u64)tgid << 32 | tid;
}

/* The accounts of @task; NULL: it is no target's. */
static __always_inline struct thread *thread__get(struct task_struct *task)
{
	__u64 id;

	if (has_task_storage)
		return bpf_task_storage_get(&threads, task, 0, 0);
	id = thread__id(task->tgid, task->pid);
	return bpf_map_lookup_elem(&threads_by_id, &id);
}

/* The same of the calling thread, of which @task may be the mere address. */
static __always_inline struct thread *thread__get_calling(struct task_struct *task)
{
	__u64 id = bpf_get_current_pid_tgid();

	if (has_task_storage)
		return bpf_task_storage_get(&threads, task, 0, 0);
	return bpf_map_lookup_elem(&threads_by_id, &id);
}

/* The functions from here on that take a task read it by address: they are not in the way of every event. */
static __always_inline __u64 task__id(struct task_struct *task)
{
	return thread__id(BPF_CORE_READ(task, tgid), BPF_CORE_READ(task, pid));
}

static __always_inline void thread__note_ids(struct thread *t, struct task_struct *task)
{
	t->tgid = pidns__tgid(task);
	t->tid = pidns__tid(task);
	t->own_tid = pidns__own_tid(task);
}

static const __u64 blank_thread[sizeof(struct thread) / 8];

/* The same for a thread that becomes a target's: in a map, blank unless it was there; NULL: there is no room. */
static __always_inline struct thread *thread__create(struct task_struct *task)
{
	struct thread *t;
	__u64 id;

	if (has_task_storage) {
		t = bpf_task_storage_get(&threads, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	} else {
		id = task__id(task);
		bpf_map_update_elem(&threads_by_id, &id, blank_thread, BPF_NOEXIST);
		t = bpf_map_lookup_elem(&threads_by_id, &id);
	}
	if (t) {
		thread__note_ids(t, task);
		stack__note(task);
	}
	return t;
}

/* Task storage goes with its task; an entry of the map has to go before its id is another's. */
static __always_inline void thread__forget(struct task_struct *task)
{
	__u64 id;

	if (has_task_storage)
		return;
	id = task__id(task);
	bpf_map_delete_elem(&threads_by_id, &id);
}

static __always_inline void rec__head(struct tp_rec *h, __u16 kind, __u16 size, __u64 now)
{
	h->kind = kind;
	h->size = size;
	h->cpu = bpf_get_smp_processor_id();
	h->ts_ns = now;
}

/* Reserves a record in the ring buffer and fills in its header; NULL, and counted, if there is no room. */
#define rec__reserve(type, kind, now)                                    \
	({                                                               \
		type *rec_ = bpf_ringbuf_reserve(&events, sizeof(type), 0); \
		if (rec_)                                                \
			rec__head(&rec_->h, kind, sizeof(type), now);    \
		else                                                     \
			loss__count(TP_LOSS_RING_BUFFER);                \
		rec_;                                                    \
	})

/*
 * Waking the reader for each record costs the target more than the record. The reader comes by itself
 * many times a second, and is called only where the buffer fills up faster than that.
 */
static __always_inline void rec__submit(void *rec)
{
	/* One record of 16 looks how full it is, as its time happens to be: by bits above the tick of any clock. */
	bool looks = !(((const struct tp_rec *)rec)->ts_ns >> 10 & 15);
	bool filling = looks && bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) > 1024 * 1024;

	bpf_ringbuf_submit(rec, filling ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
}

/* Starts to account a thread that is in @state at @now. */
static __always_inline void thread__begin(struct thread *t, enum tp_state state, __u64 now)
{
	t->birth_ns = now;
	t->since_ns = now;
	t->state = state;
	t->not_in_hand = TP_NR_STATES;
	t->tent_state = TP_NR_STATES;
}

/* Closes the open stretch at @now and opens one of @state. */
static __always_inline void thread__enter(struct thread *t, enum tp_state state, __u64 now)
{
	__u32 old = t->state;
	__s64 ns = now - t->since_ns;

	if (ns < 0) {
		loss__count(TP_LOSS_CLOCK_BACKWARDS);
		now = t->since_ns;
		ns = 0;
	}
	if (old < TP_NR_STATES)
		t->state_ns[old] += ns;
	t->since_ns = now;
	t->state = state;
}

/* The state_ns of a running thread as they are at @now. */
static __always_inline void thread__copy_states(const struct thread *t, __u64 now, __u64 *to)
{
	__builtin_memcpy(to, t->state_ns, sizeof(t->state_ns));
	if (t->state == TP_CPU)
		to[TP_CPU] += now - t->since_ns;
}

static __always_inline void thread__fill_free(const struct thread *t, __u64 now, struct free_moment *moment)
{
	moment->ns = now;
	moment->tent_wait_ns = t->tent_wait_ns;
	moment->tent_net_ns = t->tent_net_ns;
	thread__copy_states(t, now, moment->base_ns);
}

/* An idle wait is over. */
static __always_inline void thread__note_free(struct thread *t, __u64 now)
{
	struct free_moment *moment = &t->free[t->nr_free++ & (NR_FREE - 1)];

	thread__fill_free(t, now, moment);
	moment->waker_tid = t->waker_tid;
}

/* A blocked stretch is over that belongs to a request if the thread turns out to have had one. */
static __always_inline void thread__note_tentative(struct thread *t)
{
	struct tentative_wait *wait = &t->tentative[t->nr_tentative & (NR_TENTATIVE - 1)];

	if (t->tent_what == BLOCK_NOTHING)
		return;
	t->nr_tentative++;
	wait->since_ns = t->block_since;
	wait->ns = t->block_ns;
	wait->what = t->tent_what;
	wait->at = t->tent_what == BLOCK_LOCK ? t->lock_addr : t->block_file;
	wait->detail = t->tent_what == BLOCK_LOCK ? t->lock_kind : t->block_inode;
	wait->again = t->block_again;
	t->tent_what = BLOCK_NOTHING;
}

/* Copies the counters of @t into a record; the open stretch is not in them. */
static __always_inline void thread__fill(struct tp_rec_thread *rec, const struct thread *t, struct task_struct *task,
					 __u64 start_ns)
{
	rec->tgid = t->tgid;
	rec->tid = t->tid;
	rec->start_ns = start_ns;
	rec->birth_ns = t->birth_ns;
	bpf_probe_read_kernel(rec->comm, sizeof(rec->comm), task->comm);
	__builtin_memcpy(rec->state_ns, t->state_ns, sizeof(rec->state_ns));
	rec->busy_ns = t->busy_ns;
	rec->requests = t->requests;
	rec->in_hand = 0;
	rec->state = t->state;
	rec->flags = 0;
	rec->lock_kind = 0;
	rec->lock_addr = 0;
	rec->lock_since = 0;
	rec->lock_owner = 0;
	rec->own_tid = t->own_tid;
	rec->client_wait = TP_CLIENT_NONE;
	rec->pad = 0;
	rec->client_since = 0;
	rec->user_sp = 0;
}

/*
 * How many requests @t has in hand, those that other threads have answered for it taken off; in
 * @answered_ns, when the last of those was answered.
 */
static __always_inline __s32 thread__peek_in_hand(const struct thread *t, __u32 tid, __u64 *answered_ns,
						  __u32 *debt_count)
{
	__s32 in_hand = t->in_hand;
	struct tp_debt *debt;

	*debt_count = t->settled;
	if (in_hand <= 0)
		return 0;
	if (!nr_debts)
		return in_hand;
	debt = bpf_map_lookup_elem(&debts, &tid);
	if (!debt)
		return in_hand;
	*debt_count = debt->count;
	*answered_ns = debt->last_ns;
	in_hand -= (__s32)(debt->count - t->settled);
	return in_hand < 0 ? 0 : in_hand;
}

/* The same, and remembers it; busy time ends with the last answer. */
static __always_inline bool thread__has_in_hand(struct thread *t, __u32 tid)
{
	__u64 answered_ns = 0;
	__u32 debt_count = 0;
	__s32 in_hand = thread__peek_in_hand(t, tid, &answered_ns, &debt_count);

	if (in_hand != t->in_hand) {
		if (!in_hand && answered_ns > t->busy_since)
			t->busy_ns += answered_ns - t->busy_since;
		t->in_hand = in_hand;
	}
	t->settled = debt_count;
	return in_hand > 0;
}

/* A client kept a thread, or a connection that no thread waits for, waiting. */
static __always_inline void client__waited(enum tp_client_wait what, __u64 ns)
{
	__sync_fetch_and_add(&clients.wait_ns[what], ns);
}

#define S_IFMT 00170000
#define S_IFSOCK 0140000

/*
 * The open file behind descriptor @fd of the task that has @files; NULL if there is none. A program reads a task's
 * files once: the verifier looks through all of the kernel's types by name for each pointer that is read of a task.
 */
static __always_inline struct file *files__file(struct files_struct *files, __s32 fd)
{
	struct fdtable *fdt;
	__u64 file;

	if (!files)
		return NULL;
	if (tasks_are_copies) {
		fdt = BPF_CORE_READ(files, fdt);
		if ((__u32)fd >= BPF_CORE_READ(fdt, max_fds))
			return NULL;
		file = compat__read_address(BPF_CORE_READ(fdt, fd) + fd);
	} else {
		fdt = files->fdt;
		if ((__u32)fd >= fdt->max_fds)
			return NULL;
		file = compat__read_address(fdt->fd + fd);
	}
	return (struct file *)file;
}

/* Its kind, as in stat(2). */
static __always_inline __u16 file__mode(struct file *file)
{
	return compat__read(struct file, file, f_inode, i_mode) & S_IFMT;
}

static __always_inline struct sock *file__sock(struct file *file)
{
	__u64 socket = (__u64)compat__read(struct file, file, private_data);

	return (struct sock *)BPF_CORE_READ((struct socket *)socket, sk);
}

/* The connection behind a file, if it is one of the target's; NULL too for no file. */
static __always_inline struct tp_conn *file__conn(struct file *file)
{
	/* What is no socket is quickly told from the others where that takes no call. */
	if (!file || (reads_by_cast && file__mode(file) != S_IFSOCK))
		return NULL;
	return bpf_map_lookup_elem(&conns, &file);
}

#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10

/* The remote address of a socket; of a unix socket, the family only. */
static __always_inline void sock__peer(struct tp_addr *addr, struct sock *sk)
{
	addr->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (addr->family == AF_INET) {
		__be32 ip = BPF_CORE_READ(sk, __sk_common.skc_daddr);

		__builtin_memcpy(addr->ip, &ip, sizeof(ip));
	} else if (addr->family == AF_INET6) {
		bpf_core_read(addr->ip, sizeof(addr->ip), &sk->__sk_common.skc_v6_daddr);
	} else {
		return;
	}
	addr->port = __builtin_bswap16(BPF_CORE_READ(sk, __sk_common.skc_dport));
}

/* The path that the other side of a unix socket is bound to. */
static __always_inline void sock__peer_path(char path[TP_PATH_LEN], struct sock *sk)
{
	struct unix_sock *peer = (struct unix_sock *)BPF_CORE_READ((struct unix_sock *)sk, peer);
	struct unix_address *name = BPF_CORE_READ(peer, addr);

	if (name)
		bpf_core_read_str(path, TP_PATH_LEN, &name->name[0].sun_path);
}

/* The entry of @map for @key, new if need be; its value is no larger than a struct tp_peer. NULL: no room, counted. */
static __always_inline void *detail__entry(void *map, const void *key)
{
	void *value = bpf_map_lookup_elem(map, key);
	struct tp_peer first = {};

	if (value)
		return value;
	bpf_map_update_elem(map, key, &first, BPF_NOEXIST);
	value = bpf_map_lookup_elem(map, key);
	if (!value)
		loss__count(TP_LOSS_DETAIL_MAP);
	return value;
}

/* Adds to the entry of @map for @key, whose value is or begins with a struct tp_wait. */
static __always_inline void wait__add(void *map, const void *key, __u64 waits, __u64 ns)
{
	struct tp_wait *wait = detail__entry(map, key);

	if (!wait)
		return;
	__sync_fetch_and_add(&wait->waits, waits);
	__sync_fetch_and_add(&wait->wait_ns, ns);
}

/*
 * What is rare is a global function of a number, about the calling thread: the verifier looks at such a one once,
 * while it follows all others, the hidden ones too, from each call of theirs. Returns 0.
 */

/* sched.bpf.c: the calling thread runs, although the switch that brought it on its CPU was not seen. */
int thread__runs_unseen(__u64 now);

/* block.bpf.c: what a thread that leaves its CPU in @task_state waits for; sets the block_… of @t. */
enum tp_state block__classify(struct thread *t, struct task_struct *task, long task_state, __u64 now,
			      bool is_current) __hidden;
/* … and adds the stretch that has ended to the totals of its lock, peer or file. */
void block__account(struct thread *t, __u32 tgid) __hidden;
/* … and the calling thread's tentative waits since @since_ns: they turned out to be in a request. */
int block__account_tentative(__u64 since_ns);

/* peer.bpf.c: the same for a thread that has slept for a peer. */
void peer__account(struct thread *t) __hidden;
/* … the calling thread has sent bytes to, has got some from, a file that is no connection of a client. */
int peer__on_send(__u64 file);
int peer__on_data(__u64 file);
/* … when the last bytes went out on it that have no answer; 0: there are none. */
__u64 peer__asked_ns(struct file *file) __hidden;
extern bool any_questions; /* false: no data that comes in can be an answer */

/* lock_call.bpf.c */
extern struct tp_lock_guard lock_guard;

/* Is the thread in a call that is watched to its end? */
static __always_inline bool call__is_open(const struct lock_call *call)
{
	return call->addr && call->enter_ns >= lock_guard.since_ns;
}

/* lock.bpf.c: the same for a thread that sleeps in futex(2). */
enum tp_state lock__classify(struct thread *t, struct task_struct *task, struct pt_regs *regs,
			     bool is_current) __hidden;
void lock__account(struct thread *t, __u32 tgid) __hidden;
/* The thread comes out of a call of futex(2) that it has waited in and that returns @ret. */
void lock__on_exit(struct thread *t, long ret) __hidden;
/* Sends the record of a wait for a lock that is accounted. */
void lock__tell(struct thread *t, enum tp_wait_end end) __hidden;

extern bool stacks_of_all; /* stacks of all waits are asked for, not only of those for locks */

/* stack.bpf.c: a blocked stretch of the thread in @state is over, for which its stack may have to be sent. */
void stack__sample(struct thread *t, __u32 state) __hidden;
/* … may a stack be sent now? Takes one off the number that userspace allows. */
bool stack__take_turn(void) __hidden;
/* … is there one to be sent when the thread comes out of its system call? */
static __always_inline bool stack__is_wanted(const struct thread *t)
{
	return t->stack_lock_ns || t->stack_wait_ns;
}
/* … at the exit of a system call, sends the stack of the calling thread. */
int stack__on_exit(void);

/*
 * holder.bpf.c: @t, of the process that the kernel numbers @tgid, begins to wait for a lock whose owner is known: what that
 * one has done so far. @waiter: its task, read by address alone.
 */
void holder__begin(struct thread *t, const struct task_struct *waiter, __u32 tgid) __hidden;
/* … and comes back on a CPU (HOLDER_BASE): what the owner has done meanwhile. */
void holder__end(struct thread *t, __u32 tgid) __hidden;

/* request.bpf.c: a thread sleeps in a read of @conn, which counts as the begin of its first read. */
void request__read_begins(struct tp_conn *conn, __u64 now) __hidden;

#endif /* THREADPROF_BPF_H */
