// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "thread.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"

/* A thread, known by tid and start: tids are used again. */
struct known {
	uint32_t tid;
	uint64_t start_ns;
	uint32_t generation; /* of the interval it was seen in last */
	struct tp_rec_thread last;
};

struct threads {
	void *by_tid; /* tsearch tree of struct known */
	uint32_t generation;
	struct report_thread *list; /* of this interval */
	size_t nr;
	size_t capacity;
	uint64_t nr_exited;
	uint64_t rest_state_ns[TP_NR_STATES];
};

struct threads *threads__new(void)
{
	return calloc(1, sizeof(struct threads));
}

void threads__free(struct threads *threads)
{
	if (!threads)
		return;
	tdestroy(threads->by_tid, free);
	free(threads->list);
	free(threads);
}

static int compare_known(const void *a, const void *b)
{
	const struct known *x = a, *y = b;

	return x->tid < y->tid ? -1 : x->tid > y->tid;
}

static struct known *known__find(const struct threads *threads, uint32_t tid)
{
	struct known key = { .tid = tid };
	struct known **found = tfind(&key, &threads->by_tid, compare_known);

	return found ? *found : NULL;
}

static struct known *known__get(struct threads *threads, const struct tp_rec_thread *rec)
{
	struct known *known = known__find(threads, rec->tid);

	if (!known) {
		known = calloc(1, sizeof(*known));
		if (!known)
			return NULL;
		known->tid = rec->tid;
		if (!tsearch(known, &threads->by_tid, compare_known)) {
			free(known);
			return NULL;
		}
	}
	if (known->start_ns != rec->start_ns) {
		memset(&known->last, 0, sizeof(known->last));
		known->last.h.ts_ns = rec->birth_ns;
		known->last.birth_ns = rec->birth_ns;
		known->start_ns = rec->start_ns;
	}
	/* exec(2) in a thread gives it the identity of the leader: its past was reported as its own. */
	if (known->last.birth_ns != rec->birth_ns)
		known->last = *rec;
	return known;
}

static struct report_thread *list__append(struct threads *threads)
{
	struct report_thread *grown =
		array__grow(threads->list, threads->nr, &threads->capacity, sizeof(*grown));

	if (!grown)
		return NULL;
	threads->list = grown;
	return &threads->list[threads->nr++];
}

/*
 * What the kernel side learns later may move time from one state to another, also time of an interval
 * that has been reported. The state that would have less than nothing takes the difference from those
 * that were given it, the largest first, so that the sum holds.
 */
static void settle_moved_time(int64_t delta[TP_NR_STATES])
{
	for (int i = 0; i < TP_NR_STATES; i++) {
		while (delta[i] < 0) {
			int largest = 0;
			int64_t part;

			for (int j = 1; j < TP_NR_STATES; j++) {
				if (delta[j] > delta[largest])
					largest = j;
			}
			if (delta[largest] <= 0) {
				delta[i] = 0;
				break;
			}
			part = delta[largest] < -delta[i] ? delta[largest] : -delta[i];
			delta[largest] -= part;
			delta[i] += part;
		}
	}
}

int threads__on_record(struct threads *threads, const struct tp_rec_thread *rec)
{
	struct known *known = known__get(threads, rec);
	struct report_thread *thread = known ? list__append(threads) : NULL;
	int64_t delta[TP_NR_STATES];

	if (!thread)
		return -ENOMEM;
	memset(thread, 0, sizeof(*thread));
	thread->tid = rec->tid;
	thread->tgid = rec->tgid;
	memcpy(thread->comm, rec->comm, sizeof(thread->comm));
	thread->exited = rec->flags & TP_THREAD_EXITED;
	threads->nr_exited += thread->exited;
	thread->requests = rec->requests - known->last.requests;
	thread->wall_ns = rec->h.ts_ns - known->last.h.ts_ns;
	/* Busy time is known late as well, when a request turns out to go on. */
	thread->busy_ns = rec->busy_ns > known->last.busy_ns ? rec->busy_ns - known->last.busy_ns : 0;
	if (thread->busy_ns > thread->wall_ns)
		thread->busy_ns = thread->wall_ns;
	for (int i = 0; i < TP_NR_STATES; i++)
		delta[i] = rec->state_ns[i] - known->last.state_ns[i];
	settle_moved_time(delta);
	for (int i = 0; i < TP_NR_STATES; i++)
		thread->state_ns[i] = delta[i];
	known->last = *rec;
	known->generation = threads->generation;
	return 0;
}

