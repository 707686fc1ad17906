/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * What the kernel side and the user side share: the records that travel through the ring buffer and the
 * iterators, and the values of the maps that userspace reads. The one header that both sides include.
 *
 * Every record starts with struct tp_rec (kind and size). All times are CLOCK_MONOTONIC nanoseconds as
 * bpf_ktime_get_ns() gives them; durations end in _ns as well. Structures have no implicit padding, so
 * that no uninitialised kernel byte leaves the kernel and a recording is the same on every machine of
 * one byte order.
 */
#ifndef THREADPROF_H
#define THREADPROF_H

#ifndef __bpf__
#include <linux/types.h>
#endif

#define TP_COMM_LEN 16
#define TP_NAME_LEN 48 /* last component of a file's path */
#define TP_PATH_LEN 56 /* unix socket path */

/* The states that a thread's wall time is split into; docs/metrics.md says what each means. */
enum tp_state {
	TP_CPU,
	TP_RUNQ,
	TP_LOCK,
	TP_WAIT,
	TP_DISK,
	TP_NET,
	TP_IDLE,
	TP_SLEEP,
	TP_OTHER,
	TP_NR_STATES,
};

/* A request's latency has one part more: the time between two threads that share it. */
enum {
	TP_HANDOFF = TP_NR_STATES,
	TP_NR_PARTS,
};

/* Why something that happened is not in the numbers. Counted in the kernel, shown in every report. */
enum tp_loss {
	TP_LOSS_RING_BUFFER,	 /* a record found no room in the ring buffer */
	TP_LOSS_CONN_MAP,	 /* no room for a connection */
	TP_LOSS_DETAIL_MAP,	 /* no room for a lock, peer, file or CPU thief; the thread states still hold */
	TP_LOSS_THREAD,		 /* no storage for a thread: its time is not accounted */
	TP_LOSS_CLOCK_BACKWARDS, /* a stretch that would have been negative; taken as 0 */
	TP_LOSS_UNMATCHED,	 /* an accepted fd whose file was gone before we could look at it */
	TP_LOSS_LOCK_CALL,	 /* a call of a lock function whose return was not seen, or whose time cannot be */
	TP_NR_LOSSES,
};

/*
 * What is measured beyond counts, times and states, in the order in which it goes when measuring costs too
 * much (--max-overhead). Bits of the variable details.
 */
enum tp_detail {
	TP_DETAIL_STACKS,    /* where in the program threads wait */
	TP_DETAIL_CALLS,     /* calls of lock functions, where --locks=uprobe asks for them */
	TP_DETAIL_BREAKDOWN, /* what each request's time went to */
	TP_DETAIL_WAITS,     /* which peers and files threads wait for */
	TP_DETAIL_THIEVES,   /* who takes the CPU that threads wait for */
	TP_NR_DETAILS,
};

#define TP_ALL_DETAILS ((1U << TP_NR_DETAILS) - 1)

/* How a futex was waited on. */
enum tp_lock_kind {
	TP_LOCK_FUTEX,
	TP_LOCK_MUTEX,
	TP_LOCK_RWLOCK,
	TP_LOCK_CONDVAR,
	TP_LOCK_GIL,
	TP_LOCK_SEMAPHORE,
	TP_LOCK_PARK, /* none: a thread of a runtime that has nothing to run; in no report */
	TP_NR_LOCK_KINDS,
};

/* A socket address, small enough to copy around. Unix sockets: family only. */
struct tp_addr {
	__u16 family; /* AF_*; 0: not known */
	__u16 port;   /* host byte order */
	__u32 pad;
	__u8 ip[16]; /* 4 bytes used for AF_INET */
};

enum tp_rec_kind {
	TP_REC_REQUEST = 1,
	TP_REC_CONN = 2,
	TP_REC_THREAD = 3,
	TP_REC_PROCESS = 4,
	TP_REC_SOCKET = 5,
	TP_REC_LOCK = 6,
	TP_REC_STACK = 7,
	TP_REC_LOCK_GUARD = 8, /* the probes on lock functions cost too much: a struct tp_rec, no more */
};

struct tp_rec {
	__u16 kind; /* enum tp_rec_kind */
	__u16 size; /* of the whole record */
	__u32 cpu;
	__u64 ts_ns;
};

#define TP_NO_QUEUE_WAIT (~0ULL)

