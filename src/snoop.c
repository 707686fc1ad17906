// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "snoop.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "burst.h"
#include "cgroup.h"
#include "clock.h"
#include "end_signals.h"
#include "line.h"
#include "log.h"
#include "pidns.h"
#include "probes.h"
#include "rights.h"
#include "process.h"
#include "process_burst.h"
#include "process_sweep.h"
#include "skipped_runs.h"
#include "snoop_json.h"
#include "snoop_session.h"
#include "snoop_summary.h"
#include "snoop_text.h"
#include "writer.h"

/* The reader comes this often by itself; the ring buffer calls only if it fills up faster. */
#define DRAIN_MS 50
#define EXPIRE_NS (NS_PER_SEC / 4)
/* Lines are handed to the writer in pieces of about so many bytes. */
#define PIECE_BYTES 65536
/* How long a reader of ours that takes nothing is waited for: while we run, and at the end. */
#define PATIENCE_MS 1000
#define PATIENCE_SIGNALLED_MS 500
#define PATIENCE_END_MS 10000

struct snoop {
	const struct snoop_options *options;
	struct snoop_session *session;
	struct processes *processes;
	struct process_sweep sweep;
	struct bursts *bursts;
	struct cgroups *cgroups;
	struct snoop_summary summary;
	struct snoop_lost lost; /* as last written */
	uint64_t skipped_before; /* runs of programs, when we began */
	struct snoop_text text;
	struct writer writer;
	FILE *out; /* into piece */
	char *piece;
	size_t piece_bytes;
	uint64_t piece_records;
	size_t stalled_bytes; /* what waited when the reader took nothing; 0: it takes */
	int signal_fd;
	int err; /* the first of a callback */
	int64_t wall_offset_ns; /* from CLOCK_MONOTONIC to CLOCK_REALTIME */
	uint64_t start_ns;
	uint64_t expired_ns;
	bool signalled;
	bool done;
};

static struct timespec wall_time(const struct snoop *s, uint64_t mono_ns)
{
	uint64_t ns = mono_ns + s->wall_offset_ns;

	return (struct timespec){ .tv_sec = ns / NS_PER_SEC, .tv_nsec = ns % NS_PER_SEC };
}

/* --- output --- */

static size_t pending(const struct writer *writer)
{
	return writer->length - writer->written;
}

/*
 * Hands the piece to the writer. A reader that is slower than the events is waited for, the ring
 * buffer being large; one that takes nothing at all is not waited for again before it takes
 * something.
 */
static int flush_piece(struct snoop *s)
{
	int err = fflush(s->out) ? -errno : 0;

	if (err || !s->piece_bytes)
		return err;
	if (pending(&s->writer) > WRITER_MAX_PENDING / 2 &&
	    pending(&s->writer) != s->stalled_bytes) {
		int patience = s->signalled ? PATIENCE_SIGNALLED_MS : PATIENCE_MS;

		s->stalled_bytes = 0;
		if (writer__finish(&s->writer, patience) == -ETIMEDOUT)
			s->stalled_bytes = pending(&s->writer);
	}
	if (!writer__submit(&s->writer, s->piece, s->piece_bytes))
		s->lost.output += s->piece_records;
	if (s->writer.closed)
		s->done = true;
	s->piece_records = 0;
	rewind(s->out);
	return 0;
}

/* After each record. */
static void end_record(struct snoop *s, int err)
{
	if (!s->err)
		s->err = err;
	s->piece_records++;
	if (ftell(s->out) >= PIECE_BYTES && (err = flush_piece(s)) && !s->err)
		s->err = err;
}

static void write_process(struct snoop *s, const struct process_event *event)
{
	const char *cgroup = cgroups__path(s->cgroups, event->process->cgroup_id);
	struct timespec time = wall_time(s, event->ts_ns);

	if (s->options->json)
		end_record(s, snoop_json__write_process(s->out, event, cgroup, &time));
	else
		end_record(s, snoop_text__write_process(s->out, event, &time, &s->text));
}

