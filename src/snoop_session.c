// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "snoop_session.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "kernel_btf.h"
#include "log.h"
#include "object_cost.h"
#include "pidns.h"
#include "probes.h"
#include "proc_walk.h"
#include "programs.h"
#include "ring.h"
#include "skipped_runs.h"
#include "snoop.skel.h"
#include "test_run.h"
#include "tracepoint.h"

/* With brief: parts of a path, and threads that are still to be reaped when their process ends. */
#define BRIEF_EXE_PARTS 12
#define BRIEF_THREADS 32

struct snoop_session {
	struct snoop_bpf *skel;
	struct ring *ring;
	snoop_record_fn fn; /* of the drain that runs */
	void *context;
	bool is_raw; /* no program takes the kernel's own BTF */
};

__attribute__((format(printf, 2, 0))) static int on_libbpf_print(enum libbpf_print_level level,
								 const char *format, va_list args)
{
	char line[1024];

	if (!log__is_verbose() || level == LIBBPF_DEBUG)
		return 0;
	vsnprintf(line, sizeof(line), format, args);
	log__debug("%.*s", (int)strcspn(line, "\n"), line);
	return 0;
}

static int on_record(void *context, void *data, size_t size)
{
	struct snoop_session *session = context;
	const struct tp_rec *rec = data;

	if (size >= sizeof(*rec) && rec->size <= size)
		session->fn(session->context, rec);
	return 0;
}

