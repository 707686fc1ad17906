// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * Lock waits as the scheduler sees them: a thread that is switched out in futex(2). Costs nothing while
 * a lock is uncontended, and needs no probe in the target.
 *
 * What a futex is used for shows in its operation, in the value that the waiter expects, and in the words
 * around it.
 *
 * glibc (nptl/lowlevellock.h, sysdeps/nptl): a mutex waits with FUTEX_WAIT for the value 2 ("locked, with
 * waiters"), a robust one for its owner's tid with the waiters bit; all but the PI ones, whose word is the
 * owner's tid, have the owner 8 bytes on. Everything else waits with FUTEX_WAIT_BITSET: a mutex with a time limit
 * for 2, a rwlock on one of two words next to each other for 2 or 3, a condition variable on one of two as well, for 0 (before 2.41), a
 * semaphore for 0 on the lower half of a number whose upper half counts the waiters.
 *
 * musl (src/thread) waits with FUTEX_WAIT only: a mutex for its word with the waiters bit, which is the
 * owner's tid in all types but the simple one, a rwlock for the number of readers with that bit or all ones,
 * a semaphore for all ones or that bit alone, a condition variable for 2 on a word on the waiter's own stack, a
 * join for 2 as well.
 *
 * Rust's and Go's mutexes wait for 2 with FUTEX_WAIT or FUTEX_WAIT_BITSET.
 */
#include "threadprof.bpf.h"
#include "syscalls.bpf.h"

#define FUTEX_WAIT 0
#define FUTEX_LOCK_PI 6
#define FUTEX_WAIT_BITSET 9
#define FUTEX_WAIT_REQUEUE_PI 11
#define FUTEX_LOCK_PI2 13
#define FUTEX_CMD_MASK 127
#define FUTEX_PRIVATE 128
#define FUTEX_WAITERS 0x80000000
#define FUTEX_TID_MASK 0x3fffffff

#define EINTR 4
#define ETIMEDOUT 110
#define ERESTARTSYS 512 /* include/linux/errno.h: a signal came, the call may go on after it */
#define ERESTART_RESTARTBLOCK 516

/* A lock's stack is sent when this much was waited for it since its last one; the first one comes sooner. */
#define STACK_NS 1000000
#define FIRST_STACK_NS 20000

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct tp_lock_key);
	__type(value, struct tp_lock);
} locks SEC(".maps");

/* False: the states of threads are all that is asked for. */
const volatile bool counts_locks = true;

/* Address ranges whose futexes are of a known kind: CPython's GIL. Written by userspace. */
struct tp_range lock_ranges[TP_MAX_RANGES];
__u32 nr_lock_ranges;

struct futex_waitv {
	__u64 val;
	__u64 uaddr;
	__u32 flags;
	__u32 reserved;
};

/* False: no wait that we know. */
static __always_inline bool futex__read(struct futex *f, struct pt_regs *regs, bool is_current)
{
	struct futex_waitv first = {};

	f->addr = regs__arg0(regs);
	switch (regs__class(regs)) {
	case SC_FUTEX:
		f->cmd = regs__arg1(regs) & FUTEX_CMD_MASK;
		f->private = regs__arg1(regs) & FUTEX_PRIVATE;
		f->val = regs__arg2(regs);
		return f->cmd == FUTEX_WAIT || f->cmd == FUTEX_WAIT_BITSET || f->cmd == FUTEX_WAIT_REQUEUE_PI ||
		       f->cmd == FUTEX_LOCK_PI || f->cmd == FUTEX_LOCK_PI2;
	case SC_FUTEX_WAIT:
		f->cmd = FUTEX_WAIT;
		f->private = regs__arg3(regs) & FUTEX_PRIVATE;
		f->val = regs__arg1(regs);
		return true;
	default:
		/* Of many futexes the first one stands for all: which one ends the wait is not known yet. */
		if (is_current)
			bpf_probe_read_user(&first, sizeof(first), (void *)f->addr);
		f->cmd = FUTEX_WAIT_BITSET;
		f->private = first.flags & FUTEX_PRIVATE;
		f->val = first.val ?: 1; /* 0 would be a condition variable's, which none of these is */
		f->addr = first.uaddr;
		return true;
	}
}

