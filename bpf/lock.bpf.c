// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * Lock waits as the scheduler sees them: a thread that is switched out in futex(2). Costs nothing while
 * a lock is uncontended, and needs no probe in the target.
 *
 * What a futex is used for shows in its operation and the value that the waiter expects. In glibc
 * (nptl/lowlevellock.h, sysdeps/nptl): a mutex waits with FUTEX_WAIT for the value 2 ("locked, with
 * waiters"), a rwlock with FUTEX_WAIT_BITSET for 2 or 3, a condition variable or semaphore with
 * FUTEX_WAIT_BITSET for 0. Rust's and Go's mutexes wait for 2 as well.
 */
#include "threadprof.bpf.h"
#include "syscalls.bpf.h"

#define FUTEX_WAIT 0
#define FUTEX_LOCK_PI 6
#define FUTEX_WAIT_BITSET 9
#define FUTEX_WAIT_REQUEUE_PI 11
#define FUTEX_LOCK_PI2 13
#define FUTEX_CMD_MASK 127
#define FUTEX_TID_MASK 0x3fffffff
#define MUTEX_OWNER_OFFSET 8 /* pthread_mutex_t: __lock, __count, __owner; 4 bytes each */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct tp_lock_key);
	__type(value, struct tp_lock);
} locks SEC(".maps");

/* Address ranges whose futexes are of a known kind: CPython's GIL. Written by userspace. */
struct tp_range lock_ranges[TP_MAX_RANGES];
__u32 nr_lock_ranges;

static __always_inline __u32 range__kind(__u32 tgid, __u64 addr)
{
	for (__u32 i = 0; i < TP_MAX_RANGES && i < nr_lock_ranges; i++) {
		const struct tp_range *r = &lock_ranges[i];

		if (r->tgid == tgid && r->start <= addr && addr < r->end)
			return r->kind;
	}
	return TP_LOCK_FUTEX;
}

static __always_inline __u32 futex__kind(__u32 tgid, int cmd, __u64 addr, __u32 val)
{
	__u32 kind = nr_lock_ranges ? range__kind(tgid, addr) : TP_LOCK_FUTEX;

	if (kind != TP_LOCK_FUTEX)
		return kind;
	if (cmd == FUTEX_LOCK_PI || cmd == FUTEX_LOCK_PI2)
		return TP_LOCK_MUTEX;
	if (cmd == FUTEX_WAIT && val == 2)
		return TP_LOCK_MUTEX;
	if (cmd == FUTEX_WAIT_BITSET && (val == 2 || val == 3))
		return TP_LOCK_RWLOCK;
	if (cmd == FUTEX_WAIT_BITSET || cmd == FUTEX_WAIT_REQUEUE_PI)
		return TP_LOCK_CONDVAR;
	return TP_LOCK_FUTEX;
}

/* The holder's tid, from the waiter's own memory; 0 where it can't be known. */
static __always_inline __u32 lock__owner(__u32 kind, int cmd, __u64 addr)
{
	bool pi = cmd == FUTEX_LOCK_PI || cmd == FUTEX_LOCK_PI2;
	__u32 word = 0;

	if (kind != TP_LOCK_MUTEX)
		return 0;
	bpf_probe_read_user(&word, sizeof(word), (void *)(pi ? addr : addr + MUTEX_OWNER_OFFSET));
	return pi ? word & FUTEX_TID_MASK : word;
}

enum tp_state lock__classify(struct thread *t, struct task_struct *task, struct pt_regs *regs, bool is_current)
{
	__u64 addr = regs__arg0(regs);
	int cmd = regs__arg1(regs) & FUTEX_CMD_MASK;
	bool in_hand;

	if (cmd != FUTEX_WAIT && cmd != FUTEX_WAIT_BITSET && cmd != FUTEX_WAIT_REQUEUE_PI &&
	    cmd != FUTEX_LOCK_PI && cmd != FUTEX_LOCK_PI2)
		return TP_OTHER;
	t->lock_addr = addr;
	t->lock_kind = futex__kind(t->tgid, cmd, addr, regs__arg2(regs));
	if (t->lock_kind == TP_LOCK_MUTEX || t->lock_kind == TP_LOCK_RWLOCK || t->lock_kind == TP_LOCK_GIL) {
		t->block_what = BLOCK_LOCK;
		t->lock_owner = is_current ? lock__owner(t->lock_kind, cmd, addr) : 0;
		return TP_LOCK;
	}
	t->lock_owner = 0;
	in_hand = thread__has_in_hand(t, t->tid);
	if (!in_hand) {
		t->tent_state = TP_WAIT;
		t->tent_what = BLOCK_LOCK;
		return TP_IDLE;
	}
	t->block_what = BLOCK_LOCK;
	t->not_in_hand = TP_IDLE;
	return TP_WAIT;
}

void lock__account(struct thread *t, __u32 tgid)
{
	struct tp_lock_key key = { .addr = t->lock_addr, .tgid = tgid, .kind = t->lock_kind,
				   .epoch = epoch };
	struct tp_lock *lock = bpf_map_lookup_elem(&locks, &key), first = {};

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
}
