// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "lock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"

/* Something that adds to a lock's waiting time in this interval, or takes off what was said before. */
struct part {
	uint64_t addr;
	uint32_t tgid;
	uint32_t kind;
	int64_t wait_ns;
	uint64_t waits;
	uint64_t max_ns;
	uint32_t owner_tid;
};

struct parts {
	struct part *list;
	size_t nr;
	size_t capacity;
};

struct locks {
	struct parts ended; /* of this interval */
	struct parts open;  /* at its end */
	struct parts open_before;
	struct parts sorted;
	struct report_lock *report;
	size_t nr_report;
	size_t capacity;
};

struct locks *locks__new(void)
{
	return calloc(1, sizeof(struct locks));
}

void locks__free(struct locks *locks)
{
	if (!locks)
		return;
	free(locks->ended.list);
	free(locks->open.list);
	free(locks->open_before.list);
	free(locks->sorted.list);
	free(locks->report);
	free(locks);
}

static int parts__add(struct parts *parts, const struct part *part)
{
	struct part *grown = array__grow(parts->list, parts->nr, &parts->capacity, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	parts->list = grown;
	parts->list[parts->nr++] = *part;
	return 0;
}

int locks__on_sum(struct locks *locks, const struct tp_lock_key *key, const struct tp_lock *sum)
{
	struct part part = {
		.addr = key->addr,
		.tgid = key->tgid,
		.kind = key->kind,
		.wait_ns = sum->wait_ns,
		.waits = sum->waits,
		.max_ns = sum->max_ns,
		.owner_tid = sum->owner_tid,
	};

	return parts__add(&locks->ended, &part);
}

int locks__on_thread(struct locks *locks, const struct tp_rec_thread *rec)
{
	struct part part = {
		.addr = rec->lock_addr,
		.tgid = rec->tgid,
		.kind = rec->lock_kind,
		.wait_ns = rec->h.ts_ns - rec->lock_since,
		.max_ns = rec->h.ts_ns - rec->lock_since,
		.owner_tid = rec->lock_owner,
	};

	return rec->lock_addr ? parts__add(&locks->open, &part) : 0;
}

static int by_lock(const void *a, const void *b)
{
	const struct part *x = a, *y = b;

	if (x->tgid != y->tgid)
		return x->tgid < y->tgid ? -1 : 1;
	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	if (x->kind == TP_LOCK_GIL)
		return 0; /* a mutex and a condition variable of several words: one lock to the reader */
	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

static int longest_first(const void *a, const void *b)
{
	const struct report_lock *x = a, *y = b;

	if (x->wait_ns != y->wait_ns)
		return x->wait_ns < y->wait_ns ? 1 : -1;
	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

static int parts__append(struct parts *to, const struct parts *from, int sign)
{
	for (size_t i = 0; i < from->nr; i++) {
		struct part part = from->list[i];

		part.wait_ns *= sign;
		if (sign < 0)
			part.max_ns = 0;
		if (parts__add(to, &part))
			return -ENOMEM;
	}
	return 0;
}

/* One lock out of the parts [first, end), which are all of it. */
static struct report_lock fold(const struct part *first, const struct part *end)
{
	struct report_lock lock = { .addr = first->addr, .tgid = first->tgid, .kind = first->kind,
				    .timeouts = TP_UNKNOWN, .interrupted = TP_UNKNOWN };
	int64_t wait_ns = 0, most_ns = 0;

	for (; first < end; first++) {
		wait_ns += first->wait_ns;
		if (first->wait_ns > most_ns) {
			most_ns = first->wait_ns;
			lock.addr = first->addr;
		}
		lock.waits += first->waits;
		if (first->max_ns > lock.max_ns)
			lock.max_ns = first->max_ns;
		if (first->owner_tid)
			lock.owner_tid = first->owner_tid;
	}
	lock.wait_ns = wait_ns > 0 ? wait_ns : 0;
	return lock;
}

int locks__report(struct locks *locks, struct report *report)
{
	struct parts *sorted = &locks->sorted;
	size_t first = 0;

	sorted->nr = 0;
	locks->nr_report = 0;
	if (parts__append(sorted, &locks->ended, 1) || parts__append(sorted, &locks->open, 1) ||
	    parts__append(sorted, &locks->open_before, -1))
		return -ENOMEM;
	if (locks->capacity < sorted->nr) {
		struct report_lock *grown = reallocarray(locks->report, sorted->nr, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		locks->report = grown;
		locks->capacity = sorted->nr;
	}
	array__sort(sorted->list, sorted->nr, sizeof(*sorted->list), by_lock);
	for (size_t i = 1; i <= sorted->nr; i++) {
		struct report_lock lock;

		if (i < sorted->nr && !by_lock(&sorted->list[first], &sorted->list[i]))
			continue;
		lock = fold(&sorted->list[first], &sorted->list[i]);
		if (lock.waits || lock.wait_ns)
			locks->report[locks->nr_report++] = lock;
		first = i;
	}
	array__sort(locks->report, locks->nr_report, sizeof(*locks->report), longest_first);
	if (locks->nr_report > LOCKS_MAX_LISTED)
		locks->nr_report = LOCKS_MAX_LISTED;
	report->have_locks = true;
	report->locks = locks->report;
	report->nr_locks = locks->nr_report;
	return 0;
}

struct report_lock *locks__list(struct locks *locks, size_t *count)
{
	*count = locks->nr_report;
	return locks->report;
}

void locks__next(struct locks *locks)
{
	struct parts before = locks->open_before;

	locks->open_before = locks->open;
	locks->open = before;
	locks->open.nr = 0;
	locks->ended.nr = 0;
}