static __always_inline void futex__look_around(struct futex *f)
{
	bpf_probe_read_user(f->before, sizeof(f->before), (void *)f->addr - sizeof(f->before));
	bpf_probe_read_user(f->after, sizeof(f->after), (void *)f->addr);
}

static __always_inline __u32 range__kind(__u32 tgid, __u64 addr)
{
	for (__u32 i = 0; i < TP_MAX_RANGES && i < nr_lock_ranges; i++) {
		const struct tp_range *r = &lock_ranges[i];

		if (r->tgid == tgid && r->start <= addr && addr < r->end)
			return r->kind;
	}
	return TP_LOCK_FUTEX;
}

/* glibc's condition variable counts who waits on it: 4 or 8 bytes, and 24 bytes before the word. */
static __always_inline bool futex__is_condvar(const struct futex *f)
{
	__u32 waiters = f->addr & 4 ? f->before[4] : f->before[5];

	return waiters >= 8 && f->before[0] >= 2;
}

/*
 * musl's pthread_join() waits for 2 in the thread's own structure, behind its tid and errno. That begins with a pointer
 * to itself, 56 bytes before the word, or 40 where the thread pointer is at its end (arm64).
 */
static __always_inline bool futex__is_join(const struct futex *f)
{
	__u64 self = 0;

	if (f->addr & 4 || f->before[4] - 1 >= 0x400000)
		return false;
	bpf_probe_read_user(&self, sizeof(self), (void *)f->addr - 56);
	if (self == f->addr - 56)
		return true;
	bpf_probe_read_user(&self, sizeof(self), (void *)f->addr - 40);
	return self == f->addr - 40;
}

static __always_inline __u32 futex__plain_kind(const struct futex *f, __u64 sp)
{
	__u32 low = f->val & FUTEX_TID_MASK;

	if (f->val == 2 && futex__is_join(f))
		return TP_LOCK_FUTEX;
	if (f->val == 2)
		return f->addr - sp < 512 ? TP_LOCK_CONDVAR : TP_LOCK_MUTEX;
	if (!(f->val & FUTEX_WAITERS))
		return TP_LOCK_FUTEX;
	if (f->addr & 4)
		return TP_LOCK_MUTEX;
	/* musl's semaphore and rwlock differ in the sense of their word for "private". */
	if (f->val == 0xffffffff)
		return f->after[2] == f->private ? TP_LOCK_SEMAPHORE : TP_LOCK_RWLOCK;
	if (!low)
		return TP_LOCK_SEMAPHORE;
	/* A rwlock counts its waiters in the next word; else it is a robust mutex, or a lock of musl's own. */
	return f->after[2] == low || !f->after[1] ? TP_LOCK_MUTEX : TP_LOCK_RWLOCK;
}

static __always_inline __u32 futex__bitset_kind(const struct futex *f)
{
	if (futex__is_condvar(f))
		return TP_LOCK_CONDVAR;
	/*
	 * The writer that waits in a rwlock for 2 has set the next word, and the two after that are padding. A mutex has
	 * its owner and the number of its users there, and 0 in all three while it goes from one owner to the next.
	 */
	if (f->val == 2 && (f->addr & 4 || !f->after[1] || f->after[2] || f->after[3]))
		return TP_LOCK_MUTEX;
	if (f->val == 2 || f->val == 3)
		return TP_LOCK_RWLOCK;
	/* A robust mutex has its owner in its word, and again two words on. With a time limit it is waited for this way. */
	if (f->val & FUTEX_WAITERS && !(f->addr & 4) && f->after[2] == (f->val & FUTEX_TID_MASK))
		return TP_LOCK_MUTEX;
	if (f->val)
		return TP_LOCK_FUTEX;
	if (!(f->addr & 4) && f->after[1] - 1 < 0xffff && (f->after[2] == 0 || f->after[2] == FUTEX_PRIVATE))
		return TP_LOCK_SEMAPHORE;
	return TP_LOCK_CONDVAR;
}

