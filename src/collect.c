// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "collect.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "array.h"
#include "clock.h"
#include "folded.h"
#include "log.h"
#include "skipped_runs.h"
#include "stack_memory.h"

/* Stacks that may come between two looks at the ring buffer: 40 a second, or 200 where those of all waits are kept. */
#define STACKS_AT_ONCE 2
#define STACKS_OF_ALL_AT_ONCE 10
/*
 * How long a report waits for the last stacks to be named: they are few, but a library may be met for the first time.
 * No longer than a twentieth of the interval unless it is the last; what comes later counts for the next one.
 */
#define STACKS_PATIENCE_MS 1000

int collector__init(struct collector *collector, struct session *session, struct targets *targets,
		    const struct requests_config *config, bool resolve)
{
	int err;

	memset(collector, 0, sizeof(*collector));
	collector->session = session;
	collector->targets = targets;
	err = profile__init(&collector->profile, config);
	if (err)
		return err;
	collector->sockets = sockets__new();
	collector->names = names__new();
	if (resolve)
		collector->resolver = resolver__new();
	err = collector->sockets && collector->names && (collector->resolver || !resolve) ? 0 : -ENOMEM;
	if (!err)
		err = stacks__new(collector->names, &collector->stacks);
	if (err)
		collector__free(collector);
	return err;
}

void collector__free(struct collector *collector)
{
	profile__free(&collector->profile);
	sockets__free(collector->sockets);
	if (stacks__free(collector->stacks))
		names__free(collector->names);
	resolver__free(collector->resolver);
	own_cost__free(collector->cost); /* measures the neighbours' programs */
	neighbours__free(collector->neighbours);
	host__free(collector->host);
	free(collector->pids);
	memset(collector, 0, sizeof(*collector));
}

/* --- connections --- */

static void on_socket(void *context, const struct tp_rec *rec)
{
	struct collector *collector = context;
	const struct tp_rec_socket *socket = (const struct tp_rec_socket *)rec;

	if (rec->kind == TP_REC_SOCKET && sockets__on_record(collector->sockets, socket))
		collector->profile.out_of_memory++;
}

static int look_at_sockets(struct collector *collector)
{
	int err;

	sockets__begin(collector->sockets);
	err = session__snapshot_sockets(collector->session, on_socket, collector);
	sockets__end(collector->sockets);
	return err;
}

static void add_existing_conn(void *context, const struct tp_rec_socket *rec)
{
	struct collector *collector = context;
	struct tp_conn conn = {
		.open_ns = rec->h.ts_ns,
		.inode = rec->inode,
		.tgid = rec->tgid,
		.phase = TP_CONN_IDLE,
		.flags = TP_CONN_PREEXISTING,
		/* Apart from the ids of accepted connections, which are times. */
		.r = { .conn_id = 1ULL << 63 | rec->inode, .fd = rec->fd, .tgid = rec->tgid, .peer = rec->peer },
	};
	int err = session__add_conn(collector->session, rec->file, rec->fd, &conn);

	if (err)
		log__debug("connection of fd %d of process %u: %s", rec->fd, rec->tgid, strerror(-err));
}

struct conn_look {
	struct collector *collector;
	uint64_t began_ns; /* of the look at the sockets: a younger connection is not in it */
	uint64_t now_ns;
	bool final;
	bool knows_sockets;
};

static void look_at_conn(void *context, uint64_t file, const struct tp_conn *conn)
{
	struct conn_look *look = context;
	struct collector *collector = look->collector;
	bool may_be_gone = look->knows_sockets && conn->open_ns < look->began_ns;

	if (!may_be_gone || sockets__is_live(collector->sockets, file))
		profile__on_live_conn(&collector->profile, conn, look->now_ns, look->final);
	else if (session__drop_conn(collector->session, file, conn, look->now_ns))
		profile__on_gone_conn(&collector->profile, conn, look->now_ns);
}

static bool is_live_file(void *context, uint64_t file)
{
	return sockets__is_live(context, file);
}

static int look_at_conns(struct collector *collector, bool final)
{
	struct conn_look look = {
		.collector = collector,
		.began_ns = clock__now_ns(),
		.final = final,
		.knows_sockets = session__has(collector->session, SESSION_SOCKETS),
	};
	int err = look.knows_sockets ? look_at_sockets(collector) : 0;

	if (err)
		return err;
	look.now_ns = clock__now_ns();
	requests__begin_live(collector->profile.requests);
	err = session__each_conn(collector->session, look_at_conn, &look);
	if (!err && look.knows_sockets && collector->sweep_due)
		err = session__sweep_fds(collector->session, is_live_file, collector->sockets);
	collector->sweep_due = false;
	return err;
}

