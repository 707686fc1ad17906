// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * Calls of lock functions (pthread_mutex_lock and its like), by a probe at a function's begin and one at its
 * return. Only for --locks=uprobe: a probe costs the target microseconds at each call, contended or not.
 * The scheduler goes on to see the waits inside; a call carries what it saw, so that a wait counts once.
 *
 * The guard: each call uses up some of the time that the target may lose. Paid for in advance is at most one
 * second, so that the share of a CPU that may be lost holds over any longer time. Beyond it the probes do
 * nothing from this moment on, and userspace is woken to take them away.
 */
#include "threadprof.bpf.h"
#include "syscalls.bpf.h"

#define NS_PER_SEC 1000000000ULL
#define EOWNERDEAD 130

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct tp_lock_key);
	__type(value, struct tp_lock_calls);
} lock_calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, struct tp_lock_length_key);
	__type(value, __u64);
} lock_lengths SEC(".maps");

struct tp_lock_guard lock_guard;

/* Of threadprof itself, while it measures what a call costs. */
static struct lock_call own_call;

static __always_inline void guard__trip(__u64 now)
{
	struct tp_rec *rec;

	if (__sync_lock_test_and_set(&lock_guard.tripped_ns, now))
		return;
	lock_guard.on = 0;
	rec = bpf_ringbuf_reserve(&events, sizeof(*rec), 0);
	if (!rec)
		return; /* userspace looks at the guard whenever it drains */
	rec__head(rec, TP_REC_LOCK_GUARD, sizeof(*rec), now);
	bpf_ringbuf_submit(rec, BPF_RB_FORCE_WAKEUP);
}

/* False: the target would lose too much time. A race between two CPUs may forget a call, never the limit. */
static __always_inline bool guard__pay(__u64 now)
{
	__u64 paid_until = lock_guard.paid_until_ns;

	__sync_fetch_and_add(&lock_guard.calls, 1);
	if (paid_until < now)
		__sync_val_compare_and_swap(&lock_guard.paid_until_ns, paid_until, now);
	paid_until = __sync_fetch_and_add(&lock_guard.paid_until_ns, lock_guard.price_ns);
	if ((__s64)(paid_until - now) <= (__s64)NS_PER_SEC)
		return true;
	guard__trip(now);
	return false;
}

/* The call that the current thread is in; NULL: it is no target's. While we measure, there are only our own. */
static __always_inline struct lock_call *current__call(void)
{
	struct thread *t;

	if (lock_guard.own_tgid) {
		own_call.tgid = lock_guard.own_tgid;
		return &own_call;
	}
	if (!caller__may_be_target())
		return NULL;
	t = thread__get_calling(caller__task());
	if (!t)
		return NULL;
	t->call.tgid = t->tgid;
	return &t->call;
}

/*
 * A lock function may do its work in another one that has a probe as well: by a jump at its end (the same
 * stack pointer) or by a call (musl; a program with a function of this name around that of the library). The
 * outermost one counts.
 */
static __always_inline bool call__is_inside(const struct lock_call *call, __u64 addr, __u64 sp, __u64 ip)
{
	return call->addr == addr && call->ip != ip && sp <= call->sp;
}

static __always_inline void on_enter(struct pt_regs *ctx)
{
	__u64 addr = PT_REGS_PARM1(ctx), sp = PT_REGS_SP(ctx), ip = PT_REGS_IP(ctx), now;
	struct lock_call *call;

	if (!lock_guard.on)
		return;
	now = bpf_ktime_get_ns();
	if (!guard__pay(now))
		return;
	call = current__call();
	if (!call)
		return;
	if (call__is_open(call)) {
		if (call__is_inside(call, addr, sp, ip)) {
			call->chained += sp == call->sp;
			return;
		}
		/* Left by longjmp(), or a signal's handler that takes a lock in the middle of it. */
		loss__count(TP_LOSS_LOCK_CALL);
	}
	call->addr = addr;
	call->sp = sp;
	call->ip = ip;
	call->kind = bpf_get_attach_cookie(ctx);
	call->chained = 0;
	call->waits = 0;
	call->wait_ns = 0;
	call->enter_ns = now;
}

