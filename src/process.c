// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "process.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PID_KTHREADD 2 /* init is 1, and the idle task 0 */

struct processes {
	struct table table; /* the living ones, by tgid: there is at most one of each */
	struct process *ended; /* of the last event */
	char path[SNOOP_NAME_BYTES];
	uint64_t nr_missed_ends;
	uint64_t sweep;
};

static uint64_t hash_of(uint32_t tgid)
{
	return table__hash(TABLE_HASH_INIT, &tgid, sizeof(tgid));
}

/* --- life of the structures --- */

static void image__put(struct process_image *image)
{
	if (!image || --image->refs)
		return;
	free(image->exe);
	free(image->args);
	free(image);
}

static void process__put(struct process *process)
{
	while (process && !--process->refs) {
		struct process *parent = process->parent;

		image__put(process->image);
		free(process);
		process = parent;
	}
}

struct processes *processes__new(void)
{
	return calloc(1, sizeof(struct processes));
}

void processes__free(struct processes *processes)
{
	struct table_node *node;

	if (!processes)
		return;
	process__put(processes->ended);
	while ((node = table__take(&processes->table)))
		process__put(TABLE_ENTRY(node, struct process, node));
	free(processes);
}

struct process *processes__find(const struct processes *processes, uint32_t tgid)
{
	struct table_node *node = table__find(&processes->table, hash_of(tgid));

	for (; node; node = table__find_next(node)) {
		struct process *process = TABLE_ENTRY(node, struct process, node);

		if (process->tgid == tgid)
			return process;
	}
	return NULL;
}

void processes__each(const struct processes *processes,
		     void (*fn)(void *context, struct process *process), void *context)
{
	for (size_t i = 0; i < processes->table.nr_slots; i++) {
		struct table_node *node = processes->table.slots[i];

		for (; node; node = node->next)
			fn(context, TABLE_ENTRY(node, struct process, node));
	}
}

static struct process *add(struct processes *processes, uint32_t tgid, uint64_t start_ns,
			   const char comm[TP_COMM_LEN])
{
	struct process *process = calloc(1, sizeof(*process));

	if (!process)
		return NULL;
	process->refs = 1;
	process->tgid = tgid;
	process->start_ns = start_ns;
	process->sweep = processes->sweep;
	memcpy(process->comm, comm, TP_COMM_LEN);
	if (table__insert(&processes->table, &process->node, hash_of(tgid))) {
		free(process);
		return NULL;
	}
	return process;
}

static void take_out(struct processes *processes, struct process *process)
{
	table__remove(&processes->table, &process->node);
	process__put(processes->ended);
	processes->ended = process;
}

/* --- who made whom --- */

/* Dead makers are kept only for their descendants' sake, and only so many of them. */
static void trim_ancestry(struct process *process)
{
	for (int i = 0; i < PROCESS_MAX_ANCESTORS && process; i++)
		process = process->parent;
	if (process && process->parent) {
		process__put(process->parent);
		process->parent = NULL;
	}
}

/*
 * The living process of this identity. One of the same pid that began earlier has ended unseen;
 * one that began later is not what is asked for.
 */
static struct process *find_exactly(struct processes *processes, uint32_t tgid, uint64_t start_ns)
{
	struct process *process = processes__find(processes, tgid);

	if (!process || process->start_ns == start_ns)
		return process;
	if (process->start_ns < start_ns) {
		processes->nr_missed_ends++;
		take_out(processes, process);
	}
	return NULL;
}

static int link_parent(struct processes *processes, struct process *process,
		       const struct snoop_process *p)
{
	struct process *parent;

	process->ppid = p->ppid;
	if (p->ppid <= PID_KTHREADD)
		return 0;
	parent = find_exactly(processes, p->ppid, p->parent_start_ns);
	if (!parent)
		parent = add(processes, p->ppid, p->parent_start_ns, p->parent_comm);
	if (!parent)
		return -ENOMEM;
	/* It may have renamed itself. */
	memcpy(parent->comm, p->parent_comm, TP_COMM_LEN);
	parent->refs++;
	process->parent = parent;
	process->followed = parent->followed;
	trim_ancestry(process);
	return 0;
}

