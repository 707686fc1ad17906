// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "session.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "kernel_btf.h"
#include "kfunc.h"
#include "log.h"
#include "pidns.h"
#include "priority.h"
#include "programs.h"
#include "session_impl.h"
#include "tracepoint.h"
#include "uprobe.h"

/* Where connections can't be allocated one by one: 25 MB for all of them. */
#define PREALLOCATED_CONNS 65536

/* Records at a time, several times what the ring buffer holds. */
#define MAX_DRAINED 1000000
#define STOP_DRAINING (-EXFULL)

/* The program that the kernel refused, as libbpf names it in its log; the only place where it does. */
static char refused_program[64];

__attribute__((format(printf, 2, 0))) static int on_libbpf_print(enum libbpf_print_level level,
								 const char *format, va_list args)
{
	char line[1024];
	const char *start;
	va_list again;

	va_copy(again, args);
	vsnprintf(line, sizeof(line), format, args);
	start = strstr(line, "prog '");
	if (level == LIBBPF_WARN && start && !refused_program[0])
		sscanf(start, "prog '%63[^']'", refused_program);
	/* Whole: the verifier's log of a refused program comes as one message of many lines. */
	if (log__is_verbose() && level != LIBBPF_DEBUG)
		vfprintf(stderr, format, again);
	va_end(again);
	return 0;
}

/* --- open --- */

static bool is_raw(const struct session *session)
{
	return session->way == WAY_RAW_TRACEPOINT || session->way == WAY_FUNCTION;
}

static bool tasks_are_copies(const struct session *session)
{
	return is_raw(session) || !session->probes.has_current_task_btf;
}

static bool is_used(const struct session *session, const struct program *program)
{
	if (program->part == SESSION_REGS && !tasks_are_copies(session) && session->probes.has_task_pt_regs)
		return false;
	return program__is_of_way(program, session->way) && program__is_of_hooks(program, session->hooks) &&
	       !session->part_error[program->part];
}

static void choose_programs(struct session *session)
{
	for (const struct program *program = programs; program->name; program++) {
		struct bpf_program *prog = bpf_object__find_program_by_name(session->skel->obj, program->name);

		if (prog)
			bpf_program__set_autoload(prog, is_used(session, program));
	}
}

/* What a way does not use is not made: the code for it is dead, and the verifier drops it. */
static void choose_maps(struct session *session)
{
	struct threadprof_bpf *skel = session->skel;
	bool has_task_storage = session->way == WAY_BTF_TRACEPOINT;

	skel->rodata->has_task_storage = has_task_storage;
	skel->rodata->tasks_are_copies = tasks_are_copies(session);
	skel->rodata->reads_by_cast = session->probes.has_rdonly_cast && !tasks_are_copies(session);
	bpf_map__set_autocreate(skel->maps.threads, has_task_storage);
	bpf_map__set_autocreate(skel->maps.threads_by_id, !has_task_storage);
	bpf_map__set_autocreate(skel->maps.task_copies,
				tasks_are_copies(session) || !session->probes.has_task_pt_regs);
	/* Without memory set apart for it, a map that allocates is not safe where anything is traced, and warned of. */
	if ((is_raw(session) || session->hooks[HOOKED_SYS_EXIT] == HOOK_EVENT) &&
	    !session->probes.has_mem_alloc) {
		struct bpf_map *growing[] = { skel->maps.conns, skel->maps.fds };

		for (size_t i = 0; i < 2; i++) {
			bpf_map__set_map_flags(growing[i], 0);
			bpf_map__set_max_entries(growing[i], PREALLOCATED_CONNS);
		}
	}
}

/* A program for many probes in one link must say so when it is loaded. */
static void choose_locks(struct session *session, const struct session_config *config)
{
	struct threadprof_bpf *skel = session->skel;
	bool has_calls = !session->part_error[SESSION_LOCK_CALLS];

	skel->rodata->counts_locks = config->locks != LOCKS_OFF;
	bpf_map__set_autocreate(skel->maps.lock_calls, has_calls);
	bpf_map__set_autocreate(skel->maps.lock_lengths, has_calls);
	session->has_uprobe_multi = has_calls && uprobe__has_multi() &&
				    (!config->refuse || strcmp(config->refuse, "uprobe_multi"));
	if (!session->has_uprobe_multi)
		return;
	bpf_program__set_expected_attach_type(skel->progs.lock_call_enter, UPROBE_MULTI_ATTACH_TYPE);
	bpf_program__set_expected_attach_type(skel->progs.lock_call_return, UPROBE_MULTI_ATTACH_TYPE);
}