static __always_inline bool futex__is_pi(const struct futex *f)
{
	return f->cmd == FUTEX_LOCK_PI || f->cmd == FUTEX_LOCK_PI2;
}

static __noinline __u32 futex__kind(const struct futex *f, __u32 tgid, __u64 sp)
{
	__u32 known = nr_lock_ranges ? range__kind(tgid, f->addr) : TP_LOCK_FUTEX, kind;

	if (known != TP_LOCK_FUTEX && known != TP_LOCK_PARK)
		return known;
	if (futex__is_pi(f))
		return TP_LOCK_MUTEX;
	if (f->cmd == FUTEX_WAIT_REQUEUE_PI)
		return TP_LOCK_CONDVAR;
	kind = f->cmd == FUTEX_WAIT ? futex__plain_kind(f, sp) : futex__bitset_kind(f);
	return kind == TP_LOCK_FUTEX ? known : kind;
}

/* The holder's tid, from the waiter's own memory; 0 where it can't be known. */
static __always_inline __u32 futex__owner(const struct futex *f, __u32 kind)
{
	__u32 writer = 0;

	if (kind == TP_LOCK_RWLOCK && f->cmd == FUTEX_WAIT_BITSET) {
		/* pthread_rwlock_t: the two words at 8 and 12, the writer's tid at 24 */
		bpf_probe_read_user(&writer, sizeof(writer), (void *)((f->addr & ~7ULL) + 16));
		return writer;
	}
	if (kind != TP_LOCK_MUTEX)
		return 0;
	if (futex__is_pi(f))
		return f->after[0] & FUTEX_TID_MASK;
	if (!(f->val & FUTEX_WAITERS))
		return f->after[2];
	/* musl has the type in front of the word: a mutex of the simple one (0) has no owner. */
	if (f->addr & 4 && !(f->before[5] & 15))
		return 0;
	return f->val & FUTEX_TID_MASK;
}

/* A rwlock and a condition variable of glibc have two words, side by side: one lock to the reader. */
static __always_inline __u64 futex__lock_addr(const struct futex *f, __u32 kind)
{
	bool has_two = kind == TP_LOCK_CONDVAR || kind == TP_LOCK_RWLOCK;

	return has_two && f->cmd == FUTEX_WAIT_BITSET ? f->addr & ~7ULL : f->addr;
}

enum tp_state lock__classify(struct thread *t, struct task_struct *task, struct pt_regs *regs, bool is_current)
{
	struct futex *f = &t->futex;
	__u32 kind;

	if (!futex__read(f, regs, is_current))
		return TP_OTHER;
	thread__has_in_hand(t, t->tid);
	__builtin_memset(f->before, 0, sizeof(f->before) + sizeof(f->after));
	if (is_current && f->addr)
		futex__look_around(f);
	/* By way of memory, like the rest: the verifier must not follow each kind by itself. */
	*(volatile __u32 *)&t->lock_kind = futex__kind(f, t->tgid, regs__sp(regs));
	kind = *(volatile __u32 *)&t->lock_kind;
	t->lock_addr = futex__lock_addr(f, kind);
	t->lock_owner = 0;
	t->holder_phase = HOLDER_NONE;
	if (!futex__is_pi(f))
		t->lock_ns = 0; /* else the kernel may go on waiting in the same call */
	if (kind == TP_LOCK_MUTEX || kind == TP_LOCK_RWLOCK || kind == TP_LOCK_GIL)
		t->lock_owner = futex__owner(f, kind);
	t->lock_in_call = f->addr - t->call.addr < TP_LOCK_BYTES && call__is_open(&t->call);
	if (t->lock_in_call) {
		t->lock_addr = t->call.addr;
		kind = t->call.kind;
	}
	t->lock_kind = kind;
	if (kind == TP_LOCK_MUTEX || kind == TP_LOCK_RWLOCK || kind == TP_LOCK_GIL) {
		t->block_what = BLOCK_LOCK;
		return TP_LOCK;
	}
	if (t->in_hand <= 0) {
		t->tent_state = TP_WAIT;
		t->tent_what = kind == TP_LOCK_PARK ? BLOCK_NOTHING : BLOCK_LOCK;
		return TP_IDLE;
	}
	t->block_what = kind == TP_LOCK_PARK ? BLOCK_NOTHING : BLOCK_LOCK;
	t->not_in_hand = TP_IDLE;
	return TP_WAIT;
}