SEC("uprobe")
int lock_call_enter(struct pt_regs *ctx)
{
	compat__begin_uprobe();
	on_enter(ctx);
	compat__end_uprobe();
	return 0;
}

/* The begin of the bucket that @ns is in: see struct tp_lock_length_key. */
static __always_inline __u64 bucket_begin(__u64 ns)
{
	__u64 rest = ns >> 6;
	__u32 shift = 0;

#pragma unroll
	for (__u32 step = 32; step; step /= 2) {
		if (rest >> step) {
			rest >>= step;
			shift += step;
		}
	}
	return ns >> shift << shift;
}

static __always_inline void call__add_length(const struct lock_call *call, __u64 ns)
{
	struct tp_lock_length_key key = { .addr = call->addr, .length_ns = bucket_begin(ns), .tgid = call->tgid,
					  .kind = call->kind, .epoch = epoch };
	__u64 *count = detail__entry(&lock_lengths, &key);

	if (count)
		__sync_fetch_and_add(count, 1);
}

static __always_inline void call__add(const struct lock_call *call, bool got_it, __u64 ns)
{
	struct tp_lock_key key = { .addr = call->addr, .tgid = call->tgid, .kind = call->kind, .epoch = epoch };
	struct tp_lock_calls *sum = bpf_map_lookup_elem(&lock_calls, &key), first = {};

	if (!sum) {
		bpf_map_update_elem(&lock_calls, &key, &first, BPF_NOEXIST);
		sum = bpf_map_lookup_elem(&lock_calls, &key);
		if (!sum) {
			loss__count(TP_LOSS_DETAIL_MAP);
			return;
		}
	}
	call__add_length(call, ns);
	__sync_fetch_and_add(&sum->calls, 1);
	__sync_fetch_and_add(&sum->call_ns, ns);
	if (ns > sum->max_ns)
		sum->max_ns = ns;
	if (!got_it)
		__sync_fetch_and_add(&sum->failed, 1);
	if (!call->waits)
		return;
	__sync_fetch_and_add(&sum->contended, 1);
	__sync_fetch_and_add(&sum->contended_ns, ns);
	__sync_fetch_and_add(&sum->seen_waits, call->waits);
	__sync_fetch_and_add(&sum->seen_wait_ns, call->wait_ns);
}

/*
 * There are kernels that do not trace every switch (see thread__runs_unseen()): then the wait that the call
 * has just had is still open, and would be accounted after the call.
 */
static __always_inline void current__end_unseen_wait(__u64 now)
{
	struct thread *t;

	if (!active || lock_guard.own_tgid || !caller__may_be_target())
		return;
	t = thread__get_calling(caller__task());
	if (!t || !t->lock_in_call || t->block_what != BLOCK_LOCK)
		return;
	if (t->state != TP_CPU)
		thread__runs_unseen(now);
	block__account(t, t->tgid);
}

static __always_inline void on_return(struct pt_regs *ctx)
{
	__u64 sp = PT_REGS_SP(ctx) - RETURN_ADDRESS_BYTES, now = bpf_ktime_get_ns();
	struct lock_call *call = current__call();
	int result = PT_REGS_RC(ctx);

	/* Not that of the call that we saw begin: it began before we came, or is a part of it. */
	if (!call || !call__is_open(call) || call->sp != sp)
		return;
	if (call->chained) {
		call->chained--;
		return;
	}
	current__end_unseen_wait(now);
	if (now < call->enter_ns)
		loss__count(TP_LOSS_LOCK_CALL);
	else
		call__add(call, !result || result == EOWNERDEAD, now - call->enter_ns);
	call->addr = 0;
}

SEC("uretprobe")
int lock_call_return(struct pt_regs *ctx)
{
	compat__begin_uprobe();
	on_return(ctx);
	compat__end_uprobe();
	return 0;
}
