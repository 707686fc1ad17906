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

/* --- peers --- */

/* The one that threads slept for longest; the requests' part of that in @ns. @all_ns: of all peers and clients. */
static const struct report_peer *most_awaited(const struct finding_facts *f, double all_ns, double *ns)
{
	const struct report_peer *most = NULL;

	for (size_t i = 0; f->r->have_peers && i < f->r->nr_peers; i++) {
		if (!most || f->r->peers[i].wait_ns > most->wait_ns)
			most = &f->r->peers[i];
	}
	*ns = most ? part_of(f, TP_NET, (double)most->wait_ns, all_ns) : 0;
	return most;
}

/* What its answers took, but for what a thread slept for it alone. An open question belongs to an open request. */
static double polled_ns(const struct finding_facts *f, const struct report_peer *peer)
{
	double ns = (double)peer->answer_ns + (f->of_requests ? 0 : (double)peer->unanswered_ns);

	return ns > (double)peer->wait_ns ? ns - (double)peer->wait_ns : 0;
}

/*
 * The one whose answers took longest while threads slept in polls, for @unnamed_ns of the requests' time; its part
 * of that in @ns. A request's time is its own; a thread's is shared by all that it waits for at once.
 */
static const struct report_peer *most_polled(const struct finding_facts *f, double unnamed_ns, double *ns)
{
	const struct report_peer *most = NULL;
	double all_ns = 0, most_ns = 0;

	for (size_t i = 0; f->r->have_peers && i < f->r->nr_peers; i++) {
		double peer_ns = polled_ns(f, &f->r->peers[i]);

		all_ns += peer_ns;
		if (peer_ns > most_ns) {
			most = &f->r->peers[i];
			most_ns = peer_ns;
		}
	}
	if (!f->of_requests && all_ns > unnamed_ns)
		most_ns *= unnamed_ns / all_ns;
	*ns = most_ns < unnamed_ns ? most_ns : unnamed_ns;
	return most;
}

static const char *peer__name(const struct report_peer *peer)
{
	return peer->name[0] ? peer->name : peer->addr;
}

static void say_awaited(const struct finding_facts *f, const struct report_peer *peer, double ns,
			struct report_finding *finding)
{
	char share[64], each[64];

	finding__add_count(finding, "waits", peer->waits);
	finding__add_ns(finding, "mean_wait_ns", peer->waits ? (double)peer->wait_ns / (double)peer->waits : 0);
	finding__say(finding, "%s is waiting for %.*s%s, %s a time", facts__share_text(f, ns, share), MAX_QUOTED,
		     peer__name(peer), facts__each_text(f, ns, each),
		     DURATION(peer->waits ? peer->wait_ns / peer->waits : peer->wait_ns));
}

static void say_polled(const struct finding_facts *f, const struct report_peer *peer, double ns,
		       struct report_finding *finding)
{
	char share[64], each[64];

	finding__add_count(finding, "answers", peer->answers);
	finding__add_count(finding, "mean_answer_ns", peer->answers ? peer->answer_ns / peer->answers : TP_UNKNOWN);
	finding__add_count(finding, "unanswered", peer->unanswered);
	finding__say(finding, "%s is waiting for answers of %.*s%s", facts__share_text(f, ns, share), MAX_QUOTED,
		     peer__name(peer), facts__each_text(f, ns, each));
	if (peer->answers)
		finding__say(finding, ", %s a time", DURATION(peer->answer_ns / peer->answers));
	if (peer->unanswered && !f->of_requests)
		finding__say(finding, "; %s of its connections %s asked something and gave no answer",
			     COUNT(peer->unanswered, 9), peer->unanswered == 1 ? "was" : "were");
}

/* Nobody knows for whom; @peer is the one that was asked most, or NULL. */
static void say_unnamed(const struct finding_facts *f, const struct report_peer *peer, double ns, double peer_ns,
			struct report_finding *finding)
{
	char share[64], each[64];

	finding__say(finding, "%s is waiting in a poll of many connections%s: for peers, or clients, that threadprof "
			      "can't tell", facts__share_text(f, ns, share), facts__each_text(f, ns, each));
	if (peer)
		finding__say(finding, "; it saw questions to %.*s, whose answers explain %s", MAX_QUOTED,
			     peer__name(peer), PERCENT(facts__share(f, peer_ns), 1.0));
	finding__advise(finding, "look at what this server asks others for; 'ss -tnp' lists its connections");
}

bool rule__waiting_for_peer(const struct finding_facts *f, struct report_finding *finding)
{
	double all_ns = client_ns(f), unnamed_ns, slept_ns, polled_ns, ns;
	const struct report_peer *slept, *polled, *peer = NULL;

	for (size_t i = 0; f->r->have_peers && i < f->r->nr_peers; i++)
		all_ns += (double)f->r->peers[i].wait_ns;
	unnamed_ns = (double)f->r->state_ns[TP_NET] - all_ns;
	unnamed_ns = f->r->have_threads && unnamed_ns > 0 ? part_of(f, TP_NET, unnamed_ns, 0) : 0;
	slept = most_awaited(f, all_ns, &slept_ns);
	polled = most_polled(f, unnamed_ns, &polled_ns);
	ns = larger(slept_ns, larger(polled_ns, unnamed_ns - polled_ns));
	if (!facts__is_worth(f, ns))
		return false;
	if (ns == slept_ns)
		peer = slept;
	else if (ns == polled_ns)
		peer = polled;
	finding__add_share(finding, f, ns);
	finding__add_text(finding, "peer", peer ? peer->addr : NULL);
	finding__add_text(finding, "peer_name", peer ? peer->name : NULL);
	if (!peer) {
		say_unnamed(f, polled, ns, polled_ns, finding);
		return true;
	}
	if (ns == slept_ns)
		say_awaited(f, peer, ns, finding);
	else
		say_polled(f, peer, ns, finding);
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
