// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "names.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "array.h"
#include "elf_file.h"
#include "image.h"
#include "site.h"
#include "symbols.h"
#include "unwind.h"

struct process {
	uint32_t tgid;
	struct symbols *symbols; /* NULL: not looked at yet, or gone before we could */
	struct unwinder *unwinder; /* NULL: not needed yet */
	uint64_t version;	   /* of symbols, that unwinder was made from */
	bool stale;		   /* symbols are of an earlier interval */
};

struct names {
	pthread_mutex_t mutex; /* of all that has to do with symbols */
	struct process *processes;
	size_t nr;
	size_t capacity;
	struct tp_range *ranges;
	size_t nr_ranges;
	size_t ranges_capacity;
};

struct names *names__new(void)
{
	struct names *names = calloc(1, sizeof(*names));

	if (names)
		pthread_mutex_init(&names->mutex, NULL);
	return names;
}

static void process__free(struct process *process)
{
	unwinder__free(process->unwinder);
	symbols__free(process->symbols);
}

void names__free(struct names *names)
{
	if (!names)
		return;
	for (size_t i = 0; i < names->nr; i++)
		process__free(&names->processes[i]);
	pthread_mutex_destroy(&names->mutex);
	free(names->processes);
	free(names->ranges);
	free(names);
}

static struct process *process__get(struct names *names, uint32_t tgid)
{
	struct process *grown;

	for (size_t i = 0; i < names->nr; i++) {
		if (names->processes[i].tgid == tgid)
			return &names->processes[i];
	}
	grown = array__grow(names->processes, names->nr, &names->capacity, sizeof(*grown));
	if (!grown)
		return NULL;
	names->processes = grown;
	grown = &grown[names->nr++];
	*grown = (struct process){ .tgid = tgid };
	return grown;
}

static struct symbols *symbols_of(struct names *names, uint32_t tgid)
{
	struct process *process = process__get(names, tgid);

	if (!process)
		return NULL;
	if (!process->symbols && symbols__new(tgid, &process->symbols))
		process->symbols = NULL;
	else if (process->symbols && process->stale)
		symbols__refresh(process->symbols);
	process->stale = false;
	return process->symbols;
}

static void add_range(struct names *names, const struct tp_range *range)
{
	struct tp_range *grown =
		array__grow(names->ranges, names->nr_ranges, &names->ranges_capacity, sizeof(*grown));

	if (!grown)
		return; /* then the GIL is a condition variable without a name, and a sleep of Go's a futex */
	names->ranges = grown;
	grown[names->nr_ranges++] = *range;
}

static void drop_ranges(struct names *names, uint32_t tgid)
{
	size_t kept = 0;

	for (size_t i = 0; i < names->nr_ranges; i++) {
		if (names->ranges[i].tgid != tgid)
			names->ranges[kept++] = names->ranges[i];
	}
	names->nr_ranges = kept;
}

static void look_for_gil(struct names *names, uint32_t tgid)
{
	struct tp_range gil = { .tgid = tgid, .kind = TP_LOCK_GIL };
	uint64_t start, end;

	/* The interpreter's state, with the GIL's mutex and condition variable in it: Include/internal/pycore_runtime.h. */
	if (!symbols_of(names, tgid) ||
	    !symbols__find(symbols_of(names, tgid), "_PyRuntime", "libpython*", &start, &end))
		return;
	gil.start = start;
	gil.end = end;
	add_range(names, &gil);
}

/* Go's runtime puts goroutines on threads by itself: one that sleeps there has none, and waits for no lock. */
static void look_for_go(struct names *names, uint32_t tgid)
{
	const struct tp_range all = { .tgid = tgid, .kind = TP_LOCK_PARK, .end = UINT64_MAX };
	struct image image;
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/exe", tgid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (!image__read(fd, &image) && image.is_go)
		add_range(names, &all);
	close(fd);
}

void names__on_process(struct names *names, uint32_t tgid)
{
	names__on_exit(names, tgid);
	pthread_mutex_lock(&names->mutex);
	look_for_gil(names, tgid);
	look_for_go(names, tgid);
	pthread_mutex_unlock(&names->mutex);
}