/* Which of several programs sees what: on the tracepoint, or where the kernel preempts programs there. */
static void choose_programs(const struct snoop_session *session, const struct probes *probes,
			    const struct snoop_session_config *config)
{
	bool is_steady = probes->has_steady_processes && (probes->has_steady_sys_exit || !config->failed);
	bool has_event = !is_steady && tracepoint__is_there(EXIT_EVENT), raw = session->is_raw;
	enum session_hook processes = hook__choose(HOOKED_PROCESSES, probes, has_event);
	enum session_hook sys_exit = hook__choose(HOOKED_SYS_EXIT, probes, has_event && probes->has_task_pt_regs);
	bool sees_begin = processes == HOOK_TRACEPOINT, by_tracepoint = processes != HOOK_EVENT;
	bool sees_failed = config->failed && sys_exit != HOOK_EVENT;
	const struct snoop_bpf *skel = session->skel;
	const struct {
		struct bpf_program *prog;
		bool is_used;
	} list[] = {
		{ skel->progs.snoop_fork, sees_begin && !raw },
		{ skel->progs.snoop_fork_raw, sees_begin && raw },
		{ skel->progs.snoop_fork_new, !sees_begin && !raw },
		{ skel->progs.snoop_fork_new_raw, !sees_begin && raw },
		{ skel->progs.snoop_exec, by_tracepoint && !raw },
		{ skel->progs.snoop_exec_raw, by_tracepoint && raw },
		{ skel->progs.snoop_exec_perf, !by_tracepoint },
		{ skel->progs.snoop_exit, by_tracepoint && !raw },
		{ skel->progs.snoop_exit_raw, by_tracepoint && raw },
		{ skel->progs.snoop_exit_perf, !by_tracepoint },
		{ skel->progs.snoop_failed, sees_failed && !raw },
		{ skel->progs.snoop_failed_raw, sees_failed && raw },
		{ skel->progs.snoop_failed_perf, config->failed && !sees_failed },
		{ skel->progs.snoop_switch, config->exact_cpu && !raw },
		{ skel->progs.snoop_switch_raw, config->exact_cpu && raw },
		{ skel->progs.snoop_living, !raw },
		{ skel->progs.snoop_living_one, raw },
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		bpf_program__set_autoload(list[i].prog, list[i].is_used);
}

static int load(struct snoop_session *session, const struct snoop_session_config *config)
{
	LIBBPF_OPTS(bpf_object_open_opts, options, .btf_custom_path = kernel_btf__file());
	struct snoop_bpf *skel;
	struct probes probes;
	int err = probes__read_kernel(&probes);

	if (err)
		return err;
	session->is_raw = !probes.has_tp_btf;
	session->skel = skel = snoop_bpf__open_opts(&options);
	if (!skel)
		return log__fail(-errno, "cannot open the BPF programs: %s", strerror(errno));
	skel->rodata->has_group_dead = probes.has_group_dead;
	skel->rodata->is_in_pid_namespace = pidns__is_nested();
	skel->rodata->max_args_bytes = config->args_bytes;
	if (config->brief) {
		skel->rodata->max_exe_parts = BRIEF_EXE_PARTS;
		skel->rodata->max_threads = BRIEF_THREADS;
	}
	choose_programs(session, &probes, config);
	if (config->ring_bytes)
		bpf_map__set_max_entries(skel->maps.events, config->ring_bytes);
	err = snoop_bpf__load(skel);
	if (err)
		return probes__explain_load(err);
	err = ring__new(skel->maps.events, on_record, session, &session->ring);
	return err ? log__fail(err, "cannot map the ring buffer: %s", strerror(-err)) : 0;
}

int snoop_session__open(const struct snoop_session_config *config, struct snoop_session **out)
{
	struct snoop_session *session = calloc(1, sizeof(*session));
	int err;

	if (!session)
		return log__fail(-ENOMEM, "there is no memory left");
	libbpf_set_print(on_libbpf_print);
	err = load(session, config);
	if (err)
		snoop_session__free(session);
	else
		*out = session;
	return err;
}

static void ignore(void *context, const struct tp_rec *rec)
{
	(void)context;
	(void)rec;
}

/* See session__check_types(). */
static int check_types(struct snoop_session *session)
{
	const struct snoop_process *found = &session->skel->bss->found.p;
	int err = test_run(session->skel->progs.snoop_living_one, getpid(), 0);

	return test_run__check_self(err, found->tgid, found->comm);
}

/* Those that libbpf would look for in a mounted tracefs. */
static int attach_events(struct snoop_bpf *skel)
{
	const struct {
		struct bpf_program *prog;
		struct bpf_link **link;
		const char *event;
	} list[] = {
		{ skel->progs.snoop_exec_perf, &skel->links.snoop_exec_perf, EXEC_EVENT },
		{ skel->progs.snoop_exit_perf, &skel->links.snoop_exit_perf, END_EVENT },
		{ skel->progs.snoop_failed_perf, &skel->links.snoop_failed_perf, EXIT_EVENT },
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		bpf_program__set_autoattach(list[i].prog, false);
		if (!bpf_program__autoload(list[i].prog))
			continue;
		*list[i].link = tracepoint__attach(list[i].prog, list[i].event);
		if (!*list[i].link)
			return -errno;
	}
	return 0;
}

int snoop_session__attach(struct snoop_session *session)
{
	int err = session->is_raw ? check_types(session) : 0;

	if (err)
		return err;
	err = attach_events(session->skel) ?: snoop_bpf__attach(session->skel);
	if (err)
		return log__fail(err, "cannot attach the BPF programs: %s", strerror(-err));
	/* The iterator finds out whose ids are to be told, which is to be known before the first event. */
	if (pidns__is_nested())
		err = snoop_session__each_living(session, ignore, NULL);
	if (err)
		return log__fail(err, "cannot list the processes there are: %s", strerror(-err));
	session->skel->bss->active = true;
	return 0;
}

static int iterate_living(const struct snoop_session *session, snoop_record_fn fn, void *context)
{
	struct snoop_rec recs[256];
	size_t used = 0, at;
	ssize_t got;
	int fd = bpf_iter_create(bpf_link__fd(session->skel->links.snoop_living));

	if (fd < 0)
		return -errno;
	while ((got = read(fd, (char *)recs + used, sizeof(recs) - used)) != 0) {
		if (got < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (got < 0) {
			int err = -errno;

			close(fd);
			return err;
		}
		used += got;
		for (at = 0; at < used / sizeof(recs[0]); at++)
			fn(context, &recs[at].h);
		used %= sizeof(recs[0]);
		memmove(recs, recs + at, used);
	}
	close(fd);
	return 0;
}

static int find_living(void *context, uint32_t tgid)
{
	const struct snoop_session *session = context;
	int err = test_run(session->skel->progs.snoop_living_one, tgid, 0);

	if (!err && session->skel->bss->found.h.kind)
		session->fn(session->context, &session->skel->bss->found.h);
	return err;
}

int snoop_session__each_living(struct snoop_session *session, snoop_record_fn fn, void *context)
{
	if (session->is_raw) {
		session->fn = fn;
		session->context = context;
		return proc_walk__processes(find_living, session);
	}
	return iterate_living(session, fn, context);
}

int snoop_session__drain(struct snoop_session *session, snoop_record_fn fn, void *context)
{
	session->fn = fn;
	session->context = context;
	return ring__drain(session->ring);
}

int snoop_session__poll_fd(const struct snoop_session *session)
{
	return bpf_map__fd(session->skel->maps.events);
}

void snoop_session__read_losses(const struct snoop_session *session,
				uint64_t losses[SNOOP_NR_LOSSES])
{
	for (int i = 0; i < SNOOP_NR_LOSSES; i++)
		losses[i] = __atomic_load_n(&session->skel->bss->losses[i], __ATOMIC_RELAXED);
}

uint64_t snoop_session__skipped_runs(const struct snoop_session *session)
{
	return skipped_runs__of(session->skel->obj);
}

uint64_t snoop_session__map_bytes(const struct snoop_session *session)
{
	return object__map_bytes(session->skel->obj);
}

void snoop_session__each_program(const struct snoop_session *session, program_fn fn, void *context)
{
	object__each_program(session->skel->obj, fn, context);
}

void snoop_session__detach(struct snoop_session *session)
{
	if (session->skel)
		snoop_bpf__detach(session->skel);
}

void snoop_session__free(struct snoop_session *session)
{
	if (!session)
		return;
	ring__free(session->ring);
	snoop_bpf__destroy(session->skel);
	free(session);
}
