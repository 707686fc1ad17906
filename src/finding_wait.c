// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/* Findings about what requests wait for: locks, peers, the disk, clients. */
#include <stdio.h>
#include <string.h>

#include "finding_fact.h"
#include "units.h"

static bool is_lock(const struct report_lock *lock)
{
	return lock->kind == TP_LOCK_MUTEX || lock->kind == TP_LOCK_RWLOCK || lock->kind == TP_LOCK_GIL;
}

static double larger(double a, double b)
{
	return a > b ? a : b;
}

/* The part of the requests' time in @state that is due to @ns of the @all_ns that threads waited in it. */
static double part_of(const struct finding_facts *f, enum tp_state state, double ns, double all_ns)
{
	if (f->r->have_threads)
		all_ns = larger(all_ns, (double)f->r->state_ns[state]);
	return all_ns > 0 ? f->part_ns[state] * ns / all_ns : 0;
}

/* --- locks --- */

/* The GIL, or the lock beside it, that was waited for longest; the requests' part of that in @ns. */
static const struct report_lock *longest(const struct finding_facts *f, bool gil, double *ns)
{
	const struct report_lock *most = NULL;
	double all_ns = 0;

	for (size_t i = 0; f->r->have_locks && i < f->r->nr_locks; i++) {
		const struct report_lock *lock = &f->r->locks[i];

		if (!is_lock(lock))
			continue;
		all_ns += (double)lock->wait_ns;
		if ((lock->kind == TP_LOCK_GIL) == gil && (!most || lock->wait_ns > most->wait_ns))
			most = lock;
	}
	*ns = most ? part_of(f, TP_LOCK, (double)most->wait_ns, all_ns) : 0;
	return most;
}

/* Who kept the others waiting, and with what: measured while they waited, or else what it did all the time. */
static void say_holder(const struct finding_facts *f, const struct report_lock *lock, struct report_finding *finding)
{
	const struct report_holder *holder = lock->nr_holders ? &lock->holders[0] : NULL;
	const struct report_thread *thread = facts__thread(f, holder ? holder->tid : lock->owner_tid);
	uint32_t tid = holder ? holder->tid : lock->owner_tid;
	const char *comm = holder && holder->comm[0] ? holder->comm : thread ? thread->comm : "";
	enum tp_state state = TP_CPU;
	double share = 0;

	finding__add_count(finding, "holder_tid", tid ? tid : TP_UNKNOWN);
	if (!tid)
		return;
	finding__add_name(finding, "holder", comm, TP_COMM_LEN);
	finding__say(finding, "; %s by %.*s (tid %u)", lock->nr_holders > 1 ? "held mostly" : "held", TP_COMM_LEN, comm,
		     tid);
	if (holder)
		state = states__main(holder->state_ns, 0, &share);
	if (!share && thread)
		state = states__main(thread->state_ns, 1U << TP_IDLE | 1U << TP_LOCK, &share);
	if (!share)
		return;
	finding__add_text(finding, "holder_state", tp_part_names[state]);
	finding__add_ratio(finding, "holder_state_ratio", share);
	finding__say(finding, ", %s of it in %s", PERCENT(share, 1.0), tp_part_names[state]);
}

bool rule__lock_bound(const struct finding_facts *f, struct report_finding *finding)
{
	double ns;
	const struct report_lock *lock = longest(f, false, &ns);
	char share[64], each[64], name[MAX_QUOTED + 32];

	if (!lock || !facts__is_worth(f, ns))
		return false;
	finding__add_share(finding, f, ns);
	if (lock->name[0])
		snprintf(name, sizeof(name), "%.*s", MAX_QUOTED, lock->name);
	else
		snprintf(name, sizeof(name), "at 0x%llx", (unsigned long long)lock->addr);
	finding__say(finding, "%s is waiting for the %s %s%s", facts__share_text(f, ns, share),
		     tp_lock_kind_name(lock->kind), name, facts__each_text(f, ns, each));
	finding__add_text(finding, "lock", name);
	finding__add_count(finding, "waits", lock->waits);
	finding__add_count(finding, "longest_wait_ns", lock->max_ns);
	finding__add_text(finding, "site", lock->site);
	say_holder(f, lock, finding);
	if (f->queue_ns / ((double)f->r->duration_ns + 1) >= limit(LIMIT_LOAD))
		finding__add_ratio(finding, "queued_avg", f->queue_ns / (double)f->r->duration_ns);
	finding__advise(finding, "do less while it is held, or split it; more threads would only wait for it too, "
				 "and make it worse");
	return true;
}

bool rule__gil_bound(const struct finding_facts *f, struct report_finding *finding)
{
	double ns, busy_ratio;
	const struct report_lock *lock = longest(f, true, &ns);
	uint64_t threads = facts__serving(f, &busy_ratio);
	char share[64], each[64];

	if (!lock || !facts__is_worth(f, ns))
		return false;
	finding__add_share(finding, f, ns);
	finding__say(finding, "%s is waiting for Python's GIL%s: of %s threads that serve, one computes at a time",
		     facts__share_text(f, ns, share), facts__each_text(f, ns, each), COUNT(threads, 9));
	finding__add_count(finding, "waits", lock->waits);
	finding__add_count(finding, "longest_wait_ns", lock->max_ns);
	finding__add_count(finding, "serving_threads", threads);
	finding__add_ratio(finding, "cpus_used", (double)f->r->state_ns[TP_CPU] / ((double)f->r->duration_ns + 1));
	finding__advise(finding, "more threads will not help, more processes will (or less Python per request: see "
				 "what computes with py-spy or perf)");
	return true;
}