static void configure(struct session *session, const struct session_config *config)
{
	struct threadprof_bpf *skel = session->skel;
	const struct probes *probes = &session->probes;
	int nr_cpus = libbpf_num_possible_cpus();

	skel->rodata->has_current_task_btf = probes->has_current_task_btf;
	skel->rodata->has_task_pt_regs = probes->has_task_pt_regs;
	skel->rodata->has_prev_state = probes->has_prev_state;
	skel->rodata->has_group_dead = probes->has_group_dead;
	skel->rodata->is_in_pid_namespace = pidns__is_nested();
	skel->rodata->follow_forks = config->follow_forks;
	if (config->ring_bytes)
		bpf_map__set_max_entries(skel->maps.events, config->ring_bytes);
	bpf_map__set_max_entries(skel->maps.run_queues, nr_cpus > 0 ? nr_cpus : 1);
	skel->rodata->has_task_from_vpid = probes->has_task_from_vpid;
	skel->rodata->has_private_stack = probes->has_private_stack;
	/* A thread in task storage is found with a kernel function, one in a map without; a kprobe knows no owner. */
	if (session->way == WAY_FUNCTION || (session->way == WAY_BTF_TRACEPOINT && !probes->has_task_from_pid))
		session->part_error[SESSION_HOLDERS] = -EOPNOTSUPP;
	skel->rodata->has_holders = !session->part_error[SESSION_HOLDERS];
	choose_programs(session);
	choose_maps(session);
	if (config->max_conns) {
		bpf_map__set_max_entries(skel->maps.conns, config->max_conns);
		bpf_map__set_max_entries(skel->maps.fds, config->max_conns);
	}
	choose_locks(session, config);
}

/* The skeleton's own way of opening, but with a copy of the file that the calls of kernel functions are put into. */
static struct threadprof_bpf *open_programs(const int kfunc_ids[TP_NR_KFUNCS],
					    const struct bpf_object_open_opts *options)
{
	struct threadprof_bpf *skel = calloc(1, sizeof(*skel));
	int err = skel ? threadprof_bpf__create_skeleton(skel) : -ENOMEM;
	struct bpf_object_skeleton *skeleton = err ? NULL : skel->skeleton;
	void *image = err ? NULL : malloc(skeleton->data_sz);

	if (!err && !image)
		err = -ENOMEM;
	if (!err) {
		memcpy(image, skeleton->data, skeleton->data_sz);
		skeleton->data = image;
		err = kfunc__resolve(image, skeleton->data_sz, kfunc_ids);
	}
	if (!err)
		err = bpf_object__open_skeleton(skeleton, options);
	free(image);
	if (!err)
		return skel;
	threadprof_bpf__destroy(skel);
	errno = -err;
	return NULL;
}

static int open_and_load(struct session *session, const struct session_config *config)
{
	LIBBPF_OPTS(bpf_object_open_opts, options, .btf_custom_path = kernel_btf__file());
	int err;

	session->skel = open_programs(session->probes.kfunc_ids, &options);
	if (!session->skel)
		return log__fail(-errno, "cannot open the BPF programs: %s", strerror(errno));
	refused_program[0] = '\0';
	configure(session, config);
	err = threadprof_bpf__load(session->skel);
	if (!err)
		return 0;
	threadprof_bpf__destroy(session->skel);
	session->skel = NULL;
	return err;
}

/* The next lesser way that may work to see what the program is for; false: there is none. */
static bool take_lesser_hook(struct session *session, const struct program *refused)
{
	if (session->hooks[refused->hooked] != HOOK_EVENT ||
	    (refused->hooked == HOOKED_SYS_EXIT && !session->probes.has_kernel_btf))
		return false;
	session->hooks[refused->hooked] = hook__choose(refused->hooked, &session->probes, false);
	return true;
}

/*
 * A kernel that does not compile programs refuses calls of its functions, in code that is dead too. False: that was not
 * it, for without them it has refused the program as well.
 */
