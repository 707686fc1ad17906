// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "snoop_summary.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ENTRIES 65536
#define THE_REST "(others)"

static struct summary_entry *find(const struct table *table, const char *name, uint64_t hash)
{
	struct table_node *node = table__find(table, hash);

	for (; node; node = table__find_next(node)) {
		struct summary_entry *entry = TABLE_ENTRY(node, struct summary_entry, node);

		if (!strcmp(entry->name, name))
			return entry;
	}
	return NULL;
}

static int add(struct table *table, const char *from, uint32_t pid, uint64_t cpu_ns)
{
	char name[SUMMARY_MAX_NAME];
	struct summary_entry *entry;
	uint64_t hash;

	snprintf(name, sizeof(name), "%s", table->nr < MAX_ENTRIES ? from : THE_REST);
	hash = table__hash(TABLE_HASH_INIT, name, strlen(name));
	entry = find(table, name, hash);
	if (!entry) {
		entry = calloc(1, sizeof(*entry));
		if (!entry || table__insert(table, &entry->node, hash)) {
			free(entry);
			return -ENOMEM;
		}
		memcpy(entry->name, name, sizeof(name));
		entry->pid = pid;
	}
	if (entry->pid != pid)
		entry->pid = 0;
	entry->count++;
	if (cpu_ns != PROCESS_UNKNOWN)
		entry->cpu_ns += cpu_ns;
	return 0;
}

int snoop_summary__add(struct snoop_summary *summary, const struct process_event *event)
{
	const struct process *list[PROCESS_MAX_ANCESTORS], *process = event->process;
	size_t nr = process__ancestry(process, list);
	const struct process *launcher = nr ? list[nr - 1] : NULL, *root = nr ? list[0] : NULL;
	int err;

	summary->processes++;
	if (event->cpu_ns != PROCESS_UNKNOWN)
		summary->cpu_ns += event->cpu_ns;
	err = add(&summary->exes, process__exe(process), 0, event->cpu_ns);
	if (!err)
		err = add(&summary->launchers, launcher ? launcher->comm : "init or unknown",
			  launcher ? launcher->tgid : process->ppid, event->cpu_ns);
	if (!err)
		err = add(&summary->roots, root ? root->comm : "init or unknown",
			  root ? root->tgid : process->ppid, event->cpu_ns);
	return err;
}

static void free_entries(struct table *table)
{
	struct table_node *node;

	while ((node = table__take(table)))
		free(TABLE_ENTRY(node, struct summary_entry, node));
}

void snoop_summary__free(struct snoop_summary *summary)
{
	free_entries(&summary->exes);
	free_entries(&summary->launchers);
	free_entries(&summary->roots);
}

/*
 * Is @a to be listed before @b? Names decide between equals, so that the order is always the same.
 */
static bool comes_first(const struct summary_entry *a, const struct summary_entry *b,
			enum summary_what what)
{
	uint64_t x = what == SUMMARY_BY_CPU ? a->cpu_ns : a->count;
	uint64_t y = what == SUMMARY_BY_CPU ? b->cpu_ns : b->count;

	return x != y ? x > y : strcmp(a->name, b->name) < 0;
}

size_t snoop_summary__top(const struct snoop_summary *summary, enum summary_what what,
			  const struct summary_entry *list[SUMMARY_TOP])
{
	const struct table *table = what == SUMMARY_LAUNCHERS ? &summary->launchers
				    : what == SUMMARY_ROOTS   ? &summary->roots
							      : &summary->exes;
	size_t nr = 0;

	for (size_t i = 0; i < table->nr_slots; i++) {
		const struct table_node *node = table->slots[i];

		for (; node; node = node->next) {
			const struct summary_entry *entry =
				TABLE_ENTRY(node, struct summary_entry, node);
			size_t at = nr < SUMMARY_TOP ? nr++ : SUMMARY_TOP;

			for (; at && comes_first(entry, list[at - 1], what); at--) {
				if (at < SUMMARY_TOP)
					list[at] = list[at - 1];
			}
			if (at < SUMMARY_TOP)
				list[at] = entry;
		}
	}
	return nr;
}
