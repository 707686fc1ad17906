// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "lock_probes.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "array.h"
#include "clock.h"
#include "lock_library.h"
#include "log.h"
#include "units.h"
#include "uprobe.h"

/* Links take descriptors, and the kernel time at each fork and exec. */
#define MAX_PROCESSES 64
/* A program maps its libraries some milliseconds after its exec, or much later by dlopen(). */
#define SOON_NS (NS_PER_SEC / 20)
#define SOON_TRIES 10
#define LATER_NS (60 * NS_PER_SEC)
/* How often it is asked whether a process has put itself under a seccomp filter. */
#define FILTER_NS NS_PER_SEC
/* Over which the rate of calls is told when it was too high. */
#define RATE_NS (NS_PER_SEC / 20)

#define MAX_LINKS (LOCK_LIBRARIES_MAX * 2 * UPROBE_MAX_PLACES)

struct file_id {
	uint64_t dev;
	uint64_t inode;
};

struct probed {
	uint32_t tgid;
	uint64_t due_ns; /* to look at it next */
	unsigned int tries;
	int err; /* of the attach */
	struct lock_refusal refusal;
	struct file_id files[LOCK_LIBRARIES_MAX]; /* that have probes */
	size_t nr_files;
	int links[MAX_LINKS];
	size_t nr_links;
};

struct lock_probes {
	struct session *session;
	struct session_lock_calls programs;
	int err; /* of the programs, or of the measurement of what a call costs */
	double max_ratio;
	uint64_t call_cost_ns;
	struct probed **list;
	size_t nr;
	size_t capacity;
	size_t nr_left_out; /* beyond MAX_PROCESSES */
	bool tripped;
	bool paused; /* for the sake of --max-overhead; the guard is not in force */
	uint64_t filter_due_ns;
	uint64_t calls_before; /* the interval */
	uint64_t rate_since_ns;
	uint64_t rate_calls;
	char reason[256];
	char said[256]; /* the reason that lock_probes__feature() told last */
	bool has_said;
};

/* --- what a call costs --- */

#define NR_BATCHES 9
#define CALLS_PER_BATCH 40

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* The median, so that a batch in which we lost the CPU does not count. */
static uint64_t time_calls(void)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	uint64_t batches[NR_BATCHES];

	for (int i = 0; i < NR_BATCHES; i++) {
		uint64_t begin_ns = clock__now_ns();

		for (int j = 0; j < CALLS_PER_BATCH; j++) {
			pthread_mutex_lock(&mutex);
			pthread_mutex_unlock(&mutex);
		}
		batches[i] = (clock__now_ns() - begin_ns) / CALLS_PER_BATCH;
	}
	qsort(batches, NR_BATCHES, sizeof(*batches), by_value);
	return batches[NR_BATCHES / 2];
}

static int attach_pair(const struct lock_probes *probes, uint32_t tgid, const struct lock_library *library,
		       int *links, size_t *nr)
{
	struct uprobe probe = {
		.program_fd = probes->programs.return_fd,
		.is_multi = probes->programs.is_multi,
		.is_return = true,
		.pid = tgid,
		.file_fd = library->fd,
		.places = library->places,
		.nr_places = library->nr_places,
	};
	/* The returns first: no call is seen to begin whose end would not be. */
	int err = uprobe__attach(&probe, links, nr);

	probe.program_fd = probes->programs.enter_fd;
	probe.is_return = false;
	return err ? err : uprobe__attach(&probe, links, nr);
}

static void ignore_sum(void *context, const void *key, const void *value)
{
	(void)context;
	(void)key;
	(void)value;
}

/* On our own pthread_mutex_lock(), with the same programs that the target gets. */
static int calibrate(struct lock_probes *probes)
{
	struct tp_lock_guard *guard = probes->programs.guard;
	struct lock_library library;
	int links[2 * UPROBE_MAX_PLACES];
	size_t nr_links = 0;
	int err = lock_library__own(&library);

	if (err)
		return err;
	guard->own_tgid = getpid();
	guard->on = 1;
	err = attach_pair(probes, getpid(), &library, links, &nr_links);
	if (!err)
		probes->call_cost_ns = time_calls();
	uprobe__close(links, nr_links);
	close(library.fd);
	if (!err && guard->calls < NR_BATCHES * CALLS_PER_BATCH)
		err = -EOPNOTSUPP;
	guard->own_tgid = 0;
	guard->calls = 0;
	guard->paid_until_ns = 0;
	guard->price_ns = probes->call_cost_ns / probes->max_ratio;
	session__take_sums(probes->session, SUMS_LOCK_CALLS, 0, ignore_sum, NULL);
	session__take_sums(probes->session, SUMS_LOCK_LENGTHS, 0, ignore_sum, NULL);
	log__debug("a probed call of a lock function costs %" PRIu64 " ns here", probes->call_cost_ns);
	return err;
}