/* One finished request: from its first read with data to its last write. */
struct tp_request {
	__u64 conn_id;
	__u32 seq; /* 1 for the first request of the connection */
	__u32 tgid;
	__u32 read_tid;
	__u32 write_tid; /* differs from read_tid where the request was handed over */
	__s32 fd;
	__u32 no_parts; /* 1: part_ns was not measured */
	__u64 start_ns;
	__u64 first_write_ns;
	__u64 end_ns;
	__u64 queue_wait_ns; /* accept to first read; TP_NO_QUEUE_WAIT unless seq is 1 and the accept was seen */
	__u64 in_bytes;
	__u64 out_bytes;
	__u64 part_ns[TP_NR_PARTS]; /* add up to end_ns - start_ns */
	struct tp_addr peer;
};

struct tp_rec_request {
	struct tp_rec h;
	struct tp_request r;
};

enum tp_conn_end {
	TP_END_SHUTDOWN = 1, /* shutdown(2) of the write side */
	TP_END_CLOSE = 2,
	TP_END_GONE = 3, /* the process ended, exec()ed, or closed it in a way that is not traced one by one */
};

enum {
	TP_CONN_PREEXISTING = 1, /* was open when threadprof attached */
};

/* One connection that ended. */
struct tp_rec_conn {
	struct tp_rec h;
	__u64 conn_id;
	__u64 open_ns; /* of the accept; of the attach for a pre-existing one */
	__u64 end_ns;
	__u64 in_bytes;
	__u64 out_bytes;
	__u32 tgid;
	__s32 fd;
	__u32 requests;	  /* answered */
	__u32 unanswered; /* 1: its last request was read and never answered */
	__u16 end;	  /* enum tp_conn_end */
	__u16 flags;
	__u32 never_read; /* 1: no thread ever started to read it */
	struct tp_addr peer;
};

enum {
	TP_THREAD_EXITED = 1,
};

/* What a connection's client keeps waiting. */
enum tp_client_wait {
	TP_CLIENT_NONE,
	TP_CLIENT_SEND, /* a response: the client does not take what was sent */
	TP_CLIENT_READ, /* the rest of a request: it was not sent */
	TP_NR_CLIENT_WAITS,
};

/*
 * A thread's counters up to h.ts_ns, the stretch that is still open included: state_ns add up to
 * h.ts_ns - birth_ns. Written by the task iterator for living threads, into the ring buffer for a
 * thread that ends.
 */
struct tp_rec_thread {
	struct tp_rec h;
	__u32 tgid;
	__u32 tid;
	__u64 start_ns; /* task_struct::start_time: with tid, the thread's identity */
	__u64 birth_ns; /* since when we account it */
	char comm[TP_COMM_LEN];
	__u64 state_ns[TP_NR_STATES];
	__u64 busy_ns; /* with a request in hand */
	__u32 requests;
	__u32 in_hand; /* requests in hand now */
	__u16 state;   /* enum tp_state of the open stretch */
	__u16 flags;
	__u32 lock_kind;  /* of the lock wait that is still open */
	__u64 lock_addr;  /* 0: none is open */
	__u64 lock_since; /* when it began */
	__u32 lock_owner; /* as the thread itself would name it */
	__u32 own_tid; /* the thread's id in its own PID namespace; tid: in threadprof's */
	__u32 client_wait; /* enum tp_client_wait that is still open */
	__u32 pad;
	__u64 client_since; /* when it began */
	__u64 user_sp; /* in user space: tells the thread's stack; 0: not known */
};

enum tp_process_what {
	TP_PROCESS_FORK = 1,
	TP_PROCESS_EXEC = 2,
	TP_PROCESS_EXIT = 3,
	TP_PROCESS_SWEEP = 4, /* close_range(2): look which connections are gone */
};

/* Something that changes the set of target processes, or their open files, wholesale. */
struct tp_rec_process {
	struct tp_rec h;
	__u32 what;
	__u32 tgid;
	__u32 ppid;
	__u32 pad;
	char comm[TP_COMM_LEN];
};

/* An open socket of a target. */
struct tp_rec_socket {
	struct tp_rec h;
	__u64 file; /* identity of the open file: key of the connection map */
	__u32 tgid;
	__s32 fd;
	__u32 inode;
	__u16 family;
	__u16 type;  /* SOCK_* */
	__u16 state; /* TCP_*, also used by unix stream sockets */
	__u16 port;  /* local */
	__u32 backlog;
	__u32 backlog_limit;
	__u32 drops;
	struct tp_addr peer;
	char path[TP_PATH_LEN]; /* unix: local path; the other side's, where there is none and asked_ns is not 0 */
	__u64 asked_ns; /* a request has sent its last bytes to the peer then, which has not answered; 0: none */
};

#define TP_MAX_FOUND 16 /* sockets at a time; a power of two */

/*
 * Where the kernel's own BTF can't be used there are no iterators: programs that userspace runs, for a thread by its
 * id, leave here what they find.
 */
