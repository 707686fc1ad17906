// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/* The half of session.h that reads and writes what the loaded programs keep in maps and variables. */
#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>

#include "each_entry.h"
#include "object_cost.h"
#include "session_impl.h"
#include "skipped_runs.h"

struct conn_walk {
	session_conn_fn fn;
	void *context;
};

static bool on_conn_entry(void *context, const void *key, const void *value)
{
	struct conn_walk *walk = context;
	uint64_t file;

	memcpy(&file, key, sizeof(file));
	walk->fn(walk->context, file, value);
	return false;
}

int session__each_conn(struct session *session, session_conn_fn fn, void *context)
{
	struct conn_walk walk = { .fn = fn, .context = context };

	return each_entry(session->skel->maps.conns, session->reads_alone, on_conn_entry, &walk);
}

static int add_descriptor(struct session *session, uint64_t file, int fd, const struct tp_conn *conn)
{
	struct tp_fd_key key = { .tgid = conn->tgid, .fd = fd };
	struct tp_fd entry = { .file = file, .inode = conn->inode };

	if (bpf_map_update_elem(bpf_map__fd(session->skel->maps.fds), &key, &entry, BPF_NOEXIST) && errno != EEXIST)
		return -errno;
	return 0;
}

int session__add_conn(struct session *session, uint64_t file, int fd, const struct tp_conn *conn)
{
	int err = 0;

	if (bpf_map_update_elem(bpf_map__fd(session->skel->maps.conns), &file, conn, BPF_NOEXIST) &&
	    errno != EEXIST)
		err = -errno;
	if (!err)
		err = add_descriptor(session, file, fd, conn);
	if (err)
		__atomic_fetch_add(&session->skel->bss->losses[TP_LOSS_CONN_MAP], 1, __ATOMIC_RELAXED);
	return err;
}

static void settle_request(struct session *session, uint32_t tid, uint64_t now_ns)
{
	int fd = bpf_map__fd(session->skel->maps.debts);
	struct tp_debt debt = { 0 };

	if (bpf_map_lookup_elem(fd, &tid, &debt))
		memset(&debt, 0, sizeof(debt));
	debt.count++;
	debt.last_ns = now_ns;
	if (!bpf_map_update_elem(fd, &tid, &debt, BPF_ANY))
		__atomic_fetch_add(&session->skel->bss->nr_debts, 1, __ATOMIC_RELAXED);
}

bool session__drop_conn(struct session *session, uint64_t file, const struct tp_conn *conn, uint64_t now_ns)
{
	int fd = bpf_map__fd(session->skel->maps.conns);
	struct tp_conn current;
	struct tp_queue *queue = &session->skel->bss->queue;

	if (bpf_map_lookup_elem(fd, &file, &current) || current.r.conn_id != conn->r.conn_id ||
	    bpf_map_delete_elem(fd, &file))
		return false;
	if (current.phase == TP_CONN_QUEUED) {
		__atomic_fetch_add(&queue->dequeued, 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&queue->dequeued_ts_sum, now_ns, __ATOMIC_RELAXED);
	} else if (current.phase == TP_CONN_OPEN) {
		settle_request(session, current.owner_tid, now_ns);
	}
	return true;
}

struct fd_sweep {
	struct session *session;
	bool (*is_live)(void *context, uint64_t file);
	void *context;
};

static bool on_fd_entry(void *context, const void *key, const void *value)
{
	struct fd_sweep *sweep = context;
	struct threadprof_bpf *skel = sweep->session->skel;
	struct tp_conn conn;
	struct tp_fd entry;

	memcpy(&entry, value, sizeof(entry));
	/* At once: soon the number may be another connection's. */
	if (!sweep->is_live(sweep->context, entry.file) &&
	    bpf_map_lookup_elem(bpf_map__fd(skel->maps.conns), &entry.file, &conn))
		bpf_map_delete_elem(bpf_map__fd(skel->maps.fds), key);
	return false;
}

int session__sweep_fds(struct session *session, bool (*is_live)(void *context, uint64_t file), void *context)
{
	struct fd_sweep sweep = { .session = session, .is_live = is_live, .context = context };

	return each_entry(session->skel->maps.fds, session->reads_alone, on_fd_entry, &sweep);
}

void session__read_queue(struct session *session, struct tp_queue *out)
{
	struct tp_queue *queue = &session->skel->bss->queue;
	int64_t depth;

	*out = *queue;
	/* A look between the two counters of one event may see less than nothing. */
	depth = out->accepted - out->dequeued;
	__atomic_store_n(&queue->max, depth > 0 ? depth : 0, __ATOMIC_RELAXED);
	__atomic_store_n(&queue->backlog_max, 0, __ATOMIC_RELAXED);
}

void session__read_clients(const struct session *session, struct tp_clients *clients)
{
	*clients = session->skel->bss->clients;
}

uint64_t session__nr_io_urings(const struct session *session)
{
	return session->skel->bss->nr_io_urings;
}

