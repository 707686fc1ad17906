// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "profile.h"

#include <errno.h>
#include <string.h>

int profile__init(struct profile *profile, const struct requests_config *config)
{
	memset(profile, 0, sizeof(*profile));
	profile->requests = requests__new(config);
	profile->threads = threads__new();
	profile->locks = locks__new();
	profile->lock_waits = lock_waits__new();
	profile->lock_calls = lock_calls__new();
	profile->waits = waits__new();
	profile->steals = steals__new();
	profile->pools = pools__new();
	if (profile->requests && profile->threads && profile->locks && profile->lock_waits && profile->lock_calls &&
	    profile->waits && profile->steals && profile->pools)
		return 0;
	profile__free(profile);
	return -ENOMEM;
}

void profile__free(struct profile *profile)
{
	requests__free(profile->requests);
	threads__free(profile->threads);
	locks__free(profile->locks);
	lock_waits__free(profile->lock_waits);
	lock_calls__free(profile->lock_calls);
	waits__free(profile->waits);
	steals__free(profile->steals);
	pools__free(profile->pools);
	memset(profile, 0, sizeof(*profile));
}

void profile__on_record(struct profile *profile, const struct tp_rec *rec)
{
	int err = 0;

	switch (rec->kind) {
	case TP_REC_REQUEST:
		err = requests__on_request(profile->requests, &((const struct tp_rec_request *)rec)->r);
		break;
	case TP_REC_CONN:
		err = requests__on_conn(profile->requests, (const struct tp_rec_conn *)rec);
		break;
	case TP_REC_THREAD:
		err = threads__on_record(profile->threads, (const struct tp_rec_thread *)rec);
		if (!err)
			err = locks__on_thread(profile->locks, (const struct tp_rec_thread *)rec);
		if (!err && !(((const struct tp_rec_thread *)rec)->flags & TP_THREAD_EXITED))
			err = pools__on_thread(profile->pools, (const struct tp_rec_thread *)rec);
		clients__on_thread(&profile->clients, (const struct tp_rec_thread *)rec);
		break;
	case TP_REC_LOCK:
		err = lock_waits__on_record(profile->lock_waits, (const struct tp_rec_lock *)rec);
		break;
	}
	profile->out_of_memory += err != 0;
}

void profile__on_live_conn(struct profile *profile, const struct tp_conn *conn, uint64_t now_ns, bool final)
{
	if (requests__on_live(profile->requests, conn, now_ns, final))
		profile->out_of_memory++;
}

void profile__on_gone_conn(struct profile *profile, const struct tp_conn *conn, uint64_t now_ns)
{
	bool was_open = conn->phase == TP_CONN_OPEN;
	struct tp_rec_conn rec = {
		.h = { .kind = TP_REC_CONN, .size = sizeof(rec), .ts_ns = now_ns },
		.conn_id = conn->r.conn_id,
		.open_ns = conn->open_ns,
		.end_ns = now_ns,
		.in_bytes = conn->in_bytes,
		.out_bytes = conn->out_bytes,
		.tgid = conn->tgid,
		.fd = conn->r.fd,
		.requests = conn->r.seq - was_open,
		.unanswered = was_open,
		.end = TP_END_GONE,
		.flags = conn->flags,
		.never_read = conn->phase == TP_CONN_QUEUED,
		.peer = conn->r.peer,
	};

	if (conn->phase == TP_CONN_ANSWERED && requests__on_request(profile->requests, &conn->r))
		profile->out_of_memory++;
	profile__on_record(profile, &rec.h);
}

void profile__on_counters(struct profile *profile, const uint64_t losses[TP_NR_LOSSES], uint64_t events,
			  struct report *report)
{
	for (int i = 0; i < TP_NR_LOSSES; i++)
		report->lost[i] += losses[i] - profile->losses_before[i]; /* what a reducer has left out is there already */
	report->events = events - profile->events_before;
	memcpy(profile->losses_before, losses, sizeof(profile->losses_before));
	profile->events_before = events;
}

/* What was taken for a holder's id may be none: such a holder is left out. */
static void name_holders(struct profile *profile, struct report_lock *lock)
{
	size_t kept = 0;

	for (size_t i = 0; i < lock->nr_holders; i++) {
		struct report_holder holder = lock->holders[i];
		const char *comm;

		holder.tid = threads__tid_of(profile->threads, lock->tgid, holder.tid);
		if (!holder.tid)
			continue;
		comm = threads__comm(profile->threads, holder.tid);
		if (comm)
			memcpy(holder.comm, comm, sizeof(holder.comm));
		lock->holders[kept++] = holder;
	}
	lock->nr_holders = kept;
}

struct report_lock *profile__locks(const struct profile *profile, size_t *count)
{
	struct report_lock *locks = lock_calls__list(profile->lock_calls, count);

	return locks ?: locks__list(profile->locks, count);
}

/* The single waits tell of the locks that are listed how long, by whom held, and how ended. */
static void complete_locks(struct profile *profile)
{
	size_t count;
	struct report_lock *locks = profile__locks(profile, &count);

	for (size_t i = 0; i < count; i++) {
		struct report_lock *lock = &locks[i];

		lock_waits__fill(profile->lock_waits, lock);
		name_holders(profile, lock);
	}
}

int profile__report(struct profile *profile, struct report *report)
{
	int err = profile->out_of_memory ? -ENOMEM : 0;

	requests__report(profile->requests, report);
	threads__report(profile->threads, report);
	if (!err)
		err = locks__report(profile->locks, report);
	if (!err)
		err = lock_calls__report(profile->lock_calls, report);
	if (!err)
		complete_locks(profile);
	waits__report(profile->waits, report);
	steals__report(profile->steals, report);
	pools__report(profile->pools, report);
	clients__report(&profile->clients, report);
	return err;
}

void profile__next(struct profile *profile)
{
	requests__next(profile->requests);
	threads__next(profile->threads);
	locks__next(profile->locks);
	lock_waits__next(profile->lock_waits);
	lock_calls__next(profile->lock_calls);
	waits__next(profile->waits);
	steals__next(profile->steals);
	pools__next(profile->pools);
	clients__next(&profile->clients);
}
