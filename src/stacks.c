// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "stacks.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "array.h"
#include "site.h"
#include "table.h"
#include "unwind.h"

#define NR_SLOTS 32
/* Stacks known at a time; above, those that are named anew are not kept for the next interval. */
#define MAX_KNOWN 2048
#define MAX_INLINED 8
#define END_PATIENCE_S 1

/* One way to get somewhere. */
struct stack {
	struct table_node node; /* in known */
	uint32_t tgid;
	size_t nr_pcs;
	uint64_t *pcs;
	size_t site; /* index of the frame that says it */
	size_t nr_frames;
	char **frames;
	uint64_t state_ns[TP_NR_STATES]; /* waited with it since the start; see stacks__keep() */
};

/* Waits for a lock with one stack, in this interval. */
struct share {
	uint64_t addr;
	uint32_t tgid;
	uint32_t kind;
	uint64_t ns;
	const struct stack *stack;
};

struct stacks {
	struct names *names;
	pthread_t thread;
	pthread_mutex_t mutex; /* of all below */
	pthread_cond_t changed;
	struct tp_rec_stack *slots; /* a ring: the first nr_queued from first on are waiting */
	size_t first;
	size_t nr_queued;
	bool busy; /* with one that is not queued any more */
	bool ended;
	struct table known;
	bool keeps;
	uint64_t rest_ns[TP_NR_STATES]; /* of stacks that are not kept */
	struct share *shares;
	size_t nr_shares;
	size_t shares_capacity;
};

static uint64_t hash_stack(uint32_t tgid, const uint64_t *pcs, size_t nr)
{
	return table__hash(table__hash(TABLE_HASH_INIT, &tgid, sizeof(tgid)), pcs, nr * sizeof(*pcs));
}

static void stack__free(struct stack *stack)
{
	for (size_t i = 0; i < stack->nr_frames; i++)
		free(stack->frames[i]);
	free(stack->frames);
	free(stack->pcs);
	free(stack);
}

/* --- the thread's work --- */

