/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * A hash table of nodes that lie inside other structures, several of one hash allowed:
 *
 *	for (node = table__find(&table, hash); node; node = table__find_next(node))
 *
 * Zeroed memory is an empty table. The table owns its slots, never the nodes.
 */
#ifndef THREADPROF_TABLE_H
#define THREADPROF_TABLE_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define TABLE_ENTRY(node, type, member) ((type *)((char *)(node)-offsetof(type, member)))

struct table_node {
	struct table_node *next;
	uint64_t hash;
};

struct table {
	struct table_node **slots;
	size_t nr_slots; /* 0 or a power of two */
	size_t nr;
};

/* FNV-1a, to be continued: start with TABLE_HASH_INIT. */
#define TABLE_HASH_INIT 0xcbf29ce484222325ULL

static inline uint64_t table__hash(uint64_t hash, const void *data, size_t size)
{
	const unsigned char *bytes = data;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3ULL;
	return hash;
}

static inline struct table_node *table__match(struct table_node *node, uint64_t hash)
{
	while (node && node->hash != hash)
		node = node->next;
	return node;
}

static inline struct table_node *table__find(const struct table *table, uint64_t hash)
{
	if (!table->nr_slots)
		return NULL;
	return table__match(table->slots[hash & (table->nr_slots - 1)], hash);
}

static inline struct table_node *table__find_next(const struct table_node *node)
{
	return table__match(node->next, node->hash);
}

static inline void table__link(struct table_node **slots, size_t nr_slots, struct table_node *node)
{
	struct table_node **slot = &slots[node->hash & (nr_slots - 1)];

	node->next = *slot;
	*slot = node;
}

/* Puts @node in. Returns 0, or -ENOMEM and does nothing. */
static inline int table__insert(struct table *table, struct table_node *node, uint64_t hash)
{
	if (table->nr >= table->nr_slots) {
		size_t nr_slots = table->nr_slots ? 2 * table->nr_slots : 64;
		struct table_node **slots = calloc(nr_slots, sizeof(*slots)), *next;

		if (!slots)
			return -ENOMEM;
		for (size_t i = 0; i < table->nr_slots; i++) {
			for (struct table_node *old = table->slots[i]; old; old = next) {
				next = old->next;
				table__link(slots, nr_slots, old);
			}
		}
		free(table->slots);
		table->slots = slots;
		table->nr_slots = nr_slots;
	}
	node->hash = hash;
	table__link(table->slots, table->nr_slots, node);
	table->nr++;
	return 0;
}

/* Takes out @node, which must be in. */
static inline void table__remove(struct table *table, struct table_node *node)
{
	struct table_node **at = &table->slots[node->hash & (table->nr_slots - 1)];

	while (*at != node)
		at = &(*at)->next;
	*at = node->next;
	table->nr--;
}

/* Takes out and returns any node; NULL when there is none left, and the memory is given back. */
static inline struct table_node *table__take(struct table *table)
{
	for (size_t i = 0; i < table->nr_slots; i++) {
		struct table_node *node = table->slots[i];

		if (node) {
			table__remove(table, node);
			return node;
		}
	}
	free(table->slots);
	*table = (struct table){ 0 };
	return NULL;
}

#endif /* THREADPROF_TABLE_H */