struct question_look {
	struct collector *collector;
	uint64_t begin_ns; /* of the interval */
};

static void look_at_question(void *context, const struct tp_rec_socket *rec)
{
	const struct question_look *look = context;
	struct profile *profile = &look->collector->profile;
	uint64_t since_ns = rec->asked_ns > look->begin_ns ? rec->asked_ns : look->begin_ns;

	if (rec->h.ts_ns > since_ns && waits__on_unanswered(profile->waits, rec, rec->h.ts_ns - since_ns))
		profile->out_of_memory++;
}

int collector__sweep_if_due(struct collector *collector)
{
	return collector->sweep_due ? look_at_conns(collector, false) : 0;
}

/* --- start --- */

static void tell_lock_ranges(struct collector *collector)
{
	size_t count;
	const struct tp_range *ranges = names__ranges(collector->names, &count);

	session__set_lock_ranges(collector->session, ranges, count);
	collector->ranges_changed = false;
}

/* Makes the targets that are not yet watched known to all who follow them. */
static int watch_targets(struct collector *collector)
{
	const struct targets *targets = collector->targets;
	int err = 0;

	for (size_t i = 0; i < targets->nr && !err; i++) {
		struct target_process *process = &targets->list[i];

		if (process->is_watched || !process->alive)
			continue;
		err = session__add_target(collector->session, process->tgid);
		process->is_watched = !err;
		names__on_process(collector->names, process->tgid);
	}
	tell_lock_ranges(collector);
	return err;
}

/* Attached first, looked second: what is opened between the two is seen twice, and counted once. */
static int adopt_conns(struct collector *collector)
{
	int err;

	if (!session__has(collector->session, SESSION_SOCKETS))
		return 0;
	err = look_at_sockets(collector);
	sockets__each_accepted(collector->sockets, add_existing_conn, collector);
	return err;
}

int collector__admit(struct collector *collector)
{
	int err = watch_targets(collector);

	if (!err)
		err = session__adopt(collector->session);
	return err ?: adopt_conns(collector);
}

static uint64_t skipped_runs(const struct collector *collector)
{
	uint64_t own = session__skipped_runs(collector->session);

	return collector->neighbours ? skipped_runs__add(own, neighbours__skipped_runs(collector->neighbours)) : own;
}

int collector__start(struct collector *collector)
{
	struct tp_queue queue;
	struct report ignored = { 0 };
	int err = watch_targets(collector);

	collector->skipped_before = skipped_runs(collector);
	if (!err)
		err = session__activate(collector->session);
	if (!err)
		err = adopt_conns(collector);
	sockets__report(collector->sockets, 0, &ignored);
	collector->begin_ns = clock__now_ns();
	own_cost__begin(collector->cost, collector->begin_ns);
	if (collector->targets->nr)
		collector->host = host__new(collector->targets->list[0].tgid);
	if (collector->host)
		host__read(collector->host, &ignored);
	session__read_queue(collector->session, &queue);
	memset(&queue, 0, sizeof(queue)); /* what came since the activation belongs to the first interval */
	requests__on_queue(collector->profile.requests, &queue, collector->begin_ns);
	return err;
}

/* --- records --- */

/* A child that is about to be another program, or to end at once, is not worth its probes. */
#define PROBES_DELAY_NS (NS_PER_SEC / 20)

static void tell_lock_probes(struct collector *collector, const struct tp_rec_process *rec)
{
	uint64_t due_ns = rec->h.ts_ns + PROBES_DELAY_NS;

	if (rec->what == TP_PROCESS_EXIT)
		lock_probes__on_exit(collector->lock_probes, rec->tgid);
	else if (rec->what == TP_PROCESS_FORK || rec->what == TP_PROCESS_EXEC)
		collector->profile.out_of_memory +=
			lock_probes__on_process(collector->lock_probes, rec->tgid, true, due_ns) != 0;
}