static bool give_up_holders(struct session *session, const struct program *refused, int err)
{
	int *ids = session->probes.kfunc_ids;

	if (!refused || !program__finds_holders(refused) || session->part_error[SESSION_HOLDERS])
		return false;
	log__debug("the kernel refuses %s where it finds the holders of locks: once more without", refused->name);
	session->part_error[SESSION_HOLDERS] = err;
	ids[TP_TASK_FROM_PID] = ids[TP_TASK_FROM_VPID] = ids[TP_TASK_RELEASE] = 0;
	return true;
}

/* The same of what reads tasks and files. */
static bool give_up_casts(struct session *session, const struct program *refused)
{
	bool may_be_it = refused && (refused->required || refused->part == SESSION_REQUESTS);

	if (!may_be_it || !session->probes.has_rdonly_cast)
		return false;
	log__debug("the kernel refuses %s with calls of bpf_rdonly_cast(): once more without", refused->name);
	session->probes.has_rdonly_cast = false;
	session->probes.kfunc_ids[TP_RDONLY_CAST] = 0;
	return true;
}

/* Loads everything; if the kernel refuses an optional program, once more without that feature. */
static int load_what_works(struct session *session, const struct session_config *config)
{
	int err = 0;

	for (int i = 0; i <= SESSION_NR_PARTS + NR_HOOKED + 2; i++) {
		const struct program *refused;

		err = open_and_load(session, config);
		if (!err)
			return 0;
		refused = program__find(refused_program);
		if (give_up_holders(session, refused, err) || give_up_casts(session, refused))
			continue;
		if (!refused || session->part_error[refused->part])
			break;
		if (take_lesser_hook(session, refused))
			continue;
		if (refused->required)
			break;
		session->part_error[refused->part] = err;
	}
	return err;
}

static struct bpf_link *attach_program(struct session *session, const struct program *program,
				       struct bpf_program *prog)
{
	if (!strcmp(program->name, SWITCH_FUNCTION))
		return bpf_program__attach_kprobe(prog, false, session->switch_symbol);
	if (program->event)
		return tracepoint__attach(prog, program->event);
	return bpf_program__attach(prog);
}

/* Negative errno, also -ENOENT for a program that this build does not have. */
static int attach(struct session *session, const struct program *program)
{
	struct bpf_object_skeleton *skeleton = session->skel->skeleton;
	struct bpf_program *prog = bpf_object__find_program_by_name(session->skel->obj, program->name);

	for (int i = 0; prog && i < skeleton->prog_cnt; i++) {
		if (strcmp(skeleton->progs[i].name, program->name))
			continue;
		if (!*skeleton->progs[i].link)
			*skeleton->progs[i].link = attach_program(session, program, prog);
		return *skeleton->progs[i].link ? 0 : -errno;
	}
	return -ENOENT;
}

/* Loads everything for a way to see switches, and attaches what sees them: only that tells if it works. */
static int try_way(struct session *session, const struct session_config *config)
{
	int err = load_what_works(session, config);

	for (const struct program *program = programs; program->name && !err; program++) {
		if (!is_used(session, program) || !program__sees_switches(program))
			continue;
		err = attach(session, program);
		if (err)
			snprintf(refused_program, sizeof(refused_program), "%s", program->name);
	}
	if (err) {
		threadprof_bpf__destroy(session->skel);
		session->skel = NULL;
	}
	return err;
}

static int explain(const struct session *session, const struct session_config *config, int err,
		   const char *refused)
{
	if (config->switch_probe == SWITCH_PROBE_FUNCTION && !session->switch_symbol[0])
		return log__fail(-ENOENT, "this kernel has no function " SWITCH_FUNCTION " to probe: run with "
					  "--switch-probe=sched_switch, which tells the same");
	if (!strcmp(refused, SWITCH_FUNCTION) && (err == -ENOENT || err == -EOPNOTSUPP))
		return log__fail(err, "this kernel does not let " SWITCH_FUNCTION " be probed (%s), which takes one built "
				      "with CONFIG_KPROBE_EVENTS: run with --switch-probe=sched_switch, which tells the same",
				 strerror(-err));
	if (refused[0] && kernel_btf__is_given())
		return log__fail(err, "the kernel refuses the program %s (%s), as where %s is not of this kernel: %s",
				 refused, strerror(-err), kernel_btf__file(), kernel_btf__remedy());
	if (refused[0])
		return log__fail(err, "the kernel refuses the program %s: %s (run with --verbose for its log)", refused,
				 strerror(-err));
	return probes__explain_load(err);
}