/* --- the network --- */

static double client_ns(const struct finding_facts *f)
{
	return (double)f->r->client_wait_ns[TP_CLIENT_SEND] + (double)f->r->client_wait_ns[TP_CLIENT_READ];
}

/* The requests' waiting for the network that belongs to no client and to no peer of the list: an event loop's. */
static double unnamed_ns(const struct finding_facts *f, double named_ns)
{
	double ns = (double)f->r->state_ns[TP_NET] - named_ns;

	return f->r->have_threads && ns > 0 ? part_of(f, TP_NET, ns, 0) : 0;
}

bool rule__waiting_for_peer(const struct finding_facts *f, struct report_finding *finding)
{
	const struct report_peer *peer = f->r->have_peers && f->r->nr_peers ? f->r->peers : NULL;
	double all_ns = client_ns(f), ns, unnamed;
	char share[64], each[64];

	for (size_t i = 0; peer && i < f->r->nr_peers; i++)
		all_ns += (double)f->r->peers[i].wait_ns;
	ns = peer ? part_of(f, TP_NET, (double)peer->wait_ns, all_ns) : 0;
	unnamed = unnamed_ns(f, all_ns);
	if (unnamed > ns) {
		peer = NULL;
		ns = unnamed;
	}
	if (!facts__is_worth(f, ns))
		return false;
	finding__add_share(finding, f, ns);
	finding__add_text(finding, "peer", peer ? peer->addr : NULL);
	finding__add_text(finding, "peer_name", peer ? peer->name : NULL);
	if (!peer) {
		finding__say(finding, "%s is waiting in a poll of many connections%s: for peers, or clients, that "
				      "threadprof can't tell", facts__share_text(f, ns, share),
			     facts__each_text(f, ns, each));
		finding__advise(finding, "look at what this server asks others for; 'ss -tnp' lists its connections");
		return true;
	}
	finding__add_count(finding, "waits", peer->waits);
	finding__add_ns(finding, "mean_wait_ns", peer->waits ? (double)peer->wait_ns / (double)peer->waits : 0);
	finding__say(finding, "%s is waiting for %.*s%s, %s a time", facts__share_text(f, ns, share), MAX_QUOTED,
		     peer->name[0] ? peer->name : peer->addr, facts__each_text(f, ns, each),
		     DURATION(peer->waits ? peer->wait_ns / peer->waits : peer->wait_ns));
	finding__advise(finding, "see why that peer is slow, or ask it less: fewer, larger or cached questions");
	return true;
}

bool rule__slow_client(const struct finding_facts *f, struct report_finding *finding)
{
	/* Either as measured or, where requests began long before the interval, as its part of their waiting. */
	double ns = larger(client_ns(f), part_of(f, TP_NET, client_ns(f), 0));
	const struct report_request *slow = NULL;
	uint64_t send_ns = f->r->client_wait_ns[TP_CLIENT_SEND], read_ns = f->r->client_wait_ns[TP_CLIENT_READ];
	char share[64], each[64];

	if (!facts__is_worth(f, ns))
		return false;
	for (size_t i = 0; i < f->r->nr_slow; i++) {
		if (!slow || f->r->slow[i].r.part_ns[TP_NET] > slow->r.part_ns[TP_NET])
			slow = &f->r->slow[i];
	}
	finding__add_share(finding, f, ns);
	finding__add_count(finding, "blocked_send_ns", send_ns);
	finding__add_count(finding, "rest_of_request_ns", read_ns);
	finding__add_text(finding, "client", slow ? slow->client : NULL);
	finding__say(finding, "%s is waiting for clients%s%s%s", facts__share_text(f, ns, share),
		     send_ns >= read_ns ? " to take the response" : " to send the rest of their request",
		     facts__each_text(f, ns, each), slow && slow->client[0] ? ", such as " : "");
	if (slow)
		finding__say(finding, "%.*s", MAX_QUOTED, slow->client);
	finding__advise(finding, "keep slow clients off these threads: a buffering proxy in front, a time limit, "
				 "an event loop");
	return true;
}

/* --- the disk --- */

bool rule__disk_bound(const struct finding_facts *f, struct report_finding *finding)
{
	const struct report_file *file = f->r->have_peers && f->r->nr_files ? f->r->files : NULL;
	double ns = f->part_ns[TP_DISK], named;
	char share[64], each[64];

	if (!facts__is_worth(f, ns))
		return false;
	finding__add_share(finding, f, ns);
	finding__say(finding, "%s is waiting for the disk%s", facts__share_text(f, ns, share),
		     facts__each_text(f, ns, each));
	finding__add_text(finding, "file", file ? file->name : NULL);
	if (file) {
		named = part_of(f, TP_DISK, (double)file->wait_ns, 0) / ns;
		finding__add_ratio(finding, "file_ratio", named);
		finding__add_count(finding, "waits", file->waits);
		finding__say(finding, ", %s of it for the file %.*s", PERCENT(named, 1.0), MAX_QUOTED + 16,
			     file->name);
	}
	finding__advise(finding, "see how busy that device is (iostat -x), and whether each request must wait for it "
				 "(fsync, O_DIRECT, a cold cache)");
	return true;
}
