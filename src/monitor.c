// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "baseline.h"
#include "clock.h"
#include "collect.h"
#include "command.h"
#include "end_signals.h"
#include "escape.h"
#include "feature.h"
#include "folded.h"
#include "findings.h"
#include "json.h"
#include "log.h"
#include "pidns.h"
#include "probes.h"
#include "rights.h"
#include "session.h"
#include "target.h"
#include "text.h"
#include "writer.h"

/* The reader comes this often by itself; the ring buffer calls only if it fills up faster. */
#define DRAIN_NS (NS_PER_SEC / 20)
/* How long the last report waits for a reader that takes nothing: after a signal, and otherwise. */
#define PATIENCE_SIGNALLED_MS 500
#define PATIENCE_MS 10000
#define NR_SLOWEST 5
/* How often a cgroup is looked at for processes that were moved into it; forks are seen as they happen. */
#define SCOPE_NS NS_PER_SEC
/*
 * A response is taken for complete when nothing followed its last write for this long, or a tenth of the
 * interval if that is less. Shorter, and a slow stream would be counted before its end; longer, and more of
 * the last requests of idle connections would be reported an interval late.
 */
#define QUIET_NS NS_PER_SEC

enum event { EVENT_DRAIN, EVENT_INTERVAL, EVENT_END, EVENT_SIGNAL, EVENT_TARGET, EVENT_SCOPE };

struct monitor {
	const struct options *options;
	struct targets targets;
	struct scope scope; /* whose processes are the targets */
	struct session *session;
	struct collector collector;
	struct report_feature features[NR_FEATURES + RIGHTS_NR_FEATURES];
	struct findings *findings;
	struct baseline *baseline; /* NULL: nothing to compare with */
	struct writer writer;
	struct command command;
	int epoll_fd;
	int drain_fd;
	int interval_fd;
	int end_fd;
	int scope_fd;
	int signal_fd;
	uint64_t nr_reports;
	uint64_t dropped_before; /* reports whose loss was told */
	int bursts_error; /* why bursts are not seen; 0: they are */
	bool signalled;
	bool done;
};

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* --- set-up --- */

static int watch(struct monitor *m, int fd, enum event event)
{
	struct epoll_event request = { .events = EPOLLIN, .data.u32 = event };

	if (fd < 0 || epoll_ctl(m->epoll_fd, EPOLL_CTL_ADD, fd, &request))
		return log__fail(-errno, "cannot wait for events: %s", strerror(errno));
	return 0;
}

/* A timer that fires after @first_ns, then every @period_ns; 0: once. */
static int start_timer(struct monitor *m, int *fd, uint64_t first_ns, uint64_t period_ns, enum event event)
{
	struct itimerspec spec = {
		.it_value = { .tv_sec = first_ns / NS_PER_SEC, .tv_nsec = first_ns % NS_PER_SEC },
		.it_interval = { .tv_sec = period_ns / NS_PER_SEC, .tv_nsec = period_ns % NS_PER_SEC },
	};

	*fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (*fd < 0 || timerfd_settime(*fd, 0, &spec, NULL))
		return log__fail(-errno, "cannot start a timer: %s", strerror(errno));
	return watch(m, *fd, event);
}

static int take_signals(struct monitor *m)
{
	int err;

	m->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (m->epoll_fd < 0)
		return log__fail(-errno, "cannot wait for events: %s", strerror(errno));
	err = end_signals__take(&m->signal_fd);
	return err ?: watch(m, m->signal_fd, EVENT_SIGNAL);
}

static int find_scope(struct monitor *m)
{
	const struct options *options = m->options;
	int err = options->cgroup ? scope__find_cgroup(&m->scope, options->cgroup) :
				    scope__find_container(&m->scope, options->container);
	int found = err ? 0 : targets__add_scope(&m->targets, &m->scope);

	if (err)
		return err;
	if (found < 0)
		return log__fail(found, "cannot read which processes are in %s: %s", m->scope.path, strerror(-found));
	return found ? 0 : log__fail(-ESRCH, "no process is in %s", m->scope.path);
}

static int find_targets(struct monitor *m)
{
	int err;

	if (m->options->cgroup || m->options->container) {
		err = find_scope(m);
	} else if (m->options->command) {
		err = command__start(&m->command, m->options->command);
		if (!err)
			err = targets__add(&m->targets, m->command.pid, m->options->command[0], m->command.pidfd);
		m->command.pidfd = -1; /* the target's now */
	} else {
		err = targets__parse(&m->targets, m->options->pids);
	}
	for (size_t i = 0; i < m->targets.nr && !err && !m->scope.path[0]; i++)
		err = watch(m, m->targets.list[i].pidfd, EVENT_TARGET);
	return err;
}