/* Of several ways that fail, the best one that knows it says why. */
static int load_best_way(struct session *session, const struct session_config *config)
{
	char refused[sizeof(refused_program)] = "";
	int first_err = 0, err = -EOPNOTSUPP;

	for (session->way = 0; session->way < NR_WAYS; session->way++) {
		int part_error[SESSION_NR_PARTS];

		if (!way__is_allowed(session->way, config->switch_probe, &session->probes))
			continue;
		/* Not before it is needed: the list has some megabytes. */
		if (session->way == WAY_FUNCTION &&
		    probes__find_function("/proc/kallsyms", SWITCH_FUNCTION, session->switch_symbol,
					  sizeof(session->switch_symbol)))
			continue;
		memcpy(part_error, session->part_error, sizeof(part_error));
		err = try_way(session, config);
		if (!err)
			return 0;
		if (!first_err || !refused[0]) {
			first_err = err;
			memcpy(refused, refused_program, sizeof(refused));
		}
		memcpy(session->part_error, part_error, sizeof(part_error));
	}
	return explain(session, config, first_err ? first_err : err, refused);
}

static int refuse(struct session *session, const char *name)
{
	const struct program *program = program__find(name);

	if (!strcmp(name, "uprobe_multi") || !strcmp(name, EXIT_EVENT_PROGRAM))
		return 0; /* choose_locks() does, choose_hooks() */
	if (!strcmp(name, "lock_holders"))
		session->part_error[SESSION_HOLDERS] = -EOPNOTSUPP;
	else if (program && !program->required)
		session->part_error[program->part] = -EOPNOTSUPP;
	else
		return log__fail(-EINVAL, "there is no optional program \"%s\"", name);
	return 0;
}

/* A reader that is slower than the events come must still get to its reports, and to its end. */
static int on_record(void *context, void *data, size_t size)
{
	struct session *session = context;

	(void)size;
	session->nr_events++;
	session->nr_drained++;
	session->fn(session->context, data);
	return session->nr_drained < MAX_DRAINED ? 0 : STOP_DRAINING;
}

/*
 * A lesser way than the tracepoint only where that one's program would be preempted. The least one for the ends of
 * system calls calls kernel functions against that.
 */
static void choose_hooks(struct session *session, const struct session_config *config)
{
	bool is_refused = config->refuse && !strcmp(config->refuse, EXIT_EVENT_PROGRAM), has_event;
	const struct probes *probes = &session->probes;

	if (probes->has_steady_sys_exit && probes->has_steady_processes)
		return;
	/* Who may open one of them may open them all. */
	has_event = !is_refused && tracepoint__is_there(EXIT_EVENT);
	for (enum session_hooked hooked = HOOKED_SYS_EXIT; hooked < NR_HOOKED; hooked++)
		session->hooks[hooked] = hook__choose(hooked, probes, has_event);
	if (session->hooks[HOOKED_SYS_EXIT] == HOOK_PREEMPTED && !probes->has_kernel_btf)
		session->part_error[SESSION_REQUESTS] = -EOPNOTSUPP;
}

/* See compat__begin_uprobe(). */
static bool can_probe_lock_calls(const struct probes *probes)
{
	return probes->has_attach_cookie && (!probes->has_private_stack || probes->kfunc_ids[TP_PREEMPT_DISABLE]);
}

int session__open(const struct session_config *config, struct session **out)
{
	struct session *session = calloc(1, sizeof(*session));
	int err;

	if (!session)
		return -ENOMEM;
	session->stacks_of_all = config->stacks_of_all;
	libbpf_set_print(on_libbpf_print);
	if (config->locks != LOCKS_UPROBE)
		session->part_error[SESSION_LOCK_CALLS] = -ENODATA;
	err = probes__read_kernel(&session->probes);
	if (!err)
		choose_hooks(session, config);
	if (!err && !can_probe_lock_calls(&session->probes))
		session->part_error[SESSION_LOCK_CALLS] = -EOPNOTSUPP;
	if (!err && config->refuse)
		err = refuse(session, config->refuse);
	if (!err)
		err = load_best_way(session, config);
	if (err)
		session__free(session);
	else
		*out = session;
	return err;
}