static int add_frame(struct stack *stack, size_t *capacity, const struct symbols_frame *frame, bool *has_site)
{
	char text[sizeof(((struct report_lock *)0)->site)];
	char **grown = array__grow(stack->frames, stack->nr_frames, capacity, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	stack->frames = grown;
	site__format(frame, text, sizeof(text));
	grown[stack->nr_frames] = strdup(text);
	if (!grown[stack->nr_frames])
		return -ENOMEM;
	if (!*has_site && !site__is_internal(frame)) {
		stack->site = stack->nr_frames;
		*has_site = true;
	}
	stack->nr_frames++;
	return 0;
}

static int name_frames(struct names *names, struct stack *stack)
{
	struct symbols_frame frames[MAX_INLINED];
	size_t capacity = 0;
	bool has_site = false;

	for (size_t i = 0; i < stack->nr_pcs; i++) {
		int count = names__frames(names, stack->tgid, stack->pcs[i], frames, MAX_INLINED);

		if (count <= 0) {
			memset(frames, 0, sizeof(*frames));
			count = 1;
		}
		for (int j = 0; j < count; j++) {
			if (add_frame(stack, &capacity, &frames[j], &has_site))
				return -ENOMEM;
		}
	}
	return 0;
}

/* NULL when there is no memory. */
static struct stack *new_stack(struct names *names, uint32_t tgid, const uint64_t *pcs, size_t nr)
{
	struct stack *stack = calloc(1, sizeof(*stack));

	if (!stack)
		return NULL;
	stack->tgid = tgid;
	stack->nr_pcs = nr;
	stack->pcs = calloc(nr, sizeof(*pcs));
	if (stack->pcs) {
		memcpy(stack->pcs, pcs, nr * sizeof(*pcs));
		if (!name_frames(names, stack))
			return stack;
	}
	stack__free(stack);
	return NULL;
}

static struct stack *find_stack(struct stacks *stacks, uint32_t tgid, const uint64_t *pcs, size_t nr, uint64_t hash)
{
	struct table_node *node = table__find(&stacks->known, hash);

	for (; node; node = table__find_next(node)) {
		struct stack *stack = TABLE_ENTRY(node, struct stack, node);

		if (stack->tgid == tgid && stack->nr_pcs == nr && !memcmp(stack->pcs, pcs, nr * sizeof(*pcs)))
			return stack;
	}
	return NULL;
}

static bool is_share_of(const struct share *share, uint32_t tgid, uint32_t kind, uint64_t addr)
{
	/* the words of a GIL are one lock, as in the report */
	return share->tgid == tgid && share->kind == kind && (share->addr == addr || kind == TP_LOCK_GIL);
}

/* What there is no memory for is not attributed. */
static void add_share(struct stacks *stacks, const struct tp_rec_stack *rec, const struct stack *stack)
{
	struct share *grown;

	for (size_t i = 0; i < stacks->nr_shares; i++) {
		struct share *share = &stacks->shares[i];

		if (share->stack == stack && is_share_of(share, rec->tgid, rec->kind, rec->addr)) {
			share->ns += rec->lock_ns;
			return;
		}
	}
	grown = array__grow(stacks->shares, stacks->nr_shares, &stacks->shares_capacity, sizeof(*grown));
	if (!grown)
		return;
	stacks->shares = grown;
	grown[stacks->nr_shares++] = (struct share){
		.addr = rec->addr, .tgid = rec->tgid, .kind = rec->kind, .ns = rec->lock_ns, .stack = stack,
	};
}

/* One that is not known yet, and whether it may become known. */
static struct stack *add_stack(struct stacks *stacks, struct stack *stack, uint64_t hash)
{
	bool full = stacks->keeps && stacks->known.nr >= STACKS_MAX_KEPT;

	if (!full && !table__insert(&stacks->known, &stack->node, hash))
		return stack;
	stack__free(stack);
	return NULL;
}

static void work_on(struct stacks *stacks, const struct tp_rec_stack *rec)
{
	uint64_t pcs[UNWIND_MAX];
	size_t nr = names__unwind(stacks->names, rec, pcs);
	uint64_t hash = hash_stack(rec->tgid, pcs, nr);
	struct stack *stack;

	if (!nr)
		return; /* of a process that is gone */
	pthread_mutex_lock(&stacks->mutex);
	stack = find_stack(stacks, rec->tgid, pcs, nr, hash);
	pthread_mutex_unlock(&stacks->mutex);
	if (!stack)
		stack = new_stack(stacks->names, rec->tgid, pcs, nr);
	if (!stack)
		return;
	pthread_mutex_lock(&stacks->mutex);
	if (!find_stack(stacks, rec->tgid, pcs, nr, hash))
		stack = add_stack(stacks, stack, hash);
	if (stack && rec->lock_ns)
		add_share(stacks, rec, stack);
	if (stacks->keeps && rec->state < TP_NR_STATES)
		(stack ? stack->state_ns : stacks->rest_ns)[rec->state] += rec->wait_ns;
	pthread_mutex_unlock(&stacks->mutex);
}

static void *work(void *context)
{
	struct stacks *stacks = context;
	struct tp_rec_stack *rec = malloc(sizeof(*rec));

	pthread_mutex_lock(&stacks->mutex);
	while (!stacks->ended && rec) {
		if (!stacks->nr_queued) {
			pthread_cond_wait(&stacks->changed, &stacks->mutex);
			continue;
		}
		memcpy(rec, &stacks->slots[stacks->first], sizeof(*rec));
		stacks->first = (stacks->first + 1) % NR_SLOTS;
		stacks->nr_queued--;
		stacks->busy = true;
		pthread_mutex_unlock(&stacks->mutex);
		work_on(stacks, rec);
		pthread_mutex_lock(&stacks->mutex);
		stacks->busy = false;
		pthread_cond_broadcast(&stacks->changed);
	}
	pthread_mutex_unlock(&stacks->mutex);
	free(rec);
	return NULL;
}

/* --- for the reader of the ring buffer --- */

int stacks__new(struct names *names, struct stacks **out)
{
	struct stacks *stacks = calloc(1, sizeof(*stacks));
	pthread_condattr_t monotonic;
	int err;

	if (!stacks)
		return -ENOMEM;
	stacks->names = names;
	stacks->slots = malloc(NR_SLOTS * sizeof(*stacks->slots));
	pthread_mutex_init(&stacks->mutex, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&stacks->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	err = stacks->slots ? pthread_create(&stacks->thread, NULL, work, stacks) : ENOMEM;
	if (!err) {
		*out = stacks;
		return 0;
	}
	pthread_cond_destroy(&stacks->changed);
	pthread_mutex_destroy(&stacks->mutex);
	free(stacks->slots);
	free(stacks);
	return -err;
}

static void forget_stacks(struct stacks *stacks)
{
	for (size_t i = 0; i < stacks->known.nr_slots; i++) {
		struct table_node *node = stacks->known.slots[i], *next;

		for (; node; node = next) {
			next = node->next;
			stack__free(TABLE_ENTRY(node, struct stack, node));
		}
	}
	free(stacks->known.slots);
	memset(&stacks->known, 0, sizeof(stacks->known));
}

static bool has_ended(struct stacks *stacks)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += END_PATIENCE_S;
	return !pthread_timedjoin_np(stacks->thread, NULL, &until);
}

bool stacks__free(struct stacks *stacks)
{
	if (!stacks)
		return true;
	pthread_mutex_lock(&stacks->mutex);
	stacks->ended = true;
	pthread_cond_broadcast(&stacks->changed);
	pthread_mutex_unlock(&stacks->mutex);
	if (!has_ended(stacks))
		return false;
	forget_stacks(stacks);
	pthread_cond_destroy(&stacks->changed);
	pthread_mutex_destroy(&stacks->mutex);
	free(stacks->shares);
	free(stacks->slots);
	free(stacks);
	return true;
}

unsigned int stacks__room(struct stacks *stacks)
{
	size_t queued;

	pthread_mutex_lock(&stacks->mutex);
	queued = stacks->nr_queued;
	pthread_mutex_unlock(&stacks->mutex);
	return NR_SLOTS - queued;
}

void stacks__submit(struct stacks *stacks, const struct tp_rec_stack *rec)
{
	pthread_mutex_lock(&stacks->mutex);
	if (stacks->nr_queued < NR_SLOTS) {
		struct tp_rec_stack *slot = &stacks->slots[(stacks->first + stacks->nr_queued++) % NR_SLOTS];

		memcpy(slot, rec, offsetof(struct tp_rec_stack, stack) + rec->bytes);
		pthread_cond_broadcast(&stacks->changed);
	}
	pthread_mutex_unlock(&stacks->mutex);
}

void stacks__settle(struct stacks *stacks, unsigned int timeout_ms)
{
	struct timespec until;
	int err = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += timeout_ms % 1000 * 1000000L;
	until.tv_sec += timeout_ms / 1000 + until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	pthread_mutex_lock(&stacks->mutex);
	while ((stacks->nr_queued || stacks->busy) && !err)
		err = pthread_cond_timedwait(&stacks->changed, &stacks->mutex, &until);
	pthread_mutex_unlock(&stacks->mutex);
}

void stacks__fill(struct stacks *stacks, struct report_lock *lock)
{
	const struct share *most = NULL;

	pthread_mutex_lock(&stacks->mutex);
	for (size_t i = 0; i < stacks->nr_shares; i++) {
		const struct share *share = &stacks->shares[i];

		if (is_share_of(share, lock->tgid, lock->kind, lock->addr) && (!most || share->ns > most->ns))
			most = share;
	}
	if (most && most->stack->nr_frames) {
		snprintf(lock->site, sizeof(lock->site), "%s", most->stack->frames[most->stack->site]);
		lock->stack = (const char *const *)most->stack->frames;
		lock->nr_stack = most->stack->nr_frames;
		if (lock->nr_stack > REPORT_MAX_STACK)
			lock->nr_stack = REPORT_MAX_STACK;
	}
	pthread_mutex_unlock(&stacks->mutex);
}

void stacks__next(struct stacks *stacks)
{
	pthread_mutex_lock(&stacks->mutex);
	stacks->nr_shares = 0;
	if (stacks->known.nr > MAX_KNOWN && !stacks->busy && !stacks->keeps)
		forget_stacks(stacks);
	pthread_mutex_unlock(&stacks->mutex);
}

void stacks__keep(struct stacks *stacks)
{
	pthread_mutex_lock(&stacks->mutex);
	stacks->keeps = true;
	pthread_mutex_unlock(&stacks->mutex);
}

void stacks__each(struct stacks *stacks, stacks_fn fn, void *context)
{
	pthread_mutex_lock(&stacks->mutex);
	for (size_t i = 0; i < stacks->known.nr_slots; i++) {
		for (struct table_node *node = stacks->known.slots[i]; node; node = node->next) {
			const struct stack *stack = TABLE_ENTRY(node, struct stack, node);

			fn(context, stack->frames, stack->nr_frames, stack->state_ns);
		}
	}
	fn(context, NULL, 0, stacks->rest_ns);
	pthread_mutex_unlock(&stacks->mutex);
}