static void write_exec(struct snoop *s, const struct process_event *event)
{
	const char *cgroup = cgroups__path(s->cgroups, event->process->cgroup_id);
	struct timespec time = wall_time(s, event->ts_ns);

	if (s->options->json)
		end_record(s, snoop_json__write_exec(s->out, event, cgroup, &time));
	else
		end_record(s, snoop_text__write_exec(s->out, event, &time, &s->text));
}

static void write_burst(void *context, const struct burst *burst)
{
	struct snoop *s = context;
	struct timespec time = wall_time(s, burst->start_ns);

	s->summary.bursts++;
	if (s->options->json)
		end_record(s, snoop_json__write_burst(s->out, burst, &time, burst->start_ns));
	else
		end_record(s, snoop_text__write_burst(s->out, burst, &time, &s->text));
}

/* What was lost, if that has changed or if it is the @final word. */
static void write_lost(struct snoop *s, bool final)
{
	struct snoop_lost lost = { .output = s->lost.output };
	uint64_t now = clock__now_ns();
	struct timespec time = wall_time(s, now);

	snoop_session__read_losses(s->session, lost.kernel);
	lost.skipped_runs = skipped_runs__since(s->skipped_before, snoop_session__skipped_runs(s->session));
	lost.missed_ends = processes__nr_missed_ends(s->processes);
	if (!final && lost.missed_ends == s->lost.missed_ends && lost.skipped_runs == s->lost.skipped_runs &&
	    !memcmp(lost.kernel, s->lost.kernel, sizeof(lost.kernel)))
		return;
	s->lost = lost;
	if (s->options->json)
		end_record(s, snoop_json__write_lost(s->out, &lost, &time, now));
	else
		end_record(s, snoop_text__write_lost(s->out, &lost, &s->text));
}

static void write_summary(struct snoop *s)
{
	uint64_t now = clock__now_ns(), duration_ns = now - s->start_ns;
	struct timespec time = wall_time(s, now);

	if (s->options->json)
		end_record(s,
			   snoop_json__write_summary(s->out, &s->summary, duration_ns, &time, now));
	else
		end_record(s,
			   snoop_text__write_summary(s->out, &s->summary, duration_ns, &s->text));
}

/* --- events --- */

static bool is_wanted(struct snoop *s, const struct process *process)
{
	const struct snoop_options *o = s->options;
	const char *path;

	if (o->comm && strncmp(o->comm, process->comm, TP_COMM_LEN))
		return false;
	if ((o->by_uid && o->uid != process->uid) || (o->follow && !process->followed))
		return false;
	if (!o->cgroup)
		return true;
	path = cgroups__path(s->cgroups, process->cgroup_id);
	return path && cgroup__is_below(path, o->cgroup);
}

static void enter_burst(struct snoop *s, struct process *process)
{
	int err = process__enter_burst(process, s->bursts);

	if (err && !s->err)
		s->err = err;
}

static void on_end(struct snoop *s, const struct process_event *event)
{
	struct process *process = event->process;
	uint64_t max_ns = s->options->max_life_ns;
	bool wanted = is_wanted(s, process) && (!max_ns || event->life_ns < max_ns);
	int err = 0;

	if (wanted) {
		write_process(s, event);
		err = snoop_summary__add(&s->summary, event);
		if (!process->group)
			enter_burst(s, process);
	}
	if (process->group && wanted && !err)
		err = bursts__end(process->group, process->start_ns, event->ts_ns, event->cpu_ns);
	else
		process__leave_burst(process);
	process->group = NULL;
	if (err && !s->err)
		s->err = err;
}

static void on_record(void *context, const struct tp_rec *rec)
{
	struct snoop *s = context;
	struct process_event event;
	int err = processes__apply(s->processes, rec, &event);

	if (err) {
		s->err = s->err ?: err;
		return;
	}
	switch (event.what) {
	case PROCESS_NOTHING:
		break;
	case PROCESS_FORKED:
		cgroups__path(s->cgroups, event.process->cgroup_id);
		enter_burst(s, event.process);
		break;
	case PROCESS_EXECED:
		cgroups__path(s->cgroups, event.process->cgroup_id);
		enter_burst(s, event.process);
		if (s->options->exec && is_wanted(s, event.process))
			write_exec(s, &event);
		break;
	case PROCESS_EXEC_FAILED:
		if (is_wanted(s, event.process))
			write_exec(s, &event);
		break;
	case PROCESS_ENDED:
		on_end(s, &event);
		break;
	}
}