static void on_process(struct collector *collector, const struct tp_rec_process *rec)
{
	struct target_process *process;

	switch (rec->what) {
	case TP_PROCESS_FORK:
		if (targets__add(collector->targets, rec->tgid, rec->comm, -1))
			collector->profile.out_of_memory++;
		process = targets__find(collector->targets, rec->tgid);
		if (process)
			process->is_watched = true;
		names__on_fork(collector->names, rec->tgid, rec->ppid);
		collector->ranges_changed = true;
		break;
	case TP_PROCESS_EXEC:
		process = targets__find(collector->targets, rec->tgid);
		if (process)
			memcpy(process->comm, rec->comm, sizeof(process->comm));
		names__on_process(collector->names, rec->tgid);
		collector->ranges_changed = true;
		collector->sweep_due = true;
		break;
	case TP_PROCESS_EXIT:
		targets__end(collector->targets, rec->tgid);
		names__on_exit(collector->names, rec->tgid);
		collector->ranges_changed = true;
		collector->sweep_due = true;
		break;
	case TP_PROCESS_SWEEP:
		collector->sweep_due = true;
		break;
	}
	if (collector->lock_probes)
		tell_lock_probes(collector, rec);
}

static void on_record(void *context, const struct tp_rec *rec)
{
	struct collector *collector = context;

	if (rec->kind == TP_REC_PROCESS)
		on_process(collector, (const struct tp_rec_process *)rec);
	else if (rec->kind == TP_REC_STACK)
		stacks__submit(collector->stacks, (const struct tp_rec_stack *)rec);
	else
		profile__on_record(&collector->profile, rec);
}

static void allow_stacks(struct collector *collector)
{
	unsigned int stacks = collector->stacks_of_all ? STACKS_OF_ALL_AT_ONCE : STACKS_AT_ONCE;

	/* What may still be on its way from the last time has room as well. */
	if (own_cost__is_off(collector->cost, TP_DETAIL_STACKS) || stacks__room(collector->stacks) < 2 * stacks)
		stacks = 0;
	session__allow_stacks(collector->session, stacks);
}

int collector__drain(struct collector *collector)
{
	int err = session__drain(collector->session, on_record, collector);

	if (collector->ranges_changed)
		tell_lock_ranges(collector);
	allow_stacks(collector);
	if (collector->lock_probes)
		lock_probes__run(collector->lock_probes, clock__now_ns());
	if (err >= 0 && collector->neighbours)
		err = neighbours__drain(collector->neighbours);
	return err < 0 ? err : 0;
}

bool collector__mind_cost(struct collector *collector, struct report_feature *feature)
{
	struct lock_probes *probes = collector->lock_probes;
	uint64_t now_ns = clock__now_ns();

	if (probes)
		own_cost__set_possible(collector->cost, TP_DETAIL_CALLS, lock_probes__are_in(probes));
	if (!own_cost__tick(collector->cost, now_ns))
		return false;
	own_cost__change(collector->cost, feature);
	if (probes)
		lock_probes__pause(probes, own_cost__is_off(collector->cost, TP_DETAIL_CALLS), now_ns);
	return true;
}

/* --- the end of an interval --- */

static void on_lock(void *context, const void *key, const void *value)
{
	struct collector *collector = context;

	if (locks__on_sum(collector->profile.locks, key, value))
		collector->profile.out_of_memory++;
}

static void on_lock_calls(void *context, const void *key, const void *value)
{
	struct collector *collector = context;

	if (lock_calls__on_sum(collector->profile.lock_calls, key, value))
		collector->profile.out_of_memory++;
}

static void on_lock_length(void *context, const void *key, const void *value)
{
	struct collector *collector = context;

	if (lock_calls__on_length(collector->profile.lock_calls, key, *(const uint64_t *)value))
		collector->profile.out_of_memory++;
}

static void on_peer(void *context, const void *key, const void *value)
{
	struct collector *collector = context;

	if (waits__on_peer(collector->profile.waits, key, value))
		collector->profile.out_of_memory++;
}

static void on_file(void *context, const void *key, const void *value)
{
	struct collector *collector = context;

	if (waits__on_file(collector->profile.waits, key, value))
		collector->profile.out_of_memory++;
}

static void on_thief(void *context, const void *key, const void *value)
{
	struct collector *collector = context;
	const struct tp_thief_key *thief = key;
	bool own = targets__find(collector->targets, thief->tgid);
	char path[64], link[256];
	const char *exe = link;
	ssize_t length;

	if (collector->neighbours) {
		exe = neighbours__exe(collector->neighbours, thief->tgid);
		if (!own)
			neighbours__on_thief(collector->neighbours, thief->tgid, ((const struct tp_thief *)value)->ns);
	} else {
		snprintf(path, sizeof(path), "/proc/%u/exe", thief->tgid);
		length = readlink(path, link, sizeof(link) - 1);
		link[length > 0 ? length : 0] = '\0';
	}
	if (steals__add(collector->profile.steals, value, exe, own))
		collector->profile.out_of_memory++;
}

