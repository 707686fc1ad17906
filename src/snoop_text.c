// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "snoop_text.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "line.h"
#include "report.h"
#include "units.h"

#define END_COLUMNS 8

static const char *clock_of(char buf[16], const struct timespec *time)
{
	struct tm tm;

	if (!gmtime_r(&time->tv_sec, &tm) || !strftime(buf, 16, "%H:%M:%S", &tm))
		strcpy(buf, "-");
	return buf;
}

static void add_start(struct line *l, const struct process *process, const struct timespec *time)
{
	char clock[16], number[24];

	line__add(l, "%s ", clock_of(clock, time));
	snprintf(number, sizeof(number), "%" PRIu32, process->tgid);
	line__right(l, 7, number);
	line__add(l, " ");
	snprintf(number, sizeof(number), "%" PRIu32, process->ppid);
	line__right(l, 7, number);
	line__add(l, " ");
}

/*
 * The arguments with a blank between each two; of one that never executed anything its name, in
 * brackets.
 */
static void add_command(struct line *l, const struct process *process)
{
	const struct process_image *image = process->image;
	const char *const mark = " ...";
	char name[TP_COMM_LEN + 3];
	size_t bytes, room;
	char *text;

	if (!process->execs || !image || !image->args_bytes || !image->args) {
		snprintf(name, sizeof(name), "[%.*s]", TP_COMM_LEN, process->comm);
		line__name(l, line__room(l), name, sizeof(name));
		return;
	}
	bytes = image->args_bytes;
	text = malloc(bytes);
	if (!text)
		return;
	memcpy(text, image->args, bytes);
	while (bytes && !text[bytes - 1])
		bytes--;
	for (size_t i = 0; i < bytes; i++)
		text[i] = text[i] ? text[i] : ' ';
	room = line__room(l);
	if (image->args_cut && room > strlen(mark)) {
		line__name(l, room - strlen(mark), text, bytes);
		line__add(l, "%s", mark);
	} else {
		line__name(l, room, text, bytes);
	}
	free(text);
}

static void add_end(struct line *l, int status)
{
	const char *name = WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : NULL;
	char text[24];

	if (WIFSIGNALED(status) && name)
		snprintf(text, sizeof(text), "SIG%s", name);
	else if (WIFSIGNALED(status))
		snprintf(text, sizeof(text), "SIG%d", WTERMSIG(status));
	else
		snprintf(text, sizeof(text), "%d", WEXITSTATUS(status));
	if (WIFSIGNALED(status) || WEXITSTATUS(status))
		line__style(l, LINE_WARN);
	line__right(l, END_COLUMNS, text);
	line__style(l, LINE_PLAIN);
	line__add(l, " ");
}

int snoop_text__write_head(FILE *out, const struct snoop_text *o)
{
	struct line l;

	line__init(&l, o->columns, o->color);
	line__style(&l, LINE_BOLD);
	line__add(&l, "%-8s %7s %7s %9s %9s %*s %s", "TIME UTC", "PID", "PPID", "LIFE", "CPU",
		  END_COLUMNS, "EXIT", "COMMAND");
	line__style(&l, LINE_PLAIN);
	return line__end(&l, out);
}

int snoop_text__write_process(FILE *out, const struct process_event *event,
			      const struct timespec *time, const struct snoop_text *o)
{
	bool has_cpu = event->cpu_ns != PROCESS_UNKNOWN;
	struct line l;

	line__init(&l, o->columns, o->color);
	add_start(&l, event->process, time);
	line__right(&l, 9, DURATION(event->life_ns));
	line__add(&l, " ");
	line__right(&l, 9, has_cpu ? DURATION(event->cpu_ns) : "-");
	line__add(&l, " ");
	add_end(&l, event->status);
	add_command(&l, event->process);
	return line__end(&l, out);
}

int snoop_text__write_exec(FILE *out, const struct process_event *event,
			   const struct timespec *time, const struct snoop_text *o)
{
	bool failed = event->what == PROCESS_EXEC_FAILED;
	struct line l;

	line__init(&l, o->columns, o->color);
	add_start(&l, event->process, time);
	if (!failed) {
		line__add(&l, "%9s %9s %*s ", "exec", "", END_COLUMNS, "");
		add_command(&l, event->process);
		return line__end(&l, out);
	}
	line__style(&l, LINE_WARN);
	line__add(&l, "%9s %18s ", "exec", strerrorname_np(event->error) ?: "?");
	line__style(&l, LINE_PLAIN);
	line__name(&l, line__room(&l), event->path ? event->path : "-", SNOOP_NAME_BYTES);
	return line__end(&l, out);
}

static void add_percentiles(struct line *l, const char *what, const struct histogram *h)
{
	if (!h->count) {
		line__add(l, "%s -", what);
		return;
	}
	line__add(l, "%s p50 %s, p99 %s, max %s", what, DURATION(histogram__percentile(h, 50)),
		  DURATION(histogram__percentile(h, 99)), DURATION(h->max));
}