struct tp_found {
	__u32 tgid; /* 0: there is no such thread */
	__u32 has_thread;
	char comm[TP_COMM_LEN];
	struct tp_rec_thread thread;
	__u32 next_fd; /* where to go on; 0: the thread has no more descriptors, or they are its process's */
	__u32 nr_sockets;
	struct tp_rec_socket sockets[TP_MAX_FOUND];
};

enum tp_wait_end {
	TP_WAIT_WOKEN,
	TP_WAIT_TIMED_OUT,
	TP_WAIT_INTERRUPTED, /* by a signal */
};

/* One call of futex(2) in which a thread waited for a lock, at its end; only the kinds that map locks sums up. */
struct tp_rec_lock {
	struct tp_rec h;
	__u64 addr;
	__u64 wait_ns; /* asleep; all of its sleeps, where the kernel went on waiting after one */
	__u32 tgid;
	__u32 tid;
	__u32 kind;	 /* enum tp_lock_kind */
	__u32 owner_tid; /* when the wait began, as the waiter itself would name it; 0: not known */
	__u16 end;	 /* enum tp_wait_end */
	__u16 knows_holder; /* 1: holder_ns was measured */
	__u32 pad;
	__s64 holder_ns[TP_NR_STATES]; /* what the owner did meanwhile; may be a little below 0 */
};

#define TP_NR_REGS 34
#define TP_STACK_CHUNK 1024
#define TP_STACK_BYTES (8 * TP_STACK_CHUNK)

/* A copy of a thread's stack as it is when its wait is over. */
struct tp_rec_stack {
	struct tp_rec h;
	__u64 addr;    /* of the lock; 0: it was none */
	__u64 lock_ns; /* waited for that lock since its last such record: what this stack stands for */
	__u64 wait_ns; /* the same of the thread's waits in state; 0 unless stacks of all waits are asked for */
	__u32 tgid;
	__u32 tid;
	__u32 kind;  /* enum tp_lock_kind */
	__u32 state; /* enum tp_state of the wait */
	__u32 bytes; /* valid in stack */
	__u32 pad;
	__u64 regs[TP_NR_REGS]; /* by DWARF number; x86-64: those that a function keeps for its caller, 16: ip; arm64: 32: pc */
	__u8 stack[TP_STACK_BYTES]; /* from the stack pointer upwards */
};

/* --- maps that userspace reads or writes --- */

enum tp_conn_phase {
	TP_CONN_QUEUED,	  /* accepted, no thread has started to read it */
	TP_CONN_IDLE,	  /* between requests */
	TP_CONN_OPEN,	  /* a request is in hand */
	TP_CONN_ANSWERED, /* something was written; more may follow until the next read */
};

/* A live connection; key: the address of its struct file, which dup(2) and fork(2) share. */
struct tp_conn {
	__u64 open_ns;
	__u64 dequeue_ns; /* first read started; 0: not yet */
	__u64 in_bytes;
	__u64 out_bytes;
	__u32 inode;
	__u32 tgid;
	__u32 pad;
	__u16 phase; /* enum tp_conn_phase */
	__u16 flags;
	__u64 base_ns[TP_NR_STATES]; /* state_ns of the serving thread when it took the request up */
	__u64 handoff_ns;
	__u32 owner_tid; /* the thread that has the request in hand */
	__u32 pad2;
	__u64 read_ns;	/* last read of the current request */
	__u64 full_since; /* the client takes no more of the response; 0: it does */
	struct tp_request r; /* the current or last request */
};

/* fd -> open file: tells at close(2), when the descriptor is gone, which connection it was. */
struct tp_fd_key {
	__u32 tgid;
	__s32 fd;
};

struct tp_fd {
	__u64 file;
	__u32 inode;
	__u32 pad;
};

/*
 * The maps that sum up waits are kept per interval: userspace advances the epoch at an interval's end,
 * then reads and removes what belongs to the one before, which nothing adds to any more.
 */
struct tp_lock_key {
	__u64 addr;
	__u32 tgid;
	__u32 kind; /* enum tp_lock_kind */
	__u32 epoch;
	__u32 pad;
};

struct tp_lock {
	__u64 waits;
	__u64 wait_ns;
	__u64 max_ns;
	__u32 owner_tid; /* holder, as in lock_owner, when the longest wait with a known one began; 0: not known */
	__u32 stacks;	 /* sent */
	__u64 unsampled_ns; /* waited since the last stack was */
};

/*
 * Calls of lock functions on one lock; key: struct tp_lock_key with the lock's own address. The seen_… are
 * what struct tp_lock of this lock has of the same calls: a call can hold several waits.
 */