/* Such a probe is a perf event, which takes CAP_SYS_ADMIN, also for the processes to come. */
static bool probes_one_by_one(const struct monitor *m)
{
	struct session_lock_calls calls;

	return session__lock_calls(m->session, &calls) && !calls.is_multi;
}

static void drop_rights(void)
{
	int err = rights__drop();

	if (err)
		log__warn("cannot give up the rights that are no longer needed: %s", strerror(-err));
}

/* Before the target's threads are adopted, from when on all counts: no wait is seen without its call. */
static int probe_locks(struct monitor *m)
{
	uint64_t now_ns = clock__now_ns();
	int err = 0;

	m->collector.lock_probes = lock_probes__new(m->session, m->options->max_overhead_ratio);
	if (!m->collector.lock_probes)
		return -ENOMEM;
	/* A command is not itself before its exec, which will be told. */
	for (size_t i = 0; i < m->targets.nr && !err && !m->options->command; i++)
		err = lock_probes__on_process(m->collector.lock_probes, m->targets.list[i].tgid, false, now_ns);
	lock_probes__run(m->collector.lock_probes, now_ns);
	return err;
}

static int attach(struct monitor *m)
{
	const struct options *options = m->options;
	const struct session_config config = {
		.follow_forks = options->follow,
		.ring_bytes = options->ring_bytes,
		.max_conns = options->max_conns,
		.switch_probe = options->switch_probe,
		.locks = options->locks,
		.refuse = options->refuse,
		.stacks_of_all = options->folded,
	};
	const struct requests_config requests = {
		.slow_ns = options->slow_ns,
		.nr_slowest = NR_SLOWEST,
		.quiet_ns = options->interval_ns / 10 < QUIET_NS ? options->interval_ns / 10 : QUIET_NS,
	};
	struct neighbours *neighbours = NULL;
	struct own_cost *cost;
	int err = session__open(&config, &m->session);

	if (!err)
		err = session__attach(m->session);
	/* After the fork probe is on: a child that is not in /proc yet will be seen by it. */
	if (!err && options->follow)
		err = targets__add_descendants(&m->targets);
	if (err)
		return err;
	/* A report without bursts is better than none. */
	m->bursts_error = neighbours__new(&neighbours);
	cost = own_cost__new(m->session, neighbours, options->max_overhead_ratio);
	/* After the last attach, before the first thread of ours. */
	if (!probes_one_by_one(m))
		drop_rights();
	err = collector__init(&m->collector, m->session, &m->targets, &requests, options->resolve);
	if (!err && !cost)
		err = -ENOMEM;
	if (err) {
		own_cost__free(cost);
		neighbours__free(neighbours);
	} else {
		m->collector.cost = cost;
		m->collector.neighbours = neighbours;
	}
	if (!err && options->folded)
		collector__keep_stacks(&m->collector);
	m->collector.counts_locks = options->locks != LOCKS_OFF;
	if (!err && options->locks == LOCKS_UPROBE)
		err = probe_locks(m);
	if (!err)
		err = collector__start(&m->collector);
	if (err)
		return log__fail(err, "cannot start to profile: %s", strerror(-err));
	return 0;
}

static int start_timers(struct monitor *m)
{
	const struct options *options = m->options;
	uint64_t scope_ns = options->interval_ns < SCOPE_NS ? options->interval_ns : SCOPE_NS;
	int err = start_timer(m, &m->drain_fd, DRAIN_NS, DRAIN_NS, EVENT_DRAIN);

	if (!err)
		err = start_timer(m, &m->interval_fd, options->interval_ns, options->interval_ns, EVENT_INTERVAL);
	if (!err && m->scope.path[0])
		err = start_timer(m, &m->scope_fd, scope_ns, scope_ns, EVENT_SCOPE);
	if (!err && options->duration_ns)
		err = start_timer(m, &m->end_fd, options->duration_ns, 0, EVENT_END);
	if (!err)
		err = watch(m, session__poll_fd(m->session), EVENT_DRAIN);
	return err;
}

/* --- output --- */

static size_t terminal_columns(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || !size.ws_col)
		return 80;
	return size.ws_col;
}

static int write_report(const struct monitor *m, FILE *out, const struct report *report)
{
	const struct options *options = m->options;
	struct text_options text = TEXT_OPTIONS_DEFAULT;

	if (options->json)
		return json__write_interval(out, report);
	text.columns = terminal_columns();
	text.color = options->color == COLOR_ALWAYS || (options->color == COLOR_AUTO && isatty(STDOUT_FILENO));
	text.top_threads = options->top_threads;
	return text__write_interval(out, report, &text);
}