int snoop_text__write_burst(FILE *out, const struct burst *burst, const struct timespec *time,
			    const struct snoop_text *o)
{
	char clock[16];
	struct line l;
	int err;

	line__init(&l, o->columns, o->color);
	line__style(&l, LINE_BOLD);
	line__add(&l, "%s burst of %s, at most %s at once, within %s%s: ", clock_of(clock, time),
		  COUNT(burst->count, 9), COUNT(burst->peak, 9),
		  DURATION(burst->end_ns - burst->start_ns),
		  burst->continues ? " and going on" : "");
	line__name(&l, line__room(&l), burst->exe, strlen(burst->exe));
	line__style(&l, LINE_PLAIN);
	err = line__end(&l, out);

	line__add(&l, "         started by ");
	for (size_t i = 0; i < burst->nr_ancestry; i++) {
		line__name(&l, line__room(&l), burst->ancestry[i], TP_COMM_LEN);
		if (i + 1 < burst->nr_ancestry)
			line__add(&l, " > ");
	}
	if (!burst->nr_ancestry)
		line__add(&l, "init or unknown");
	err = err ?: line__end(&l, out);

	line__add(&l, "         ");
	add_percentiles(&l, "life:", burst->life);
	err = err ?: line__end(&l, out);
	line__add(&l, "         ");
	add_percentiles(&l, "CPU:", burst->cpu);
	if (burst->cpu->count)
		line__add(&l, ", all together %s", DURATION(burst->cpu->sum));
	err = err ?: line__end(&l, out);
	if (!burst->period_ns)
		return err;
	line__add(&l, "         repeats every %s (off by at most %s), seen %s times",
		  DURATION(burst->period_ns), DURATION(burst->jitter_ns), COUNT(burst->seen, 9));
	return err ?: line__end(&l, out);
}

int snoop_text__write_lost(FILE *out, const struct snoop_lost *lost, const struct snoop_text *o)
{
	uint64_t skipped = lost->skipped_runs != TP_UNKNOWN ? lost->skipped_runs : 0;
	const uint64_t *k = lost->kernel;
	struct line l;

	if (!k[SNOOP_LOSS_FORK] && !k[SNOOP_LOSS_EXEC] && !k[SNOOP_LOSS_FAILED] &&
	    !k[SNOOP_LOSS_EXIT] && !lost->missed_ends && !lost->output && !skipped)
		return 0;
	line__init(&l, o->columns, o->color);
	line__style(&l, LINE_ALARM);
	line__add(&l, "!! lost: %s ends, %s execs, %s forks, %s lines",
		  COUNT(k[SNOOP_LOSS_EXIT], 9), COUNT(k[SNOOP_LOSS_EXEC] + k[SNOOP_LOSS_FAILED], 9),
		  COUNT(k[SNOOP_LOSS_FORK], 9), COUNT(lost->output, 9));
	if (skipped)
		line__add(&l, ", %s events that the kernel did not tell", COUNT(skipped, 9));
	line__style(&l, LINE_PLAIN);
	return line__end(&l, out);
}

static int write_top(FILE *out, const struct snoop_summary *summary, enum summary_what what,
		     const char *title, const struct snoop_text *o)
{
	const struct summary_entry *top[SUMMARY_TOP];
	size_t nr = snoop_summary__top(summary, what, top);
	struct line l;
	int err;

	line__init(&l, o->columns, o->color);
	if (!nr)
		return 0;
	err = line__end(&l, out);
	line__style(&l, LINE_BOLD);
	line__add(&l, "%9s %9s  %s", "COUNT", "CPU", title);
	line__style(&l, LINE_PLAIN);
	err = err ?: line__end(&l, out);
	for (size_t i = 0; i < nr && !err; i++) {
		char pid[24] = "";

		line__right(&l, 9, COUNT(top[i]->count, 9));
		line__add(&l, " ");
		line__right(&l, 9, DURATION(top[i]->cpu_ns));
		line__add(&l, "  ");
		if (what >= SUMMARY_LAUNCHERS && top[i]->pid)
			snprintf(pid, sizeof(pid), "  pid %" PRIu32, top[i]->pid);
		line__name(&l, line__room(&l) - strlen(pid), top[i]->name, sizeof(top[i]->name));
		line__add(&l, "%s", pid);
		err = line__end(&l, out);
	}
	return err;
}

int snoop_text__write_summary(FILE *out, const struct snoop_summary *summary, uint64_t duration_ns,
			      const struct snoop_text *o)
{
	struct line l;
	int err;

	line__init(&l, o->columns, o->color);
	err = line__end(&l, out);
	line__style(&l, LINE_BOLD);
	line__add(&l, "%s process%s ended in %s, with %s of CPU time, in %s burst%s",
		  COUNT(summary->processes, 12), summary->processes == 1 ? "" : "es",
		  DURATION(duration_ns), DURATION(summary->cpu_ns), COUNT(summary->bursts, 9),
		  summary->bursts == 1 ? "" : "s");
	line__style(&l, LINE_PLAIN);
	err = err ?: line__end(&l, out);
	err = err ?: write_top(out, summary, SUMMARY_BY_COUNT, "EXECUTABLE, BY COUNT", o);
	err = err ?: write_top(out, summary, SUMMARY_BY_CPU, "EXECUTABLE, BY CPU TIME", o);
	err = err ?: write_top(out, summary, SUMMARY_LAUNCHERS, "STARTED BY", o);
	return err ?: write_top(out, summary, SUMMARY_ROOTS, "STARTED IN THE END BY", o);
}