struct lock_probes *lock_probes__new(struct session *session, double max_ratio)
{
	struct lock_probes *probes = calloc(1, sizeof(*probes));

	if (!probes)
		return NULL;
	probes->session = session;
	probes->max_ratio = max_ratio;
	if (session__lock_calls(session, &probes->programs))
		probes->err = calibrate(probes);
	else
		probes->err = session__part_error(session, SESSION_LOCK_CALLS);
	if (probes->err)
		snprintf(probes->reason, sizeof(probes->reason),
			 "the kernel lets no probes be put on lock functions%s (%s)",
			 session__has_kernel_btf(session) ? "" : " without BTF of its own", strerror(-probes->err));
	return probes;
}

/* --- processes --- */

static struct probed *find(const struct lock_probes *probes, uint32_t tgid)
{
	for (size_t i = 0; i < probes->nr; i++) {
		if (probes->list[i]->tgid == tgid)
			return probes->list[i];
	}
	return NULL;
}

int lock_probes__on_process(struct lock_probes *probes, uint32_t tgid, bool has_begun, uint64_t due_ns)
{
	struct probed *probed = find(probes, tgid), **grown;

	if (probes->err || probes->tripped)
		return 0;
	if (!probed) {
		if (probes->nr == MAX_PROCESSES) {
			probes->nr_left_out++;
			return 0;
		}
		grown = array__grow(probes->list, probes->nr, &probes->capacity, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		probes->list = grown;
		probed = calloc(1, sizeof(*probed));
		if (!probed)
			return -ENOMEM;
		probes->list[probes->nr++] = probed;
		probed->tgid = tgid;
	}
	probed->due_ns = due_ns;
	probed->tries = has_begun ? 0 : SOON_TRIES;
	return 0;
}

void lock_probes__on_exit(struct lock_probes *probes, uint32_t tgid)
{
	for (size_t i = 0; i < probes->nr; i++) {
		struct probed *probed = probes->list[i];

		if (probed->tgid != tgid)
			continue;
		uprobe__close_later(probed->links, probed->nr_links);
		free(probed);
		probes->list[i] = probes->list[--probes->nr];
		return;
	}
}

static bool has_file(const struct probed *probed, const struct lock_library *library)
{
	for (size_t i = 0; i < probed->nr_files; i++) {
		if (probed->files[i].dev == library->dev && probed->files[i].inode == library->inode)
			return true;
	}
	return false;
}

static int attach_library(const struct lock_probes *probes, struct probed *probed, const struct lock_library *library)
{
	int err;

	/* After an exec the files that it has had before keep their probes. */
	if (has_file(probed, library))
		return 0;
	if (probed->nr_files == LOCK_LIBRARIES_MAX || probed->nr_links + 2 * library->nr_places > MAX_LINKS)
		return -E2BIG;
	err = attach_pair(probes, probed->tgid, library, probed->links, &probed->nr_links);
	if (!err)
		probed->files[probed->nr_files++] =
			(struct file_id){ .dev = library->dev, .inode = library->inode };
	return err;
}

static void close_links(struct probed *probed)
{
	uprobe__close(probed->links, probed->nr_links);
	probed->nr_links = 0;
	probed->nr_files = 0;
}

static void look_at(struct lock_probes *probes, struct probed *probed, uint64_t now_ns)
{
	struct lock_library libraries[LOCK_LIBRARIES_MAX];
	int nr = lock_library__find(probed->tgid, libraries, &probed->refusal);

	probed->due_ns = now_ns + LATER_NS;
	probed->err = nr < 0 ? nr : 0;
	for (int i = 0; i < nr; i++) {
		if (!probed->err && !probes->programs.guard->tripped_ns)
			probed->err = attach_library(probes, probed, &libraries[i]);
		close(libraries[i].fd);
	}
	if (probed->err || nr == 0)
		close_links(probed);
	if (nr == 0 && probed->tries < SOON_TRIES) {
		probed->tries++;
		probed->due_ns = now_ns + SOON_NS;
	}
}

/* --- the guard --- */

/* All links of all processes, which have none then; NULL without memory, or where there are none. */
static int *collect_links(struct lock_probes *probes, size_t *nr)
{
	size_t count = 0;
	int *links;

	for (size_t i = 0; i < probes->nr; i++)
		count += probes->list[i]->nr_links;
	*nr = 0;
	links = count ? calloc(count, sizeof(*links)) : NULL;
	for (size_t i = 0; i < probes->nr && links; i++) {
		struct probed *probed = probes->list[i];

		memcpy(links + *nr, probed->links, probed->nr_links * sizeof(*links));
		*nr += probed->nr_links;
		probed->nr_links = 0;
		probed->nr_files = 0;
	}
	return links;
}

/* All at once, for each takes its time. @later: nobody waits until they are gone. */
static void take_away(struct lock_probes *probes, bool later)
{
	size_t nr;
	int *links;

	if (probes->programs.guard)
		probes->programs.guard->on = 0;
	links = collect_links(probes, &nr);
	if (later && links) {
		uprobe__close_all_later(links, nr);
		return;
	}
	if (links)
		uprobe__close(links, nr);
	free(links);
	for (size_t i = 0; i < probes->nr; i++)
		close_links(probes->list[i]);
}

void lock_probes__detach(struct lock_probes *probes)
{
	take_away(probes, false);
	for (size_t i = 0; i < probes->nr; i++)
		free(probes->list[i]);
	probes->nr = 0;
}

static void trip(struct lock_probes *probes)
{
	const struct tp_lock_guard *guard = probes->programs.guard;
	uint64_t calls = guard->calls - probes->rate_calls, ns = guard->tripped_ns - probes->rate_since_ns;
	double rate = ns ? calls * 1e9 / ns : 0, limit = probes->max_ratio;
	uint64_t begin_ns = clock__now_ns(), gone_ns;

	probes->tripped = true;
	snprintf(probes->reason, sizeof(probes->reason),
		 "the probes on lock functions were taken away: %s calls at %s each cost more than %s of a CPU",
		 RATE(rate), DURATION(probes->call_cost_ns), PERCENT(limit, 1));
	lock_probes__detach(probes);
	gone_ns = clock__now_ns();
	log__debug("the probes were gone %s after the guard had tripped, of which detaching took %s",
		   DURATION(gone_ns - guard->tripped_ns), DURATION(gone_ns - begin_ns));
}

/* They could never be put in, or the guard has put an end to them. */
static bool are_over(const struct lock_probes *probes)
{
	return probes->err || probes->tripped || probes->programs.guard->tripped_ns;
}

static bool any_links(const struct lock_probes *probes)
{
	for (size_t i = 0; i < probes->nr; i++) {
		if (probes->list[i]->nr_links)
			return true;
	}
	return false;
}

bool lock_probes__are_in(const struct lock_probes *probes)
{
	return !are_over(probes) && (probes->paused || any_links(probes));
}

void lock_probes__pause(struct lock_probes *probes, bool is_paused, uint64_t now_ns)
{
	struct tp_lock_guard *guard = probes->programs.guard;

	if (are_over(probes) || is_paused == probes->paused)
		return;
	probes->paused = is_paused;
	guard->on = !is_paused;
	/* A call that has begun before may end unseen. */
	guard->since_ns = now_ns;
	if (is_paused)
		take_away(probes, true); /* the ring buffer fills up meanwhile */
	for (size_t i = 0; i < probes->nr && !is_paused; i++)
		probes->list[i]->due_ns = now_ns;
}

static void look_for_filters(struct lock_probes *probes, uint64_t now_ns)
{
	if (now_ns < probes->filter_due_ns)
		return;
	probes->filter_due_ns = now_ns + FILTER_NS;
	for (size_t i = 0; i < probes->nr; i++) {
		if (probes->list[i]->nr_links && lock_library__is_filtered(probes->list[i]->tgid))
			probes->list[i]->due_ns = now_ns;
	}
}

void lock_probes__run(struct lock_probes *probes, uint64_t now_ns)
{
	const struct tp_lock_guard *guard = probes->programs.guard;

	if (probes->err || probes->tripped)
		return;
	look_for_filters(probes, now_ns);
	for (size_t i = 0; i < probes->nr && !guard->tripped_ns && !probes->paused; i++) {
		struct probed *probed = probes->list[i];

		if (probed->due_ns <= now_ns)
			look_at(probes, probed, now_ns);
	}
	if (guard->tripped_ns) {
		trip(probes);
	} else if (now_ns - probes->rate_since_ns >= RATE_NS) {
		probes->rate_since_ns = now_ns;
		probes->rate_calls = guard->calls;
	}
}

/* --- what is to be said --- */

/* The reason of the first process that has no probes; how many have none. */
static size_t count_refused(const struct lock_probes *probes, const char **reason, const char **remedy,
			    uint32_t *tgid)
{
	size_t nr = 0;

	for (size_t i = probes->nr; i-- > 0;) {
		const struct probed *probed = probes->list[i];

		if (probed->nr_links || probed->tries < SOON_TRIES || probed->err == -ESRCH)
			continue;
		*reason = probed->refusal.reason ? probed->refusal.reason : strerror(-probed->err);
		*remedy = probed->refusal.remedy ? probed->refusal.remedy : "run with --verbose for the kernel's words";
		*tgid = probed->tgid;
		nr++;
	}
	return nr;
}

static void say(struct lock_probes *probes, const char **remedy)
{
	const char *reason = NULL;
	uint32_t tgid = 0;
	size_t refused;

	*remedy = session__has_kernel_btf(probes->session) ?
			  "a newer kernel, or --locks=scheduler" :
			  "a kernel built with CONFIG_DEBUG_INFO_BTF=y, or --locks=scheduler";
	if (probes->err)
		return;
	if (probes->tripped) {
		*remedy = "--locks=scheduler, or a higher --max-overhead";
		return;
	}
	probes->reason[0] = '\0';
	if (probes->paused) {
		*remedy = "a higher --max-overhead";
		snprintf(probes->reason, sizeof(probes->reason),
			 "the probes on lock functions are taken away as long as measuring costs more than %s of a CPU",
			 PERCENT(probes->max_ratio, 1));
		return;
	}
	refused = count_refused(probes, &reason, remedy, &tgid);
	if (refused > 1 || (refused && probes->nr > refused))
		snprintf(probes->reason, sizeof(probes->reason),
			 "no probes on the lock functions of %zu of %zu processes; process %" PRIu32 ": %s", refused,
			 probes->nr, tgid, reason);
	else if (refused)
		snprintf(probes->reason, sizeof(probes->reason), "no probes on the lock functions of process %" PRIu32
			 ": %s", tgid, reason);
	else if (probes->nr_left_out)
		snprintf(probes->reason, sizeof(probes->reason),
			 "lock functions are probed in at most %d processes: %zu have no probes", MAX_PROCESSES,
			 probes->nr_left_out);
	else if (!probes->programs.is_multi)
		snprintf(probes->reason, sizeof(probes->reason),
			 "this kernel takes probes away one by one: they may stay for seconds after they cost too much");
}

bool lock_probes__feature(struct lock_probes *probes, struct report_feature *feature)
{
	const char *remedy;
	bool has_changed;

	say(probes, &remedy);
	has_changed = !probes->has_said || strcmp(probes->said, probes->reason);
	probes->has_said = true;
	memcpy(probes->said, probes->reason, sizeof(probes->said));
	*feature = (struct report_feature){
		.name = "locks",
		.state = probes->reason[0] ? "fallback" : "on",
		.reason = probes->reason[0] ? probes->reason : NULL,
		.remedy = probes->reason[0] ? remedy : NULL,
	};
	return has_changed;
}

void lock_probes__report(struct lock_probes *probes, struct report *report)
{
	uint64_t calls = probes->programs.guard ? probes->programs.guard->calls : 0;
	const char *remedy;

	say(probes, &remedy);
	report->lock_probes = (struct report_lock_probes){
		.are_asked_for = true,
		.are_in = any_links(probes),
		.calls = calls - probes->calls_before,
		.call_cost_ns = probes->call_cost_ns,
		.cost_ns = (calls - probes->calls_before) * probes->call_cost_ns,
		.reason = probes->reason,
	};
	probes->calls_before = calls;
}

void lock_probes__free(struct lock_probes *probes)
{
	if (!probes)
		return;
	lock_probes__detach(probes);
	free(probes->list);
	free(probes);
}