/* Renders into memory, and hands it to the writer, which never blocks. */
static int submit(struct monitor *m, const struct report *report, const struct report_feature *feature)
{
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);
	struct timespec now;
	int err;

	if (!out)
		return -errno;
	clock_gettime(CLOCK_REALTIME, &now);
	err = report ? write_report(m, out, report) : json__write_feature(out, feature, &now, clock__now_ns());
	if (fclose(out) && !err)
		err = -errno;
	if (!err)
		writer__submit(&m->writer, text, length);
	free(text);
	return err;
}

static int say_feature(struct monitor *m, const struct report_feature *feature)
{
	if (feature->reason)
		log__warn("%s is %s: %s; remedy: %s", feature->name, feature->state, feature->reason, feature->remedy);
	return m->options->json ? submit(m, NULL, feature) : 0;
}

/* What is measured of locks may change while we run. */
static int say_locks(struct monitor *m)
{
	struct report_feature feature;

	if (!m->collector.lock_probes || !lock_probes__feature(m->collector.lock_probes, &feature))
		return 0;
	return say_feature(m, &feature);
}

static int say_features(struct monitor *m)
{
	const struct report_feature *features = m->features;
	int err = 0;

	features__read(m->session, m->bursts_error, own_cost__error(m->collector.cost), m->features);
	rights__features(&m->targets, m->features + NR_FEATURES);
	for (size_t i = 0; i < NR_FEATURES + RIGHTS_NR_FEATURES && !err; i++)
		err = say_feature(m, &features[i]);
	if (!err && m->options->locks != LOCKS_UPROBE)
		err = say_feature(m, feature__locks(m->options->locks));
	return err ? err : say_locks(m);
}

static void say_attached(const struct monitor *m)
{
	const struct target_process *first = &m->targets.list[0];
	char comm[ESCAPE_TERMINAL_SIZE(TP_COMM_LEN)];
	size_t children;

	escape__terminal(comm, sizeof(comm), first->comm, TP_COMM_LEN, sizeof(comm));
	if (m->targets.nr > 1)
		log__info("attached to %s (pid %u) and %zu more processes", comm, first->tgid, m->targets.nr - 1);
	else
		log__info("attached to %s (pid %u)", comm, first->tgid);
	if (m->options->follow || m->options->command)
		return;
	children = target__nr_children(first->tgid);
	if (children == 1)
		log__info("process %u has a child process that is not profiled: add -f if it does the work", first->tgid);
	else if (children)
		log__info("process %u has %zu child processes that are not profiled: add -f if they do the work",
			  first->tgid, children);
}

/* --- the loop --- */

static int end_interval(struct monitor *m, bool final)
{
	struct report report;
	uint64_t dropped;
	int err;

	targets__check(&m->targets);
	err = collector__report(&m->collector, final, &report);
	if (err)
		return err;
	report.features = m->features;
	report.nr_features = NR_FEATURES + RIGHTS_NR_FEATURES;
	findings__judge(m->findings, &report);
	if (m->baseline)
		baseline__compare(m->baseline, &report);
	report.partial = final && report.duration_ns + DRAIN_NS < m->options->interval_ns;
	dropped = m->writer.dropped;
	report.lost_reports = dropped - m->dropped_before;
	err = submit(m, &report, NULL);
	if (m->writer.dropped == dropped)
		m->dropped_before = dropped; /* else the report that tells it is lost as well */
	collector__next(&m->collector);
	m->nr_reports++;
	if (m->nr_reports == m->options->count || !m->targets.nr_alive)
		m->done = true;
	return err;
}

static void read_timer(int fd)
{
	uint64_t expirations;

	/* A timer that has not expired after all is no error. */
	if (read(fd, &expirations, sizeof(expirations)) < 0)
		return;
}

/* A reader that has had enough is no error; a full disk is. */
static int check_written(int err)
{
	if (!err || err == -EPIPE)
		return 0;
	return log__fail(err, "cannot write to standard output: %s", strerror(-err));
}

static int drain(struct monitor *m)
{
	struct report_feature changed;
	int err = collector__drain(&m->collector);

	if (!err)
		err = collector__sweep_if_due(&m->collector);
	if (err)
		return log__fail(err, "cannot read what the kernel recorded: %s", strerror(-err));
	err = say_locks(m);
	if (!err && collector__mind_cost(&m->collector, &changed))
		err = say_feature(m, &changed);
	if (!err)
		err = check_written(writer__flush(&m->writer));
	/* The record of an end may come before the event of its pidfd, which then never comes. */
	m->done = m->done || m->writer.closed || !m->targets.nr_alive;
	return err;
}

static int look_at_scope(struct monitor *m)
{
	int found = targets__add_scope(&m->targets, &m->scope), err;

	if (found < 0)
		return log__fail(found, "cannot read which processes are in %s: %s", m->scope.path, strerror(-found));
	err = found ? collector__admit(&m->collector) : 0;
	return err ? log__fail(err, "cannot follow a process that has joined %s: %s", m->scope.path, strerror(-err)) : 0;
}