void names__on_fork(struct names *names, uint32_t tgid, uint32_t parent_tgid)
{
	size_t nr = names->nr_ranges;

	for (size_t i = 0; i < nr; i++) {
		struct tp_range range = names->ranges[i];

		if (range.tgid != parent_tgid)
			continue;
		range.tgid = tgid;
		add_range(names, &range);
	}
}

void names__on_exit(struct names *names, uint32_t tgid)
{
	pthread_mutex_lock(&names->mutex);
	drop_ranges(names, tgid);
	for (size_t i = 0; i < names->nr; i++) {
		if (names->processes[i].tgid != tgid)
			continue;
		process__free(&names->processes[i]);
		names->processes[i] = names->processes[--names->nr];
		break;
	}
	pthread_mutex_unlock(&names->mutex);
}

const struct tp_range *names__ranges(const struct names *names, size_t *count)
{
	*count = names->nr_ranges;
	return names->ranges;
}

/*
 * A variable's name without an offset where the word that is waited on lies inside of one whose layout is known:
 * musl's mutex (4), glibc's rwlock (8) and condition variable (40).
 */
static bool name_whole(struct symbols *symbols, uint64_t addr, uint32_t kind, char *buf, size_t size)
{
	uint64_t offset = kind == TP_LOCK_RWLOCK ? 8 : kind == TP_LOCK_CONDVAR ? 40 : 4;

	if (kind == TP_LOCK_GIL || kind == TP_LOCK_FUTEX || kind == TP_LOCK_SEMAPHORE)
		return false;
	return symbols__data_name(symbols, addr - offset, buf, size) && !strstr(buf, "+0x");
}

void names__lock(struct names *names, uint32_t tgid, uint64_t addr, uint32_t kind, char *buf, size_t size)
{
	struct symbols *symbols;
	char symbol[96], whole[96];

	buf[0] = '\0';
	pthread_mutex_lock(&names->mutex);
	symbols = symbols_of(names, tgid);
	if (symbols && symbols__data_name(symbols, addr, symbol, sizeof(symbol))) {
		bool inside = strstr(symbol, "+0x") && name_whole(symbols, addr, kind, whole, sizeof(whole));

		snprintf(buf, size, kind == TP_LOCK_GIL ? "GIL (%s)" : "%s", inside ? whole : symbol);
	}
	pthread_mutex_unlock(&names->mutex);
}

/* --- stacks --- */

static struct unwinder *unwinder_of(struct names *names, uint32_t tgid)
{
	struct symbols *symbols = symbols_of(names, tgid);
	struct process *process = process__get(names, tgid);

	if (!symbols)
		return NULL;
	if (process->unwinder && process->version != symbols__version(symbols)) {
		unwinder__free(process->unwinder);
		process->unwinder = NULL;
	}
	if (!process->unwinder) {
		process->unwinder = unwinder__new(symbols);
		process->version = symbols__version(symbols);
	}
	return process->unwinder;
}

size_t names__unwind(struct names *names, const struct tp_rec_stack *rec, uint64_t pcs[UNWIND_MAX])
{
	struct unwinder *unwinder;
	size_t nr = 0;

	pthread_mutex_lock(&names->mutex);
	unwinder = unwinder_of(names, rec->tgid);
	if (unwinder)
		nr = unwinder__walk(unwinder, rec, pcs);
	pthread_mutex_unlock(&names->mutex);
	return nr;
}

int names__frames(struct names *names, uint32_t tgid, uint64_t pc, struct symbols_frame *frames, size_t max)
{
	struct symbols *symbols;
	int count = 0;

	pthread_mutex_lock(&names->mutex);
	symbols = symbols_of(names, tgid);
	/* Nobody asks for the lines of libc or CPython, whose debug data take 20 MB to read. */
	if (symbols && max && site__is_runtime_module(symbols__module(symbols, pc)))
		count = symbols__function(symbols, pc, frames);
	else if (symbols)
		count = symbols__frame(symbols, pc, frames, max);
	pthread_mutex_unlock(&names->mutex);
	return count;
}

void names__next(struct names *names)
{
	pthread_mutex_lock(&names->mutex);
	for (size_t i = 0; i < names->nr; i++)
		names->processes[i].stale = true;
	elf_file__drop_unused_lines();
	pthread_mutex_unlock(&names->mutex);
}