/*
 * The process of the record, made known if it was not; what changes over its life is brought up to
 * date.
 */
static struct process *meet(struct processes *processes, const struct snoop_process *p)
{
	struct process *process = find_exactly(processes, p->tgid, p->start_ns);

	if (!process)
		process = add(processes, p->tgid, p->start_ns, p->comm);
	if (!process)
		return NULL;
	/* One that was known only as somebody's parent has no parent yet. */
	if (!process->ppid && link_parent(processes, process, p))
		return NULL;
	process->sweep = processes->sweep;
	memcpy(process->comm, p->comm, TP_COMM_LEN);
	process->uid = p->uid;
	if (p->cgroup_id)
		process->cgroup_id = p->cgroup_id;
	return process;
}

bool processes__follow(struct processes *processes, uint32_t tgid)
{
	struct process *root = processes__find(processes, tgid);

	if (!root)
		return false;
	root->followed = true;
	for (size_t i = 0; i < processes->table.nr_slots; i++) {
		struct table_node *node = processes->table.slots[i];

		for (; node; node = node->next) {
			struct process *process = TABLE_ENTRY(node, struct process, node);
			const struct process *at = process;

			while (at && at != root)
				at = at->parent;
			process->followed |= at == root;
		}
	}
	return true;
}

uint64_t processes__nr_missed_ends(const struct processes *processes)
{
	return processes->nr_missed_ends;
}

void processes__begin_sweep(struct processes *processes)
{
	processes->sweep++;
}

void processes__end_sweep(struct processes *processes, void (*fn)(struct process *process))
{
	for (size_t i = 0; i < processes->table.nr_slots; i++) {
		struct table_node *node = processes->table.slots[i], *next;

		for (; node; node = next) {
			struct process *process = TABLE_ENTRY(node, struct process, node);

			next = node->next;
			if (process->sweep == processes->sweep)
				continue;
			/* One that is known only as somebody's maker may be a kernel thread, of which nothing is heard. */
			processes->nr_missed_ends += process->ppid > 0;
			fn(process);
			take_out(processes, process);
		}
	}
}

size_t process__ancestry(const struct process *process,
			 const struct process *list[PROCESS_MAX_ANCESTORS])
{
	const struct process *at;
	size_t nr = 0, i;

	for (at = process->parent; at && nr < PROCESS_MAX_ANCESTORS; at = at->parent)
		nr++;
	for (at = process->parent, i = nr; i; at = at->parent)
		list[--i] = at;
	return nr;
}

/* --- images --- */

const char *process__exe(const struct process *process)
{
	return process->image && process->image->exe ? process->image->exe : process->comm;
}

static char *copy(const char *from, size_t bytes)
{
	char *to = malloc(bytes + 1);

	if (!to)
		return NULL;
	memcpy(to, from, bytes);
	to[bytes] = '\0';
	return to;
}

int process__set_image(struct process *process, const char *exe, const char *args,
		       size_t args_bytes, bool args_cut)
{
	struct process_image *image = calloc(1, sizeof(*image));

	if (!image)
		return -ENOMEM;
	image->refs = 1;
	image->exe = exe ? copy(exe, strlen(exe)) : NULL;
	image->args = args ? copy(args, args_bytes) : NULL;
	image->args_bytes = args_bytes;
	image->args_cut = args_cut;
	if ((exe && !image->exe) || (args && !image->args)) {
		image__put(image);
		return -ENOMEM;
	}
	image__put(process->image);
	process->image = image;
	return 0;
}

#define PATH_SIZE (sizeof("...") + SNOOP_EXE_BYTES + SNOOP_NAME_BYTES + 1)

/* Puts a path together from its parts, of which the last comes first; false if there is none. */
static bool join_path(const struct snoop_rec_exec *rec, char path[PATH_SIZE])
{
	size_t end = rec->exe_bytes, at = 0;

	if (!end || rec->exe[end - 1])
		return false;
	if (rec->flags & SNOOP_EXE_CUT) {
		memcpy(path, "...", 3);
		at = 3;
	}
	while (end) {
		size_t begin = end - 1;

		while (begin && rec->exe[begin - 1])
			begin--;
		if (!(rec->flags & SNOOP_EXE_LOOSE))
			path[at++] = '/';
		memcpy(path + at, rec->exe + begin, end - begin - 1);
		at += end - begin - 1;
		end = begin;
	}
	path[at] = '\0';
	return true;
}