/* Calls that were counted in a part of the interval only are left out: the scheduler has seen all of the waits. */
static bool is_taken(const struct collector *collector, enum session_sums sums)
{
	bool is_of_calls = sums == SUMS_LOCK_CALLS || sums == SUMS_LOCK_LENGTHS;

	return !is_of_calls || !own_cost__was_off(collector->cost, TP_DETAIL_CALLS);
}

static void leave_out(void *context, const void *key, const void *value)
{
	(void)context;
	(void)key;
	(void)value;
}

static int take_sums(struct collector *collector, uint32_t epoch)
{
	static const session_sum_fn takers[NR_SUMS] = {
		[SUMS_LOCKS] = on_lock,
		[SUMS_LOCK_CALLS] = on_lock_calls,
		[SUMS_LOCK_LENGTHS] = on_lock_length,
		[SUMS_PEERS] = on_peer,
		[SUMS_FILES] = on_file,
		[SUMS_THIEVES] = on_thief,
	};
	int err = 0;

	for (int i = 0; i < NR_SUMS && !err; i++)
		err = session__take_sums(collector->session, i, epoch, is_taken(collector, i) ? takers[i] : leave_out,
					 collector);
	return err;
}

static struct timespec wall_clock_at(const struct report *report, uint64_t mono_ns)
{
	int64_t ns = report->time.tv_sec * (int64_t)NS_PER_SEC + report->time.tv_nsec -
		     (int64_t)(report->mono_ns - mono_ns);

	return (struct timespec){ .tv_sec = ns / (int64_t)NS_PER_SEC, .tv_nsec = ns % (int64_t)NS_PER_SEC };
}

/* Adds what only somebody who knows the threads and the clocks can add. */
static void complete_slow_requests(struct collector *collector, const struct report *report)
{
	size_t count;
	struct report_request *slow = requests__slow(collector->profile.requests, &count);

	for (size_t i = 0; i < count; i++) {
		const char *comm = threads__comm(collector->profile.threads, slow[i].r.write_tid);

		slow[i].start = wall_clock_at(report, slow[i].r.start_ns);
		addr__format(&slow[i].r.peer, slow[i].client, sizeof(slow[i].client));
		if (comm)
			memcpy(slow[i].comm, comm, sizeof(slow[i].comm));
	}
}

static void name_locks(struct collector *collector, const struct report *report, bool final)
{
	uint64_t patience_ms = final ? STACKS_PATIENCE_MS : report->duration_ns / 20000000;
	size_t count;
	struct report_lock *locks = profile__locks(&collector->profile, &count);

	if (count)
		stacks__settle(collector->stacks, patience_ms < STACKS_PATIENCE_MS ? patience_ms : STACKS_PATIENCE_MS);
	for (size_t i = 0; i < count; i++) {
		if (locks[i].owner_tid)
			locks[i].owner_tid = threads__tid_of(collector->profile.threads, locks[i].tgid,
							     locks[i].owner_tid);
		names__lock(collector->names, locks[i].tgid, locks[i].addr, locks[i].kind, locks[i].name,
			    sizeof(locks[i].name));
		if (!own_cost__was_off(collector->cost, TP_DETAIL_STACKS))
			stacks__fill(collector->stacks, &locks[i]);
	}
}

static void name_peers(struct collector *collector)
{
	size_t count;
	struct report_peer *peers = waits__peers(collector->profile.waits, &count);

	for (size_t i = 0; collector->resolver && i < count; i++)
		resolver__name(collector->resolver, &peers[i].key, peers[i].name, sizeof(peers[i].name));
}

static int report_target(struct collector *collector, struct report *report)
{
	const struct targets *targets = collector->targets;
	uint32_t *pids = reallocarray(collector->pids, targets->nr + 1, sizeof(*pids));

	if (!pids)
		return -ENOMEM;
	collector->pids = pids;
	for (size_t i = 0; i < targets->nr; i++)
		pids[i] = targets->list[i].tgid;
	report->pids = pids;
	report->nr_pids = targets->nr;
	if (targets->nr)
		memcpy(report->comm, targets->list[0].comm, sizeof(report->comm));
	return 0;
}