struct tp_lock_calls {
	__u64 calls;
	__u64 failed; /* of them: came back without the lock */
	__u64 call_ns;
	__u64 max_ns;
	__u64 contended; /* calls that the thread slept in */
	__u64 contended_ns;
	__u64 seen_waits;
	__u64 seen_wait_ns;
};

/*
 * Key of a count of the same calls (__u64) by their length, which is rounded down to the begin of its bucket in a
 * histogram: src/histogram.h, 64 buckets to each power of two.
 */
struct tp_lock_length_key {
	__u64 addr;
	__u64 length_ns;
	__u32 tgid;
	__u32 kind; /* enum tp_lock_kind */
	__u32 epoch;
	__u32 pad;
};

#define TP_LOCK_BYTES 64 /* pthread_rwlock_t, the largest lock there is, has 56 */

/* Keeps what probes on lock functions cost below a limit. Written by both sides. */
struct tp_lock_guard {
	__u64 price_ns; /* time in which the target may lose as much as one call costs */
	__u64 paid_until_ns;
	__u64 calls; /* since the start */
	__u64 tripped_ns; /* when it was too much; 0: never */
	__u64 since_ns; /* a call that began before may have ended unseen */
	__u32 own_tgid; /* threadprof's, while it measures what a call costs; else 0 */
	__u32 on;
};

struct tp_peer_key {
	__u32 epoch;
	__u32 pad;
	struct tp_addr addr;
	char path[TP_PATH_LEN];
};

struct tp_wait {
	__u64 waits;
	__u64 wait_ns;
};

struct tp_peer {
	struct tp_wait wait; /* of threads that slept for this peer alone */
	__u64 answers;	     /* to what requests have sent it */
	__u64 answer_ns;     /* until their first bytes */
};

struct tp_file_key {
	__u64 inode;
	__u32 dev;
	__u32 epoch;
	char name[TP_NAME_LEN];
};

/* A thief in no PID namespace that threadprof sees has the kernel's id, with this bit set. */
#define TP_THIEF_OUTSIDE 0x80000000

struct tp_thief_key {
	__u32 tgid;
	__u32 epoch;
};

struct tp_thief {
	__u64 ns;
	char comm[TP_COMM_LEN];
};

/* Requests that another thread answered: settled by the thread that had read them. */
struct tp_debt {
	__u64 last_ns;
	__u32 count;
	__u32 pad;
};

struct tp_range {
	__u64 start;
	__u64 end;
	__u32 tgid;
	__u32 kind; /* enum tp_lock_kind */
};

#define TP_MAX_RANGES 64
#define TP_FILTER_SIZE 65536 /* bytes; indexed by the low 16 bits of a tgid */

/*
 * Queue counters, each only ever added to, so that many CPUs may update them without a lock:
 * depth = accepted - dequeued; the integral of the depth over time up to T is
 * depth * T + dequeued_ts_sum - accepted_ts_sum.
 */
struct tp_queue {
	__u64 accepted;
	__u64 accepted_ts_sum;
	__u64 dequeued;
	__u64 dequeued_ts_sum;
	__u64 max; /* highest depth since userspace last set it */
	__u64 backlog_max;
	__u64 backlog_ns; /* connections that waited for accept(2), times how long: at least this much */
};

/* What clients kept waiting, by enum tp_client_wait; only ever added to. */
struct tp_clients {
	__u64 wait_ns[TP_NR_CLIENT_WAITS];
};

#define TP_ASSERT_SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type " has changed its size")
TP_ASSERT_SIZE(struct tp_rec, 16);
TP_ASSERT_SIZE(struct tp_addr, 24);
TP_ASSERT_SIZE(struct tp_request, 184);
TP_ASSERT_SIZE(struct tp_rec_request, 200);
TP_ASSERT_SIZE(struct tp_rec_conn, 104);
TP_ASSERT_SIZE(struct tp_rec_thread, 200);
TP_ASSERT_SIZE(struct tp_rec_process, 48);
TP_ASSERT_SIZE(struct tp_rec_socket, 144);
TP_ASSERT_SIZE(struct tp_peer, 32);
TP_ASSERT_SIZE(struct tp_conn, 336);
TP_ASSERT_SIZE(struct tp_rec_lock, 128);
TP_ASSERT_SIZE(struct tp_rec_stack, 336 + TP_STACK_BYTES);
TP_ASSERT_SIZE(struct tp_lock, 40);
TP_ASSERT_SIZE(struct tp_lock_calls, 64);
TP_ASSERT_SIZE(struct tp_lock_length_key, 32);
TP_ASSERT_SIZE(struct tp_lock_guard, 48);

#endif /* THREADPROF_H */
