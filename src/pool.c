// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "pool.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "array.h"

struct member {
	uint32_t tgid;
	char family[TP_COMM_LEN]; /* the name with each run of digits as one '#' */
	bool served;
	uint32_t requests;
	uint64_t sp;
};

struct pools {
	struct member *list;
	size_t nr;
	size_t capacity;
	uint64_t *stacks;
	size_t nr_stacks;
	size_t stacks_capacity;
};

struct pools *pools__new(void)
{
	return calloc(1, sizeof(struct pools));
}

void pools__free(struct pools *pools)
{
	if (!pools)
		return;
	free(pools->list);
	free(pools->stacks);
	free(pools);
}

static void family_of(char family[TP_COMM_LEN], const char comm[TP_COMM_LEN])
{
	size_t length = 0;

	memset(family, 0, TP_COMM_LEN);
	for (size_t i = 0; i < TP_COMM_LEN && comm[i]; i++) {
		bool digit = isdigit((unsigned char)comm[i]);

		if (!digit || !length || family[length - 1] != '#')
			family[length++] = digit ? '#' : comm[i];
	}
}

int pools__on_thread(struct pools *pools, const struct tp_rec_thread *rec)
{
	bool served = rec->requests || rec->busy_ns || rec->in_hand;
	struct member *grown;

	/* The first thread starts the others: it is of the pool only if it serves. */
	if (rec->tid == rec->tgid && !served)
		return 0;
	grown = array__grow(pools->list, pools->nr, &pools->capacity, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	pools->list = grown;
	grown = &pools->list[pools->nr++];
	*grown = (struct member){ .tgid = rec->tgid, .served = served, .requests = rec->requests,
				  .sp = rec->user_sp };
	family_of(grown->family, rec->comm);
	return 0;
}

static int by_family(const void *a, const void *b)
{
	const struct member *x = a, *y = b;

	if (x->tgid != y->tgid)
		return x->tgid < y->tgid ? -1 : 1;
	return memcmp(x->family, y->family, sizeof(x->family));
}

static struct report_pool pool_of(const struct member *first, const struct member *end)
{
	struct report_pool pool = { .tgid = first->tgid, .stack_bytes = TP_UNKNOWN, .reserved_bytes = TP_UNKNOWN };

	memcpy(pool.name, first->family, sizeof(pool.name));
	for (; first < end; first++) {
		pool.threads++;
		pool.unused += !first->served;
		pool.requests += first->requests;
	}
	return pool;
}

static void remember_stacks(struct pools *pools, const struct member *first, const struct member *end)
{
	pools->nr_stacks = 0;
	for (; first < end; first++) {
		uint64_t *grown;

		if (first->served || !first->sp)
			continue;
		grown = array__grow(pools->stacks, pools->nr_stacks, &pools->stacks_capacity, sizeof(*grown));
		if (!grown)
			return; /* then their memory is that of those that were looked at */
		pools->stacks = grown;
		grown[pools->nr_stacks++] = first->sp;
	}
}

void pools__report(struct pools *pools, struct report *report)
{
	size_t first = 0;

	array__sort(pools->list, pools->nr, sizeof(*pools->list), by_family);
	for (size_t i = 1; i <= pools->nr; i++) {
		struct report_pool pool;

		if (i < pools->nr && !by_family(&pools->list[first], &pools->list[i]))
			continue;
		pool = pool_of(&pools->list[first], &pools->list[i]);
		if (pool.unused < pool.threads && pool.unused > report->pool.unused) {
			report->pool = pool;
			remember_stacks(pools, &pools->list[first], &pools->list[i]);
		}
		first = i;
	}
}

const uint64_t *pools__unused_stacks(const struct pools *pools, size_t *count)
{
	*count = pools->nr_stacks;
	return pools->stacks;
}

void pools__next(struct pools *pools)
{
	pools->nr = 0;
	pools->nr_stacks = 0;
}