static int handle(struct monitor *m, enum event event, bool *interval_due)
{
	switch (event) {
	case EVENT_DRAIN:
		read_timer(m->drain_fd);
		return drain(m);
	case EVENT_INTERVAL:
		read_timer(m->interval_fd);
		*interval_due = true;
		return 0;
	case EVENT_END:
		m->done = true;
		return 0;
	case EVENT_SIGNAL:
		m->signalled = end_signals__came(m->signal_fd);
		m->done = m->done || m->signalled;
		return 0;
	case EVENT_SCOPE:
		read_timer(m->scope_fd);
		return look_at_scope(m);
	case EVENT_TARGET:
		targets__check(&m->targets);
		m->done = m->done || !m->targets.nr_alive;
		return 0;
	}
	return 0;
}

static int loop(struct monitor *m)
{
	struct epoll_event events[8];
	int err = 0;

	while (!m->done && !err) {
		bool interval_due = false;
		int count = epoll_wait(m->epoll_fd, events, 8, -1);

		if (count < 0 && errno != EINTR)
			return log__fail(-errno, "cannot wait for events: %s", strerror(errno));
		for (int i = 0; i < count && !err; i++)
			err = handle(m, events[i].data.u32, &interval_due);
		if (!err && interval_due && !m->done)
			err = end_interval(m, false);
	}
	return err;
}

/* The last, partial interval, unless the last report has just been printed. */
static int finish(struct monitor *m)
{
	bool counted_out = m->options->count && m->nr_reports >= m->options->count;
	int err = 0, written;

	if (!counted_out && !m->writer.closed)
		err = end_interval(m, true);
	if (m->collector.lock_probes)
		lock_probes__detach(m->collector.lock_probes);
	session__detach(m->session);
	if (!err && m->options->folded) {
		err = collector__write_folded(&m->collector, m->options->folded);
		if (err)
			err = log__fail(err, "cannot write %s: %s", m->options->folded, strerror(-err));
	}
	written = writer__finish(&m->writer, m->signalled ? PATIENCE_SIGNALLED_MS : PATIENCE_MS);
	if (written == -ETIMEDOUT)
		log__warn("nobody reads the output: what was left of it is lost");
	else if (!err)
		err = check_written(written);
	return err;
}

/* A descriptor of our own would take the place of one that is closed. */
static int check_stdout(void)
{
	if (fcntl(STDOUT_FILENO, F_GETFD) < 0)
		return log__fail(-errno, "standard output is closed: there is nowhere to write reports to");
	return 0;
}

/* Better now than after an hour of measuring. */
static int check_folded(const struct options *options)
{
	int err = options->folded ? folded__check(options->folded) : 0;

	return err ? log__fail(err, "cannot write %s: %s", options->folded, strerror(-err)) : 0;
}

static int prepare_judgement(struct monitor *m)
{
	m->findings = findings__new();
	if (!m->findings)
		return log__fail(-ENOMEM, "no memory for findings");
	return m->options->baseline ? baseline__read(m->options->baseline, &m->baseline) : 0;
}

int monitor__run(const struct options *options)
{
	struct monitor m = {
		.options = options,
		.epoll_fd = -1,
		.drain_fd = -1,
		.interval_fd = -1,
		.end_fd = -1,
		.scope_fd = -1,
		.signal_fd = -1,
		.command = COMMAND_INIT,
	};
	int err = check_stdout();

	if (!err)
		err = take_signals(&m);
	writer__init(&m.writer, STDOUT_FILENO);
	if (!err)
		err = pidns__check_proc();
	if (!err)
		err = find_targets(&m);
	if (!err)
		err = check_folded(options);
	if (!err)
		err = prepare_judgement(&m);
	if (!err)
		err = probes__check_host();
	if (!err)
		err = attach(&m);
	if (!err)
		err = start_timers(&m);
	if (!err)
		err = say_features(&m);
	if (!err) {
		say_attached(&m);
		err = command__go(&m.command);
	}
	if (!err)
		err = loop(&m);
	if (!err)
		err = finish(&m);

	/* The programs go before what they are read with; a command that we started is not left half-started. */
	lock_probes__free(m.collector.lock_probes);
	session__free(m.session);
	collector__free(&m.collector);
	findings__free(m.findings);
	baseline__free(m.baseline);
	command__free(&m.command);
	targets__free(&m.targets);
	writer__free(&m.writer);
	close_fd(&m.end_fd);
	close_fd(&m.scope_fd);
	close_fd(&m.interval_fd);
	close_fd(&m.drain_fd);
	close_fd(&m.signal_fd);
	close_fd(&m.epoll_fd);
	return err;
}