/* --- attach, activate --- */

/* Every system call that ends tells it, and the attach is one; then the program has done its work. */
static int learn_regs(struct session *session)
{
	const struct program *program = program__find("learn_regs");
	struct threadprof_bpf *skel = session->skel;
	int err;

	if (!is_used(session, program))
		return 0;
	err = attach(session, program);
	for (int i = 0; i < 100 && !err && !skel->bss->regs_at; i++)
		usleep(1000);
	bpf_link__destroy(skel->links.learn_regs);
	skel->links.learn_regs = NULL;
	if (!err && !skel->bss->regs_at)
		err = -ETIMEDOUT;
	return err ? log__fail(err, "cannot learn where the kernel saves user registers: %s", strerror(-err)) : 0;
}

/* Programs of a kprobe or of a perf event do, all others run all the same. */
static bool stands_back_for_reads(const struct session *session)
{
	return session->way == WAY_FUNCTION || session->hooks[HOOKED_SYS_EXIT] == HOOK_EVENT ||
	       session->hooks[HOOKED_PROCESSES] == HOOK_EVENT;
}

int session__attach(struct session *session)
{
	int err = session__check_types(session);

	if (!err)
		err = learn_regs(session);
	if (err)
		return err;
	for (const struct program *program = programs; program->name; program++) {
		/* Where a lock function is, only the target's mappings tell: src/lock_probes.c attaches to it. */
		if (!is_used(session, program) || program__is_run(program) || program->part == SESSION_REGS ||
		    program->part == SESSION_LOCK_CALLS)
			continue;
		err = attach(session, program);
		if (err && program->required)
			return log__fail(err, "cannot attach the program %s: %s", program->name, strerror(-err));
		session->part_error[program->part] = err;
	}
	session->reads_alone = stands_back_for_reads(session);
	if (session->reads_alone)
		priority__reserve();
	session->skel->bss->stacks_of_all = session->stacks_of_all;
	return 0;
}

enum session_hook session__hook(const struct session *session, enum session_hooked hooked)
{
	return session->hooks[hooked];
}

enum session_way session__way(const struct session *session)
{
	return session->way;
}

bool session__has_kernel_btf(const struct session *session)
{
	return session->probes.has_kernel_btf;
}

bool session__has(const struct session *session, enum session_part part)
{
	return !session->part_error[part];
}

int session__part_error(const struct session *session, enum session_part part)
{
	return session->part_error[part];
}

bool session__has_task_from_pid(const struct session *session)
{
	return session->probes.has_task_from_pid;
}

int session__add_target(struct session *session, uint32_t tgid)
{
	uint8_t one = 1;

	if (bpf_map_update_elem(bpf_map__fd(session->skel->maps.targets), &tgid, &one, BPF_ANY))
		return -errno;
	session->skel->bss->target_filter[(uint16_t)tgid] = 1;
	return 0;
}

/*
 * All of the buffer is mapped and counts as memory of ours: not before everything is loaded, which takes as much
 * for the kernel's types and gives it back.
 */
static int map_ring(struct session *session)
{
	int err = ring__new(session->skel->maps.events, on_record, session, &session->ring);

	return err ? log__fail(err, "cannot map the ring buffer: %s", strerror(-err)) : 0;
}

int session__activate(struct session *session)
{
	int err = map_ring(session);

	if (err)
		return err;
	session->skel->bss->active = true;
	return session__adopt(session);
}

/* --- records --- */

int session__drain(struct session *session, session_record_fn fn, void *context)
{
	int err;

	session->fn = fn;
	session->context = context;
	session->nr_drained = 0;
	err = ring__drain(session->ring);
	return err == STOP_DRAINING ? MAX_DRAINED : err;
}

int session__poll_fd(const struct session *session)
{
	return bpf_map__fd(session->skel->maps.events);
}

/* --- end --- */

void session__detach(struct session *session)
{
	session->skel->bss->active = false;
	threadprof_bpf__detach(session->skel);
}

void session__free(struct session *session)
{
	if (!session)
		return;
	/* The ring buffer maps memory of the map: it goes first. */
	ring__free(session->ring);
	threadprof_bpf__destroy(session->skel);
	free(session);
}