/* --- set-up --- */

/* What a process of before us executes; the one time that /proc is read. */
static void read_image(void *context, struct process *process)
{
	struct snoop *s = context;
	char name[64], exe[PATH_MAX], args[SNOOP_MAX_ARGS_BYTES + 1];
	ssize_t exe_bytes, args_bytes;
	bool cut;
	int fd, err;

	if (process->image)
		return;
	snprintf(name, sizeof(name), "/proc/%u/exe", process->tgid);
	exe_bytes = readlink(name, exe, sizeof(exe) - 1);
	if (exe_bytes <= 0)
		return;
	exe[exe_bytes] = '\0';
	snprintf(name, sizeof(name), "/proc/%u/cmdline", process->tgid);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	args_bytes = fd < 0 ? -1 : read(fd, args, s->options->args_bytes + 1);
	if (fd >= 0)
		close(fd);
	cut = args_bytes > (ssize_t)s->options->args_bytes;
	if (cut)
		args_bytes--;
	err = process__set_image(process, exe, args_bytes > 0 ? args : NULL,
				 args_bytes > 0 ? args_bytes : 0, cut);
	process->execs = 1;
	if (err && !s->err)
		s->err = err;
}

static int attach(struct snoop *s)
{
	const struct snoop_options *o = s->options;
	const struct snoop_session_config config = {
		.args_bytes = o->args_bytes,
		.exact_cpu = true,
		.failed = o->failed,
		.ring_bytes = o->ring_bytes,
	};
	int err = snoop_session__open(&config, &s->session);

	if (!err)
		err = snoop_session__attach(s->session);
	if (err)
		return err;
	s->skipped_before = snoop_session__skipped_runs(s->session);
	s->lost.skipped_runs = skipped_runs__since(s->skipped_before, s->skipped_before);
	err = rights__drop();
	if (err)
		log__warn("cannot give up the rights that are no longer needed: %s", strerror(-err));
	/* After the attach: what is made from now on is seen, what was made before is listed. */
	err = snoop_session__each_living(s->session, on_record, s);
	if (err || s->err)
		return log__fail(err ?: s->err, "cannot list the processes there are: %s",
				 strerror(-(err ?: s->err)));
	processes__each(s->processes, read_image, s);
	if (o->follow && !processes__follow(s->processes, o->follow))
		return log__fail(-ESRCH, "there is no process %u to follow", o->follow);
	return 0;
}

static int set_up(struct snoop *s)
{
	const struct snoop_options *o = s->options;
	const struct burst_config bursts = { .min = o->burst_min, .window_ns = o->burst_window_ns };
	struct winsize size;

	s->processes = processes__new();
	s->bursts = bursts__new(&bursts);
	s->cgroups = cgroups__new();
	s->out = open_memstream(&s->piece, &s->piece_bytes);
	if (!s->processes || !s->bursts || !s->cgroups || !s->out)
		return log__fail(-ENOMEM, "there is no memory left");
	s->text.columns = LINE_MAX_COLUMNS;
	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col)
		s->text.columns = size.ws_col;
	s->text.color = o->color == SNOOP_COLOR_ALWAYS ||
			(o->color == SNOOP_COLOR_AUTO && isatty(STDOUT_FILENO));
	return 0;
}

/* Only those that look at cgroups need to hear of it. */
static int check_cgroups(const struct snoop *s)
{
	const char *why = cgroups__why_unknown(s->cgroups);

	if (why && s->options->cgroup)
		return log__fail(-ENOTSUP, "cannot choose by cgroup: %s", why);
	if (why && s->options->json)
		log__warn("cgroup is null in all records: %s", why);
	return 0;
}

/* --- the loop --- */