/* Time in the states that something can be done about. */
static uint64_t telling_ns(const struct report_thread *thread)
{
	return thread->wall_ns - thread->state_ns[TP_IDLE] - thread->state_ns[TP_SLEEP] -
	       thread->state_ns[TP_OTHER];
}

static int busiest_first(const void *a, const void *b)
{
	const struct report_thread *x = a, *y = b;
	bool serves_x = x->busy_ns > 0, serves_y = y->busy_ns > 0;
	uint64_t nx = telling_ns(x), ny = telling_ns(y);

	if (serves_x != serves_y)
		return serves_y - serves_x;
	if (nx != ny)
		return nx < ny ? 1 : -1;
	return x->tid < y->tid ? -1 : x->tid > y->tid;
}

void threads__report(struct threads *threads, struct report *report)
{
	array__sort(threads->list, threads->nr, sizeof(*threads->list), busiest_first);
	memset(threads->rest_state_ns, 0, sizeof(threads->rest_state_ns));
	report->have_threads = true;
	report->nr_exited = threads->nr_exited;
	report->nr_threads = threads->nr - threads->nr_exited;
	report->threads = threads->list;
	report->nr_listed = threads->nr < THREADS_MAX_LISTED ? threads->nr : THREADS_MAX_LISTED;
	report->rest_threads = threads->nr - report->nr_listed;
	for (size_t i = 0; i < threads->nr; i++) {
		const struct report_thread *thread = &threads->list[i];

		report->active += thread->requests || thread->busy_ns;
		report->busy_ns += thread->busy_ns;
		report->wall_ns += thread->wall_ns;
		for (int j = 0; j < TP_NR_STATES; j++) {
			report->state_ns[j] += thread->state_ns[j];
			if (i >= report->nr_listed)
				report->rest_state_ns[j] += thread->state_ns[j];
		}
	}
}

struct stale_walk {
	uint32_t generation;
	struct known **stale;
	size_t nr;
	size_t capacity;
};

static void find_stale(const void *node, VISIT visit, void *context)
{
	struct stale_walk *walk = context;
	struct known *known = *(struct known *const *)node;

	struct known **grown;

	/* The end of a thread may be told an interval after it was seen last. */
	if ((visit != postorder && visit != leaf) || walk->generation - known->generation < 2)
		return;
	grown = array__grow(walk->stale, walk->nr, &walk->capacity, sizeof(*grown));
	if (!grown)
		return; /* they go at the end of the next interval */
	walk->stale = grown;
	walk->stale[walk->nr++] = known;
}

void threads__next(struct threads *threads)
{
	struct stale_walk walk = { .generation = threads->generation };

	twalk_r(threads->by_tid, find_stale, &walk);
	for (size_t i = 0; i < walk.nr; i++) {
		tdelete(walk.stale[i], &threads->by_tid, compare_known);
		free(walk.stale[i]);
	}
	free(walk.stale);
	threads->generation++;
	threads->nr = 0;
	threads->nr_exited = 0;
}

uint32_t threads__tid_of(const struct threads *threads, uint32_t tgid, uint32_t own_tid)
{
	bool is_elsewhere = false;

	for (size_t i = 0; i < threads->nr; i++) {
		const struct known *known = known__find(threads, threads->list[i].tid);

		if (!known || known->last.tgid != tgid)
			continue;
		if (known->last.own_tid == own_tid)
			return known->tid;
		is_elsewhere = is_elsewhere || (known->last.own_tid && known->last.own_tid != known->tid);
	}
	/* One of a process that shares the lock, or one that has ended. */
	return is_elsewhere ? 0 : own_tid;
}

const char *threads__comm(const struct threads *threads, uint32_t tid)
{
	const struct known *known = known__find(threads, tid);

	return known ? known->last.comm : NULL;
}