static void report_cost(struct collector *collector, struct report *report)
{
	uint64_t losses[TP_NR_LOSSES], skipped = skipped_runs(collector);

	session__read_losses(collector->session, losses);
	profile__on_counters(&collector->profile, losses, session__nr_events(collector->session), report);
	own_cost__report(collector->cost, report);
	report->skipped_runs = skipped_runs__since(collector->skipped_before, skipped);
	collector->skipped_before = skipped;
	if (collector->neighbours) {
		uint64_t lost = neighbours__nr_lost(collector->neighbours);

		report->lost_processes = lost - collector->lost_processes_before;
		collector->lost_processes_before = lost;
	}
}

/* Looked at again only when their number has changed. */
static void measure_unused_stacks(struct collector *collector, struct report *report)
{
	struct report_pool *pool = &report->pool, *known = &collector->pool;
	const uint64_t *stacks;
	size_t count;

	if (!pool->unused)
		return;
	if (pool->tgid != known->tgid || pool->unused != known->unused ||
	    memcmp(pool->name, known->name, sizeof(pool->name))) {
		*known = *pool;
		stacks = pools__unused_stacks(collector->profile.pools, &count);
		if (stacks__measure(pool->tgid, stacks, count, &known->reserved_bytes, &known->stack_bytes) <= 0)
			known->reserved_bytes = known->stack_bytes = TP_UNKNOWN;
	}
	pool->reserved_bytes = known->reserved_bytes;
	pool->stack_bytes = known->stack_bytes;
}

static void look_around(struct collector *collector, struct report *report)
{
	if (collector->host)
		host__read(collector->host, report);
	report->io_urings = session__nr_io_urings(collector->session);
	measure_unused_stacks(collector, report);
}

/* What a feature that is off would have measured is not known. */
static void mark_unmeasured(const struct collector *collector, struct report *report)
{
	if (!session__has(collector->session, SESSION_REQUESTS))
		report->have_requests = false;
	if (!collector->counts_locks)
		report->have_locks = false;
	if (!session__has(collector->session, SESSION_SOCKETS))
		report->have_accept_queue = false;
	if (!session__has(collector->session, SESSION_MIGRATE))
		report->have_thieves = false;
}

int collector__report(struct collector *collector, bool final, struct report *report)
{
	struct question_look questions = { .collector = collector };
	struct session *session = collector->session;
	struct tp_clients clients;
	struct tp_queue queue;
	uint32_t epoch;
	int err;

	memset(report, 0, sizeof(*report));
	clock_gettime(CLOCK_REALTIME, &report->time);
	report->mono_ns = clock__now_ns();
	report->duration_ns = report->mono_ns - collector->begin_ns;
	questions.begin_ns = collector->begin_ns;
	collector->begin_ns = report->mono_ns;
	session__read_queue(session, &queue);
	requests__on_queue(collector->profile.requests, &queue, report->mono_ns);
	session__read_clients(session, &clients);
	clients__on_totals(&collector->profile.clients, &clients);
	epoch = session__next_epoch(session);
	err = collector__drain(collector);
	if (!err)
		err = session__snapshot_threads(session, on_record, collector);
	if (!err)
		err = look_at_conns(collector, final);
	sockets__each_asked(collector->sockets, look_at_question, &questions);
	if (!err)
		err = take_sums(collector, epoch);
	if (!err)
		err = report_target(collector, report);
	if (!err)
		err = profile__report(&collector->profile, report);
	if (!err && collector->neighbours)
		err = neighbours__report(collector->neighbours, collector->profile.requests, final, report);
	if (err)
		return log__fail(err, "cannot collect the interval: %s", strerror(-err));
	sockets__report(collector->sockets, queue.backlog_max, report);
	look_around(collector, report);
	complete_slow_requests(collector, report);
	name_locks(collector, report, final);
	name_peers(collector);
	report_cost(collector, report);
	mark_unmeasured(collector, report);
	if (collector->lock_probes)
		lock_probes__report(collector->lock_probes, report);
	return 0;
}

void collector__next(struct collector *collector)
{
	profile__next(&collector->profile);
	stacks__next(collector->stacks);
	names__next(collector->names);
	if (collector->neighbours)
		neighbours__next(collector->neighbours);
	targets__forget_ended(collector->targets);
}

void collector__keep_stacks(struct collector *collector)
{
	collector->stacks_of_all = true;
	stacks__keep(collector->stacks);
}

int collector__write_folded(struct collector *collector, const char *path)
{
	stacks__settle(collector->stacks, STACKS_PATIENCE_MS);
	return folded__write(collector->stacks, path);
}