static int drain(struct snoop *s)
{
	uint64_t now;
	int err;

	s->wall_offset_ns = clock__ns(CLOCK_REALTIME) - clock__now_ns();
	err = snoop_session__drain(s->session, on_record, s);
	if (err >= 0 && !s->done)
		err = process_sweep__run(&s->sweep, s->session, s->processes, on_record, s);
	err = err < 0 ? err : s->err;
	if (err)
		return log__fail(err, "cannot read what the kernel recorded: %s", strerror(-err));
	now = clock__now_ns();
	if (now - s->expired_ns >= EXPIRE_NS) {
		s->expired_ns = now;
		err = bursts__expire(s->bursts, now, false, write_burst, s);
		write_lost(s, false);
	}
	if (!err)
		err = flush_piece(s);
	if (writer__flush(&s->writer) == -EPIPE)
		s->done = true;
	return err ?: s->err;
}

static int wait_for_events(struct snoop *s)
{
	struct pollfd fds[] = {
		{ .fd = s->signal_fd, .events = POLLIN },
		{ .fd = snoop_session__poll_fd(s->session), .events = POLLIN },
	};
	uint64_t duration_ns = s->options->duration_ns,
		 passed_ns = clock__now_ns() - s->start_ns;
	int wait_ms = DRAIN_MS;

	if (duration_ns && passed_ns >= duration_ns) {
		s->done = true;
		return 0;
	}
	if (duration_ns && duration_ns - passed_ns < wait_ms * NS_PER_MS)
		wait_ms = (duration_ns - passed_ns) / NS_PER_MS + 1;
	if (poll(fds, 2, wait_ms) < 0 && errno != EINTR)
		return log__fail(-errno, "cannot wait for events: %s", strerror(errno));
	if (end_signals__came(s->signal_fd)) {
		s->signalled = true;
		s->done = true;
	}
	return 0;
}

static int loop(struct snoop *s)
{
	int err = 0;

	while (!s->done && !err) {
		err = wait_for_events(s);
		if (!err && !s->done)
			err = drain(s);
	}
	return err;
}

/* All that has happened until now is printed, whatever ends us. */
static int finish(struct snoop *s)
{
	int err, written;

	snoop_session__detach(s->session);
	if (s->writer.closed)
		return 0;
	err = drain(s);
	if (!err)
		err = bursts__expire(s->bursts, clock__now_ns(), true, write_burst, s);
	if (!err) {
		write_lost(s, true);
		write_summary(s);
		err = flush_piece(s) ?: s->err;
	}
	written =
		writer__finish(&s->writer, s->signalled ? PATIENCE_SIGNALLED_MS : PATIENCE_END_MS);
	if (written == -ETIMEDOUT)
		log__warn("nobody reads the output: what was left of it is lost");
	else if (written && written != -EPIPE)
		err = log__fail(written, "cannot write the output: %s", strerror(-written));
	return err;
}

int snoop__run(const struct snoop_options *options)
{
	struct snoop s = { .options = options, .signal_fd = -1 };
	int err = end_signals__take(&s.signal_fd);

	writer__init(&s.writer, STDOUT_FILENO);
	if (!err)
		err = pidns__check_proc();
	if (!err)
		err = probes__check_host();
	if (!err)
		err = set_up(&s);
	if (!err)
		err = check_cgroups(&s);
	if (!err)
		err = attach(&s);
	if (!err) {
		s.start_ns = clock__now_ns();
		log__info("attached: every process of this %s is seen from now on",
			  pidns__is_nested() ? "PID namespace" : "host");
		if (!options->json)
			end_record(&s, snoop_text__write_head(s.out, &s.text));
		err = loop(&s);
	}
	if (!err)
		err = finish(&s);

	snoop_session__free(s.session);
	if (s.out)
		fclose(s.out);
	free(s.piece);
	snoop_summary__free(&s.summary);
	cgroups__free(s.cgroups);
	bursts__free(s.bursts);
	processes__free(s.processes);
	writer__free(&s.writer);
	if (s.signal_fd >= 0)
		close(s.signal_fd);
	return err;
}
