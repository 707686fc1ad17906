// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "lock_waits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "table.h"

/* A thread that held the lock, or waited for it. */
struct holder {
	uint32_t tid;
	uint64_t waited_ns; /* for this lock */
	uint64_t waits;	    /* that others began while it held the lock */
	uint64_t ns;	    /* that others waited while it held the lock when they began */
	uint64_t known_ns; /* of ns, with state_ns */
	uint64_t state_ns[TP_NR_STATES];
};

struct detail {
	struct table_node node;
	uint64_t addr;
	uint32_t tgid;
	uint32_t kind;
	struct histogram wait;
	uint64_t timeouts;
	uint64_t interrupted;
	struct holder *holders;
	size_t nr_holders;
	size_t holders_capacity;
};

struct lock_waits {
	struct table details;
};

struct lock_waits *lock_waits__new(void)
{
	return calloc(1, sizeof(struct lock_waits));
}

static void detail__free(struct detail *detail)
{
	histogram__free(&detail->wait);
	free(detail->holders);
	free(detail);
}

void lock_waits__next(struct lock_waits *waits)
{
	for (size_t i = 0; i < waits->details.nr_slots; i++) {
		struct table_node *node = waits->details.slots[i], *next;

		for (; node; node = next) {
			next = node->next;
			detail__free(TABLE_ENTRY(node, struct detail, node));
		}
	}
	free(waits->details.slots);
	memset(&waits->details, 0, sizeof(waits->details));
}

void lock_waits__free(struct lock_waits *waits)
{
	if (!waits)
		return;
	lock_waits__next(waits);
	free(waits);
}

/* The words of a GIL are one lock to the reader. */
static uint64_t own_addr(uint32_t kind, uint64_t addr)
{
	return kind == TP_LOCK_GIL ? 0 : addr;
}

static struct detail *find(const struct lock_waits *waits, uint32_t tgid, uint32_t kind, uint64_t addr, uint64_t *hash)
{
	struct table_node *node;

	addr = own_addr(kind, addr);
	*hash = table__hash(TABLE_HASH_INIT, &addr, sizeof(addr));
	for (node = table__find(&waits->details, *hash); node; node = table__find_next(node)) {
		struct detail *detail = TABLE_ENTRY(node, struct detail, node);

		if (detail->tgid == tgid && detail->kind == kind && detail->addr == addr)
			return detail;
	}
	return NULL;
}

/* NULL without an error: there are too many already. */
static int get(struct lock_waits *waits, const struct tp_rec_lock *rec, struct detail **out)
{
	uint64_t hash;
	struct detail *detail = find(waits, rec->tgid, rec->kind, rec->addr, &hash);

	*out = detail;
	if (detail || waits->details.nr >= LOCK_WAITS_MAX)
		return 0;
	detail = calloc(1, sizeof(*detail));
	if (!detail)
		return -ENOMEM;
	detail->addr = own_addr(rec->kind, rec->addr);
	detail->tgid = rec->tgid;
	detail->kind = rec->kind;
	if (table__insert(&waits->details, &detail->node, hash)) {
		free(detail);
		return -ENOMEM;
	}
	*out = detail;
	return 0;
}

/*
 * What the holder did is measured from the waiter's switch away to its coming back, a little longer than the wait;
 * the parts are brought to the wait's length.
 */
static void add_states(struct holder *holder, const struct tp_rec_lock *rec)
{
	uint64_t sum = 0;

	for (int i = 0; i < TP_NR_STATES; i++)
		sum += rec->holder_ns[i] > 0 ? (uint64_t)rec->holder_ns[i] : 0;
	if (!sum)
		return;
	for (int i = 0; i < TP_NR_STATES; i++) {
		if (rec->holder_ns[i] > 0)
			holder->state_ns[i] += (double)rec->holder_ns[i] / (double)sum * (double)rec->wait_ns;
	}
	holder->known_ns += rec->wait_ns;
}

