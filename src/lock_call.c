// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "lock_call.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "lock.h"

struct entry {
	struct tp_lock_key key;
	struct tp_lock_calls sum;
};

struct length {
	struct tp_lock_length_key key;
	uint64_t count;
};

struct lock_calls {
	struct entry *list;
	size_t nr;
	size_t capacity;
	struct length *lengths;
	size_t nr_lengths;
	size_t lengths_capacity;
	struct histogram histograms[LOCKS_MAX_LISTED]; /* of the locks that are reported */
	struct report_lock *report;
	size_t nr_report;
	uint64_t nr_impossible; /* calls whose sum cannot be */
};

struct lock_calls *lock_calls__new(void)
{
	return calloc(1, sizeof(struct lock_calls));
}

void lock_calls__free(struct lock_calls *calls)
{
	if (!calls)
		return;
	for (size_t i = 0; i < LOCKS_MAX_LISTED; i++)
		histogram__free(&calls->histograms[i]);
	free(calls->list);
	free(calls->lengths);
	free(calls->report);
	free(calls);
}

/* Below zero, as a difference of moments that do not belong together. */
static bool is_impossible(uint64_t ns)
{
	return ns > INT64_MAX;
}

int lock_calls__on_sum(struct lock_calls *calls, const struct tp_lock_key *key, const struct tp_lock_calls *sum)
{
	struct entry *grown;

	if (is_impossible(sum->call_ns) || is_impossible(sum->max_ns) || is_impossible(sum->contended_ns) ||
	    is_impossible(sum->seen_wait_ns)) {
		calls->nr_impossible += sum->calls;
		return 0;
	}
	grown = array__grow(calls->list, calls->nr, &calls->capacity, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	calls->list = grown;
	calls->list[calls->nr++] = (struct entry){ .key = *key, .sum = *sum };
	return 0;
}

int lock_calls__on_length(struct lock_calls *calls, const struct tp_lock_length_key *key, uint64_t count)
{
	struct length *grown = array__grow(calls->lengths, calls->nr_lengths, &calls->lengths_capacity, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	calls->lengths = grown;
	calls->lengths[calls->nr_lengths++] = (struct length){ .key = *key, .count = count };
	return 0;
}

static int compare_lock(uint32_t tgid, uint64_t addr, uint32_t kind, const struct tp_lock_key *key)
{
	if (tgid != key->tgid)
		return tgid < key->tgid ? -1 : 1;
	if (addr != key->addr)
		return addr < key->addr ? -1 : 1;
	return kind < key->kind ? -1 : kind > key->kind;
}

static int by_lock(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return compare_lock(x->key.tgid, x->key.addr, x->key.kind, &y->key);
}

static int longest_first(const void *a, const void *b)
{
	const struct report_lock *x = a, *y = b;

	if (x->wait_ns != y->wait_ns)
		return x->wait_ns < y->wait_ns ? 1 : -1;
	if (x->calls.calls != y->calls.calls)
		return x->calls.calls < y->calls.calls ? 1 : -1;
	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

/* What is left of @value when @more is added and @less, which was counted in it, taken off. */
static uint64_t exchange(uint64_t value, uint64_t more, uint64_t less)
{
	return value + more > less ? value + more - less : 0;
}

static void add_sum(struct report_lock *lock, const struct tp_lock_calls *sum)
{
	struct report_lock_calls *calls = &lock->calls;

	calls->calls += sum->calls;
	calls->failed += sum->failed;
	calls->contended += sum->contended;
	calls->call_ns += sum->call_ns;
	if (sum->max_ns > calls->max_ns)
		calls->max_ns = sum->max_ns;
	lock->waits = exchange(lock->waits, sum->contended, sum->seen_waits);
	lock->wait_ns = exchange(lock->wait_ns, sum->contended_ns, sum->seen_wait_ns);
	if (sum->contended && sum->max_ns > lock->max_ns)
		lock->max_ns = sum->max_ns;
}

/* The sums of what may have come in several epochs become one; the list is then sorted by lock. */
static void merge(struct lock_calls *calls)
{
	size_t kept = 0;

	array__sort(calls->list, calls->nr, sizeof(*calls->list), by_lock);
	for (size_t i = 1; i < calls->nr; i++) {
		struct entry *last = &calls->list[kept], *entry = &calls->list[i];

		if (by_lock(last, entry)) {
			calls->list[++kept] = *entry;
			continue;
		}
		last->sum.calls += entry->sum.calls;
		last->sum.failed += entry->sum.failed;
		last->sum.call_ns += entry->sum.call_ns;
		if (entry->sum.max_ns > last->sum.max_ns)
			last->sum.max_ns = entry->sum.max_ns;
		last->sum.contended += entry->sum.contended;
		last->sum.contended_ns += entry->sum.contended_ns;
		last->sum.seen_waits += entry->sum.seen_waits;
		last->sum.seen_wait_ns += entry->sum.seen_wait_ns;
	}
	calls->nr = calls->nr ? kept + 1 : 0;
}

static int find_entry(const void *lock, const void *entry)
{
	const struct report_lock *l = lock;
	const struct entry *e = entry;

	return compare_lock(l->tgid, l->addr, l->kind, &e->key);
}

/* The lengths of the calls for the locks that are listed. */
static int fill_histograms(struct lock_calls *calls)
{
	for (size_t i = 0; i < calls->nr_report; i++) {
		struct report_lock *lock = &calls->report[i];
		struct histogram *h = &calls->histograms[i];

		histogram__reset(h);
		for (size_t j = 0; j < calls->nr_lengths && lock->calls.calls; j++) {
			const struct tp_lock_length_key *key = &calls->lengths[j].key;

			if (key->addr != lock->addr || key->tgid != lock->tgid || key->kind != lock->kind)
				continue;
			if (histogram__add_many(h, key->length_ns, calls->lengths[j].count))
				return -ENOMEM;
		}
		/* What came are begins of buckets. */
		if (lock->calls.max_ns > h->max)
			h->max = lock->calls.max_ns;
		if (h->count)
			lock->calls.length = h;
	}
	return 0;
}

int lock_calls__report(struct lock_calls *calls, struct report *report)
{
	struct report_lock *list;

	report->lost[TP_LOSS_LOCK_CALL] += calls->nr_impossible;
	if (!calls->nr)
		return 0;
	merge(calls);
	list = reallocarray(calls->report, report->nr_locks + calls->nr, sizeof(*list));
	if (!list)
		return -ENOMEM;
	calls->report = list;
	calls->nr_report = report->nr_locks;
	if (report->nr_locks)
		memcpy(list, report->locks, report->nr_locks * sizeof(*list));
	for (size_t i = 0; i < report->nr_locks; i++) {
		struct entry *entry = bsearch(&list[i], calls->list, calls->nr, sizeof(*entry), find_entry);

		if (!entry)
			continue;
		add_sum(&list[i], &entry->sum);
		entry->sum.calls = 0; /* it has its line */
	}
	for (size_t i = 0; i < calls->nr; i++) {
		const struct tp_lock_key *key = &calls->list[i].key;
		struct report_lock *lock = &list[calls->nr_report];

		if (!calls->list[i].sum.calls)
			continue;
		*lock = (struct report_lock){ .addr = key->addr, .tgid = key->tgid, .kind = key->kind,
					      .timeouts = TP_UNKNOWN, .interrupted = TP_UNKNOWN };
		add_sum(lock, &calls->list[i].sum);
		calls->nr_report++;
	}
	array__sort(list, calls->nr_report, sizeof(*list), longest_first);
	if (calls->nr_report > LOCKS_MAX_LISTED)
		calls->nr_report = LOCKS_MAX_LISTED;
	report->locks = list;
	report->nr_locks = calls->nr_report;
	return fill_histograms(calls);
}

struct report_lock *lock_calls__list(struct lock_calls *calls, size_t *count)
{
	*count = calls->nr_report;
	return calls->nr_report ? calls->report : NULL;
}

void lock_calls__next(struct lock_calls *calls)
{
	calls->nr = 0;
	calls->nr_lengths = 0;
	calls->nr_report = 0;
	calls->nr_impossible = 0;
}