void session__read_losses(const struct session *session, uint64_t losses[TP_NR_LOSSES])
{
	for (int i = 0; i < TP_NR_LOSSES; i++)
		losses[i] = __atomic_load_n(&session->skel->bss->losses[i], __ATOMIC_RELAXED);
}

uint64_t session__skipped_runs(const struct session *session)
{
	return skipped_runs__of(session->skel->obj);
}

uint64_t session__nr_events(const struct session *session)
{
	return session->nr_events;
}

uint32_t session__next_epoch(struct session *session)
{
	return __atomic_fetch_add(&session->skel->bss->epoch, 1, __ATOMIC_SEQ_CST);
}

static struct bpf_map *sums_map(const struct session *session, enum session_sums which)
{
	switch (which) {
	case SUMS_LOCKS:
		return session->skel->maps.locks;
	case SUMS_LOCK_CALLS:
		return session->skel->maps.lock_calls;
	case SUMS_LOCK_LENGTHS:
		return session->skel->maps.lock_lengths;
	case SUMS_PEERS:
		return session->skel->maps.peers;
	case SUMS_FILES:
		return session->skel->maps.files;
	default:
		return session->skel->maps.thieves;
	}
}

static uint32_t epoch_of(enum session_sums which, const void *key)
{
	switch (which) {
	case SUMS_LOCKS:
	case SUMS_LOCK_CALLS:
		return ((const struct tp_lock_key *)key)->epoch;
	case SUMS_LOCK_LENGTHS:
		return ((const struct tp_lock_length_key *)key)->epoch;
	case SUMS_PEERS:
		return ((const struct tp_peer_key *)key)->epoch;
	case SUMS_FILES:
		return ((const struct tp_file_key *)key)->epoch;
	default:
		return ((const struct tp_thief_key *)key)->epoch;
	}
}

struct sum_walk {
	enum session_sums which;
	uint32_t epoch;
	session_sum_fn fn;
	void *context;
};

static bool on_sum_entry(void *context, const void *key, const void *value)
{
	struct sum_walk *walk = context;

	if ((int32_t)(epoch_of(walk->which, key) - walk->epoch) > 0)
		return false;
	walk->fn(walk->context, key, value);
	return true;
}

int session__take_sums(struct session *session, enum session_sums which, uint32_t epoch, session_sum_fn fn,
		       void *context)
{
	const struct bpf_map *map = sums_map(session, which);
	bool is_of_calls = which == SUMS_LOCK_CALLS || which == SUMS_LOCK_LENGTHS;
	bool is_there = !is_of_calls || !session->part_error[SESSION_LOCK_CALLS];
	struct sum_walk walk = { .which = which, .epoch = epoch, .fn = fn, .context = context };

	return is_there ? each_entry(map, session->reads_alone, on_sum_entry, &walk) : 0;
}

bool session__lock_calls(const struct session *session, struct session_lock_calls *calls)
{
	struct threadprof_bpf *skel = session->skel;

	if (session->part_error[SESSION_LOCK_CALLS])
		return false;
	*calls = (struct session_lock_calls){
		.guard = &skel->bss->lock_guard,
		.enter_fd = bpf_program__fd(skel->progs.lock_call_enter),
		.return_fd = bpf_program__fd(skel->progs.lock_call_return),
		.is_multi = session->has_uprobe_multi,
	};
	return true;
}

void session__allow_stacks(struct session *session, unsigned int count)
{
	__atomic_store_n(&session->skel->bss->stack_turns, count, __ATOMIC_RELAXED);
}

void session__set_lock_ranges(struct session *session, const struct tp_range *ranges, size_t count)
{
	if (count > TP_MAX_RANGES)
		count = TP_MAX_RANGES;
	/* None while they change: a lock wait in this moment has no kind rather than a wrong one. */
	__atomic_store_n(&session->skel->bss->nr_lock_ranges, 0, __ATOMIC_SEQ_CST);
	if (count)
		memcpy(session->skel->bss->lock_ranges, ranges, count * sizeof(*ranges));
	__atomic_store_n(&session->skel->bss->nr_lock_ranges, count, __ATOMIC_SEQ_CST);
}

uint64_t session__map_bytes(const struct session *session)
{
	return object__map_bytes(session->skel->obj);
}

void session__each_program(const struct session *session, program_fn fn, void *context)
{
	object__each_program(session->skel->obj, fn, context);
}

uint32_t session__details(const struct session *session)
{
	uint32_t details = TP_ALL_DETAILS;

	if (!session__has(session, SESSION_REQUESTS))
		details &= ~(1U << TP_DETAIL_STACKS | 1U << TP_DETAIL_BREAKDOWN);
	if (!session->skel->rodata->counts_locks && !session->stacks_of_all)
		details &= ~(1U << TP_DETAIL_STACKS);
	if (!session__has(session, SESSION_LOCK_CALLS))
		details &= ~(1U << TP_DETAIL_CALLS);
	if (!session__has(session, SESSION_MIGRATE))
		details &= ~(1U << TP_DETAIL_THIEVES);
	return details;
}

void session__set_details(struct session *session, uint32_t details)
{
	__atomic_store_n(&session->skel->data->details, details, __ATOMIC_RELAXED);
}