static __always_inline void lock__sample(struct thread *t, struct tp_lock *lock)
{
	lock->unsampled_ns += t->block_ns;
	if (lock->unsampled_ns < (lock->stacks ? STACK_NS : FIRST_STACK_NS) || !stack__take_turn())
		return;
	t->stack_lock_ns = lock->unsampled_ns;
	lock->unsampled_ns = 0;
	lock->stacks++;
}

void lock__account(struct thread *t, __u32 tgid)
{
	struct tp_lock_key key = { .addr = t->lock_addr, .tgid = tgid, .kind = t->lock_kind,
				   .epoch = epoch };
	struct tp_lock *lock, first = {};

	if (!counts_locks)
		return;
	t->lock_ns += t->block_ns;
	if (t->lock_in_call) {
		t->call.waits++;
		t->call.wait_ns += t->block_ns;
		t->lock_in_call = 0;
	}
	lock = bpf_map_lookup_elem(&locks, &key);
	if (!lock) {
		bpf_map_update_elem(&locks, &key, &first, BPF_NOEXIST);
		lock = bpf_map_lookup_elem(&locks, &key);
		if (!lock) {
			loss__count(TP_LOSS_DETAIL_MAP);
			return;
		}
	}
	__sync_fetch_and_add(&lock->waits, 1);
	__sync_fetch_and_add(&lock->wait_ns, t->block_ns);
	if (t->block_ns > lock->max_ns) {
		lock->max_ns = t->block_ns;
		if (t->lock_owner)
			lock->owner_tid = t->lock_owner;
	}
	lock__sample(t, lock);
}

static __always_inline enum tp_wait_end wait__end(long ret)
{
	if (ret == -ETIMEDOUT)
		return TP_WAIT_TIMED_OUT;
	if (ret == -EINTR || (ret <= -ERESTARTSYS && ret >= -ERESTART_RESTARTBLOCK))
		return TP_WAIT_INTERRUPTED;
	return TP_WAIT_WOKEN;
}

void lock__tell(struct thread *t, enum tp_wait_end end)
{
	struct tp_rec_lock *rec = rec__reserve(struct tp_rec_lock, TP_REC_LOCK, bpf_ktime_get_ns());

	if (rec) {
		rec->addr = t->lock_addr;
		rec->wait_ns = t->lock_ns;
		rec->tgid = t->tgid;
		rec->tid = t->tid;
		rec->kind = t->lock_kind;
		rec->owner_tid = t->lock_owner;
		rec->end = end;
		rec->knows_holder = t->holder_phase == HOLDER_KNOWN;
		rec->pad = 0;
		__builtin_memcpy(rec->holder_ns, t->holder_ns, sizeof(rec->holder_ns));
		rec__submit(rec);
	}
	t->lock_ns = 0;
}

void lock__on_exit(struct thread *t, long ret)
{
	if (t->block_what == BLOCK_LOCK)
		block__account(t, t->tgid); /* the switch that brought it on was not seen */
	if (t->lock_ns)
		lock__tell(t, wait__end(ret));
}