/* NULL without an error: there are too many already. */
static int get_holder(struct detail *detail, uint32_t tid, struct holder **out)
{
	struct holder *grown;

	*out = NULL;
	for (size_t i = 0; i < detail->nr_holders && !*out; i++) {
		if (detail->holders[i].tid == tid)
			*out = &detail->holders[i];
	}
	if (*out || detail->nr_holders == LOCK_WAITS_MAX_HOLDERS)
		return 0;
	grown = array__grow(detail->holders, detail->nr_holders, &detail->holders_capacity, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	detail->holders = grown;
	*out = &grown[detail->nr_holders++];
	**out = (struct holder){ .tid = tid };
	return 0;
}

static int add_holder(struct detail *detail, const struct tp_rec_lock *rec)
{
	struct holder *holder;
	int err = get_holder(detail, rec->tid, &holder);

	if (holder)
		holder->waited_ns += rec->wait_ns;
	if (!err)
		err = get_holder(detail, rec->owner_tid, &holder);
	if (!holder)
		return err;
	holder->waits++;
	holder->ns += rec->wait_ns;
	if (rec->knows_holder)
		add_states(holder, rec);
	return 0;
}

int lock_waits__on_record(struct lock_waits *waits, const struct tp_rec_lock *rec)
{
	struct detail *detail;
	int err = get(waits, rec, &detail);

	if (err || !detail)
		return err;
	detail->timeouts += rec->end == TP_WAIT_TIMED_OUT;
	detail->interrupted += rec->end == TP_WAIT_INTERRUPTED;
	err = histogram__add(&detail->wait, rec->wait_ns);
	if (!err && rec->owner_tid)
		err = add_holder(detail, rec);
	return err;
}

static int longest_first(const void *a, const void *b)
{
	const struct holder *x = a, *y = b;

	if (x->ns != y->ns)
		return x->ns < y->ns ? 1 : -1;
	return x->tid < y->tid ? -1 : x->tid > y->tid;
}

/*
 * The share of a thread's waits for locks that was for this one. Where threads queue, the holder that a waiter saw
 * lets go of the lock before the waiter gets it, and queues again: then it no longer holds it.
 */
static double share_of_own_waits(const struct lock_waits *waits, const struct holder *holder)
{
	uint64_t total = 0;

	for (size_t i = 0; i < waits->details.nr_slots; i++) {
		for (struct table_node *node = waits->details.slots[i]; node; node = node->next) {
			const struct detail *detail = TABLE_ENTRY(node, struct detail, node);

			for (size_t j = 0; j < detail->nr_holders; j++)
				total += detail->holders[j].tid == holder->tid ? detail->holders[j].waited_ns : 0;
		}
	}
	return total ? (double)holder->waited_ns / (double)total : 0;
}

static void fill_holder(const struct lock_waits *waits, const struct holder *from, struct report_holder *to)
{
	double scale = from->known_ns ? (double)from->ns / (double)from->known_ns : 0;

	to->tid = from->tid;
	to->waits = from->waits;
	to->ns = from->ns;
	for (int i = 0; i < TP_NR_STATES; i++)
		to->state_ns[i] = (double)from->state_ns[i] * scale;
	to->state_ns[TP_LOCK] *= 1 - share_of_own_waits(waits, from);
}

void lock_waits__fill(const struct lock_waits *waits, struct report_lock *lock)
{
	uint64_t hash;
	struct detail *detail = find(waits, lock->tgid, lock->kind, lock->addr, &hash);

	if (!detail)
		return;
	lock->wait = &detail->wait;
	lock->timeouts = detail->timeouts;
	lock->interrupted = detail->interrupted;
	array__sort(detail->holders, detail->nr_holders, sizeof(*detail->holders), longest_first);
	for (size_t i = 0; i < detail->nr_holders && lock->nr_holders < REPORT_MAX_HOLDERS; i++) {
		if (detail->holders[i].ns)
			fill_holder(waits, &detail->holders[i], &lock->holders[lock->nr_holders++]);
	}
}
