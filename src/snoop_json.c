// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "snoop_json.h"

#include <string.h>
#include <sys/wait.h>

#include "json_value.h"

static struct json_object *new_args(struct writer *w, const struct process_image *image)
{
	struct json_object *list;
	size_t at = 0;

	if (!image || !image->args)
		return NULL;
	list = new_list(w);
	while (at < image->args_bytes) {
		size_t length = strnlen(image->args + at, image->args_bytes - at);

		append_string(w, list, image->args + at, length);
		at += length + 1;
	}
	return list;
}

static struct json_object *new_ancestry(struct writer *w, const struct process *process)
{
	const struct process *ancestors[PROCESS_MAX_ANCESTORS];
	size_t nr = process__ancestry(process, ancestors);
	struct json_object *list = new_list(w);

	for (size_t i = 0; i < nr; i++)
		append_string(w, list, ancestors[i]->comm, TP_COMM_LEN);
	return list;
}

static void put_identity(struct writer *w, struct json_object *o, const struct process *process,
			 const char *cgroup)
{
	put_u64(w, o, "pid", process->tgid);
	put_u64(w, o, "ppid", process->ppid);
	put_u64(w, o, "uid", process->uid);
	put_field(w, o, "comm", process->comm);
	put(w, o, "ancestry", new_ancestry(w, process));
	put_text(w, o, "cgroup", cgroup, PTRDIFF_MAX);
}

static void put_image(struct writer *w, struct json_object *o, const struct process_image *image)
{
	put_text(w, o, "exe", image ? image->exe : NULL, PTRDIFF_MAX);
	put(w, o, "args", new_args(w, image));
	put_bool(w, o, "args_cut", image && image->args_cut);
}

int snoop_json__write_process(FILE *out, const struct process_event *event, const char *cgroup,
			      const struct timespec *time)
{
	const struct process *process = event->process;
	struct writer w = { 0 };
	struct json_object *o = new_record(&w, "process", time, event->ts_ns);
	int status = event->status;

	put_identity(&w, o, process, cgroup);
	put_image(&w, o, process->image);
	put_u64(&w, o, "execs", process->execs);
	put_u64(&w, o, "start_mono_ns", process->start_ns);
	put_u64(&w, o, "life_ns", event->life_ns);
	put_u64_if(&w, o, "cpu_ns", true, event->cpu_ns);
	put_u64_if(&w, o, "exit_code", WIFEXITED(status), WEXITSTATUS(status));
	put_u64_if(&w, o, "signal", WIFSIGNALED(status), WTERMSIG(status));
	return finish(&w, out, o);
}

int snoop_json__write_exec(FILE *out, const struct process_event *event, const char *cgroup,
			   const struct timespec *time)
{
	bool failed = event->what == PROCESS_EXEC_FAILED;
	struct writer w = { 0 };
	struct json_object *o = new_record(&w, "exec", time, event->ts_ns);

	put_identity(&w, o, event->process, cgroup);
	if (failed) {
		put_text(&w, o, "exe", event->path, PTRDIFF_MAX);
		put_null(&w, o, "args");
		put_bool(&w, o, "args_cut", false);
		put_string(&w, o, "error", strerrorname_np(event->error) ?: "?", PTRDIFF_MAX);
	} else {
		put_image(&w, o, event->process->image);
		put_null(&w, o, "error");
	}
	return finish(&w, out, o);
}

int snoop_json__write_burst(FILE *out, const struct burst *burst, const struct timespec *time,
			    uint64_t mono_ns)
{
	struct writer w = { 0 };
	struct json_object *o = new_record(&w, "burst", time, mono_ns), *ancestry = new_list(&w);
	bool repeats = burst->period_ns > 0;

	for (size_t i = 0; i < burst->nr_ancestry; i++)
		append_string(&w, ancestry, burst->ancestry[i], PTRDIFF_MAX);
	put_string(&w, o, "exe", burst->exe, PTRDIFF_MAX);
	put_text(&w, o, "launcher", burst->launcher, PTRDIFF_MAX);
	put(&w, o, "ancestry", ancestry);
	put_u64(&w, o, "start_mono_ns", burst->start_ns);
	put_u64(&w, o, "duration_ns", burst->end_ns - burst->start_ns);
	put_u64(&w, o, "count", burst->count);
	put_u64(&w, o, "peak", burst->peak);
	put_histogram(&w, o, "life_ns", true, burst->life);
	put_u64_if(&w, o, "cpu_ns", burst->cpu->count > 0, burst->cpu->sum);
	put_histogram(&w, o, "cpu_each_ns", true, burst->cpu);
	put_bool(&w, o, "continues", burst->continues);
	put_u64(&w, o, "seen", burst->seen);
	put_u64_if(&w, o, "period_ns", repeats, burst->period_ns);
	put_u64_if(&w, o, "jitter_ns", repeats, burst->jitter_ns);
	return finish(&w, out, o);
}

int snoop_json__write_lost(FILE *out, const struct snoop_lost *lost, const struct timespec *time,
			   uint64_t mono_ns)
{
	static const char *const names[SNOOP_NR_LOSSES] = {
		[SNOOP_LOSS_FORK] = "fork",
		[SNOOP_LOSS_EXEC] = "exec",
		[SNOOP_LOSS_FAILED] = "failed_exec",
		[SNOOP_LOSS_EXIT] = "exit",
	};
	struct writer w = { 0 };
	struct json_object *o = new_record(&w, "lost", time, mono_ns);

	for (size_t i = 0; i < SNOOP_NR_LOSSES; i++)
		put_u64(&w, o, names[i], lost->kernel[i]);
	put_u64_if(&w, o, "skipped_runs", true, lost->skipped_runs);
	put_u64(&w, o, "missed_ends", lost->missed_ends);
	put_u64(&w, o, "output", lost->output);
	return finish(&w, out, o);
}

static struct json_object *new_top(struct writer *w, const struct snoop_summary *summary,
				   enum summary_what what)
{
	const struct summary_entry *top[SUMMARY_TOP];
	size_t nr = snoop_summary__top(summary, what, top);
	struct json_object *list = new_list(w);

	for (size_t i = 0; i < nr; i++) {
		struct json_object *o = new_object(w);

		if (what == SUMMARY_BY_COUNT || what == SUMMARY_BY_CPU) {
			put_field(w, o, "exe", top[i]->name);
		} else {
			put_field(w, o, "comm", top[i]->name);
			put_u64_if(w, o, "pid", top[i]->pid > 0, top[i]->pid);
		}
		put_u64(w, o, "count", top[i]->count);
		put_u64(w, o, "cpu_ns", top[i]->cpu_ns);
		append(w, list, o);
	}
	return list;
}

int snoop_json__write_summary(FILE *out, const struct snoop_summary *summary, uint64_t duration_ns,
			      const struct timespec *time, uint64_t mono_ns)
{
	struct writer w = { 0 };
	struct json_object *o = new_record(&w, "summary", time, mono_ns);

	put_u64(&w, o, "duration_ns", duration_ns);
	put_u64(&w, o, "processes", summary->processes);
	put_u64(&w, o, "cpu_ns", summary->cpu_ns);
	put_u64(&w, o, "bursts", summary->bursts);
	put(&w, o, "executables_by_count", new_top(&w, summary, SUMMARY_BY_COUNT));
	put(&w, o, "executables_by_cpu", new_top(&w, summary, SUMMARY_BY_CPU));
	put(&w, o, "launchers", new_top(&w, summary, SUMMARY_LAUNCHERS));
	put(&w, o, "roots", new_top(&w, summary, SUMMARY_ROOTS));
	return finish(&w, out, o);
}