/* --- records --- */

static int apply_fork(struct processes *processes, const struct snoop_rec *rec,
		      struct process_event *event)
{
	struct process *process = meet(processes, &rec->p);

	if (!process)
		return -ENOMEM;
	if (process->parent && !process->image && process->parent->image) {
		process->image = process->parent->image;
		process->image->refs++;
	}
	event->process = process;
	event->what = rec->h.kind == SNOOP_REC_FORK ? PROCESS_FORKED : PROCESS_NOTHING;
	return 0;
}

static int apply_exec(struct processes *processes, const struct snoop_rec_exec *rec,
		      struct process_event *event)
{
	size_t room = rec->h.size - sizeof(*rec);
	char path[PATH_SIZE];
	bool has_args = !(rec->flags & SNOOP_ARGS_UNREAD);
	struct process *process;

	if (rec->exe_bytes > sizeof(rec->exe) || rec->args_bytes > room)
		return -EPROTO;
	process = meet(processes, &rec->p);
	if (!process)
		return -ENOMEM;
	event->process = process;
	event->what = PROCESS_EXECED;
	process->execs++;
	return process__set_image(process, join_path(rec, path) ? path : NULL,
				  has_args ? rec->args : NULL, rec->args_bytes,
				  rec->args_total > rec->args_bytes);
}

static int apply_failed(struct processes *processes, const struct snoop_rec_failed *rec,
			struct process_event *event)
{
	struct process *process = meet(processes, &rec->p);

	if (!process)
		return -ENOMEM;
	if (rec->path_bytes > sizeof(rec->path))
		return -EPROTO;
	memcpy(processes->path, rec->path, sizeof(rec->path));
	processes->path[sizeof(rec->path) - 1] = '\0';
	event->process = process;
	event->what = PROCESS_EXEC_FAILED;
	event->error = rec->error;
	event->path = rec->path_bytes ? processes->path : NULL;
	return 0;
}

static int apply_exit(struct processes *processes, const struct snoop_rec_exit *rec,
		      struct process_event *event)
{
	struct process *process = meet(processes, &rec->p);

	if (!process)
		return -ENOMEM;
	take_out(processes, process);
	event->process = process;
	event->what = PROCESS_ENDED;
	event->life_ns = rec->h.ts_ns > rec->p.start_ns ? rec->h.ts_ns - rec->p.start_ns : 0;
	event->cpu_ns = rec->flags & (SNOOP_CPU_CUT | SNOOP_CPU_UNSEEN) ? PROCESS_UNKNOWN : rec->cpu_ns;
	event->status = rec->status;
	return 0;
}

static size_t size_of(const struct tp_rec *rec)
{
	switch (rec->kind) {
	case SNOOP_REC_FORK:
	case SNOOP_REC_LIVING:
		return sizeof(struct snoop_rec);
	case SNOOP_REC_EXEC:
		return sizeof(struct snoop_rec_exec);
	case SNOOP_REC_FAILED:
		return sizeof(struct snoop_rec_failed);
	case SNOOP_REC_EXIT:
		return sizeof(struct snoop_rec_exit);
	default:
		return SIZE_MAX;
	}
}

int processes__apply(struct processes *processes, const struct tp_rec *rec,
		     struct process_event *event)
{
	*event = (struct process_event){ .ts_ns = rec->ts_ns };
	if (rec->size < size_of(rec))
		return -EPROTO;
	switch (rec->kind) {
	case SNOOP_REC_EXEC:
		return apply_exec(processes, (const struct snoop_rec_exec *)rec, event);
	case SNOOP_REC_FAILED:
		return apply_failed(processes, (const struct snoop_rec_failed *)rec, event);
	case SNOOP_REC_EXIT:
		return apply_exit(processes, (const struct snoop_rec_exit *)rec, event);
	default:
		return apply_fork(processes, (const struct snoop_rec *)rec, event);
	}
}
