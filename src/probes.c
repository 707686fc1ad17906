// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "probes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/resource.h>

#include <bpf/btf.h>

#include "fallback.h"
#include "kernel_btf.h"
#include "kfunc.h"
#include "log.h"
#include "rights.h"

int probes__tracepoint_args(const struct btf *btf, const char *name)
{
	const struct btf_type *type;
	char type_name[128];
	int id;

	snprintf(type_name, sizeof(type_name), "btf_trace_%s", name);
	id = btf__find_by_name_kind(btf, type_name, BTF_KIND_TYPEDEF);
	if (id < 0)
		return -ENOENT;
	type = btf__type_by_id(btf, btf__type_by_id(btf, id)->type);
	if (!type || !btf_is_ptr(type))
		return -ENOENT;
	type = btf__type_by_id(btf, type->type);
	if (!type || !btf_is_func_proto(type) || btf_vlen(type) < 1)
		return -ENOENT;
	return btf_vlen(type) - 1;
}

bool probes__has_helper(const struct btf *btf, const char *id)
{
	int type_id = btf__find_by_name_kind(btf, "bpf_func_id", BTF_KIND_ENUM);
	const struct btf_type *type = type_id > 0 ? btf__type_by_id(btf, type_id) : NULL;

	for (int i = 0; type && i < btf_vlen(type); i++) {
		if (!strcmp(btf__name_by_offset(btf, btf_enum(type)[i].name_off), id))
			return true;
	}
	return false;
}

static bool has_member(const struct btf *btf, const char *type_name, const char *name)
{
	int type_id = btf__find_by_name_kind(btf, type_name, BTF_KIND_STRUCT);
	const struct btf_type *type = type_id > 0 ? btf__type_by_id(btf, type_id) : NULL;

	for (int i = 0; type && i < btf_vlen(type); i++) {
		if (!strcmp(btf__name_by_offset(btf, btf_members(type)[i].name_off), name))
			return true;
	}
	return false;
}

static bool is_to_be_used(enum fallback which, bool has, unsigned forced)
{
	if (!has)
		log__debug("the kernel has no %s: its fallback is used", fallback__name(which));
	else if (forced & FALLBACK_BIT(which))
		log__debug("%s: its fallback is used, as was asked for", fallback__name(which));
	return has && !(forced & FALLBACK_BIT(which));
}

/* What makes the kernel look at its own BTF. */
static void forgo_kernel_btf(struct probes *probes)
{
	probes->has_task_storage = false;
	probes->has_tp_btf = false;
	probes->has_current_task_btf = false;
	probes->has_task_pt_regs = false;
	probes->has_rdonly_cast = false;
	memset(probes->kfunc_ids, 0, sizeof(probes->kfunc_ids));
}

/*
 * A tracepoint used to disable preemption for its programs, and is now a reader of an SRCU of its own, which does
 * not. There was one before 6.13 as well, for tracepoints of idle CPUs; but then not this struct, which is of 6.15.
 */
static bool preempts_on_tracepoints(const struct btf *btf)
{
	return btf__find_by_name_kind(btf, "tracepoint_srcu_srcu_data", BTF_KIND_VAR) > 0 &&
	       btf__find_by_name_kind(btf, "srcu_ctr", BTF_KIND_STRUCT) > 0;
}

void probes__read(const struct btf *btf, bool is_own, unsigned forced, struct probes *probes)
{
	const struct {
		bool *to;
		enum fallback which;
		bool has;
	} list[] = {
		{ &probes->has_kernel_btf, FALLBACK_KERNEL_BTF, is_own },
		{ &probes->has_task_storage, FALLBACK_TASK_STORAGE, true },
		{ &probes->has_tp_btf, FALLBACK_TP_BTF, true },
		{ &probes->has_current_task_btf, FALLBACK_CURRENT_TASK_BTF,
		  probes__has_helper(btf, "BPF_FUNC_get_current_task_btf") },
		{ &probes->has_task_pt_regs, FALLBACK_TASK_PT_REGS,
		  probes__has_helper(btf, "BPF_FUNC_task_pt_regs") },
		{ &probes->has_prev_state, FALLBACK_PREV_STATE, probes__tracepoint_args(btf, "sched_switch") >= 4 },
		{ &probes->has_group_dead, FALLBACK_GROUP_DEAD,
		  probes__tracepoint_args(btf, "sched_process_exit") >= 2 },
		/* 6.1 (7c8199e24fa0) */
		{ &probes->has_mem_alloc, FALLBACK_MEM_ALLOC,
		  btf__find_by_name_kind(btf, "bpf_mem_alloc", BTF_KIND_STRUCT) > 0 },
		{ &probes->has_rdonly_cast, FALLBACK_RDONLY_CAST,
		  btf__find_by_name_kind(btf, "bpf_rdonly_cast", BTF_KIND_FUNC) > 0 },
		/* Came with those that may be (57918341dd19, next to 439ebd5b5708). */
		{ &probes->has_steady_sys_exit, FALLBACK_STEADY_SYS_EXIT,
		  btf__find_by_name_kind(btf, "trace_call_bpf_faultable", BTF_KIND_FUNC) < 0 },
		{ &probes->has_steady_processes, FALLBACK_STEADY_PROCESSES, !preempts_on_tracepoints(btf) },
	};

	for (size_t i = 0; i < NR_FALLBACKS; i++)
		*list[i].to = is_to_be_used(list[i].which, list[i].has, forced);
	/* What the one takes, the other returns. */
	probes->has_task_pt_regs = probes->has_task_pt_regs && probes->has_current_task_btf;
	kfunc__find(btf, probes->kfunc_ids);
	if (!probes->has_kernel_btf)
		forgo_kernel_btf(probes);
	probes->has_task_from_pid = probes->kfunc_ids[TP_TASK_FROM_PID] &&
				    probes->kfunc_ids[TP_TASK_RELEASE];
	probes->has_attach_cookie = probes__has_helper(btf, "BPF_FUNC_get_attach_cookie");
	/* They stopped to do so with 5.11, which also brought this helper (d05512618056); libbpf decides by it too. */
	probes->maps_count_as_locked = !probes__has_helper(btf, "BPF_FUNC_ktime_get_coarse_ns");
	probes->has_task_from_vpid = probes->kfunc_ids[TP_TASK_FROM_VPID];
	/* On an architecture whose programs have none yet nothing is wrong with doing as if. */
	probes->has_private_stack = has_member(btf, "bpf_prog_aux", "priv_stack_ptr");
}

/*
 * Is @symbol the kernel's @function, under its own name or as the compiler's only copy of it with other
 * arguments or constants (NAME.isra.0, NAME.constprop.1)? Not a part that was moved away (NAME.cold).
 */
static bool is_function(const char *symbol, const char *function)
{
	static const char *const suffixes[] = { ".isra.", ".constprop." };
	size_t length = strlen(function);

	if (strncmp(symbol, function, length))
		return false;
	symbol += length;
	while (*symbol) {
		size_t i, digits;

		for (i = 0; i < 2 && strncmp(symbol, suffixes[i], strlen(suffixes[i])); i++)
			;
		if (i == 2)
			return false;
		symbol += strlen(suffixes[i]);
		digits = strspn(symbol, "0123456789");
		if (!digits)
			return false;
		symbol += digits;
	}
	return true;
}

int probes__find_function(const char *path, const char *function, char *symbol, size_t size)
{
	char line[1024], name[512], type;
	FILE *file = fopen(path, "re");
	int err = -ENOENT;

	if (!file)
		return -errno;
	while (err && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%*s %c %511s", &type, name) != 2 || (type != 't' && type != 'T') ||
		    !is_function(name, function) || strlen(name) >= size)
			continue;
		strcpy(symbol, name);
		err = 0;
	}
	fclose(file);
	return err;
}

static unsigned forced_fallbacks;

void probes__force(unsigned forced, const char *btf_file)
{
	forced_fallbacks = forced;
	kernel_btf__choose(btf_file, forced & FALLBACK_BIT(FALLBACK_KERNEL_BTF));
}

/* A file may be without functions; the kernel has a list of its own. */
static void ask_for_functions(struct probes *probes)
{
	char symbol[64];

	if (!probes__find_function("/proc/kallsyms", "trace_call_bpf_faultable", symbol, sizeof(symbol)))
		probes->has_steady_sys_exit = false;
}

int probes__read_kernel(struct probes *probes)
{
	static struct probes known;
	static bool is_known;
	struct btf *btf;
	char why[256];

	if (!is_known) {
		int err = kernel_btf__load(&btf, why, sizeof(why));

		if (err)
			return log__fail(err, "%s", why);
		probes__read(btf, !kernel_btf__is_given(), forced_fallbacks, &known);
		btf__free(btf);
		if (!known.has_kernel_btf)
			ask_for_functions(&known);
		is_known = true;
	}
	*probes = known;
	return 0;
}

int probes__explain_load(int err)
{
	struct rlimit limit;
	struct probes probes;

	if (err == -EPERM && !probes__read_kernel(&probes) && probes.maps_count_as_locked &&
	    !getrlimit(RLIMIT_MEMLOCK, &limit) && limit.rlim_cur != RLIM_INFINITY && !rights__has(CAP_SYS_RESOURCE))
		return log__fail(err, "cannot load the BPF programs: this kernel counts their memory as locked, of which "
				 "this user may have %llu kB: raise the limit ('ulimit -l unlimited', or "
				 "LimitMEMLOCK=infinity in a unit of systemd), or add CAP_SYS_RESOURCE",
				 (unsigned long long)limit.rlim_cur / 1024);
	if (kernel_btf__is_given())
		return log__fail(err, "cannot load the BPF programs (%s), as where %s is not of this kernel: %s",
				 strerror(-err), kernel_btf__file(), kernel_btf__remedy());
	return log__fail(err, "cannot load the BPF programs: %s (run with --verbose for the reason)", strerror(-err));
}

static bool lockdown_is_confidentiality(void)
{
	char line[128] = "";
	FILE *file = fopen("/sys/kernel/security/lockdown", "re");

	if (!file)
		return false;
	if (!fgets(line, sizeof(line), file))
		line[0] = '\0';
	fclose(file);
	return strstr(line, "[confidentiality]") != NULL;
}

/* The kernel's types: of the kernel itself, or of the file that is given. */
static bool find_lack_of_types(struct host_lack *lack)
{
	static char why[256];
	struct btf *btf;
	int err;

	if (!kernel_btf__file()) {
		*lack = (struct host_lack){ -ENOENT, "this kernel does not describe its types (no /sys/kernel/btf/vmlinux)",
					    "give a file that does by --btf FILE (threadprof(8) says where to get one), "
					    "or boot a kernel built with CONFIG_DEBUG_INFO_BTF=y" };
		return !kernel_btf__has_own();
	}
	err = kernel_btf__load(&btf, why, sizeof(why));
	if (!err)
		btf__free(btf);
	*lack = (struct host_lack){ err, why, kernel_btf__remedy() };
	return err;
}

bool probes__find_lack(struct host_lack *lack)
{
	if (!rights__may_trace())
		*lack = (struct host_lack){ -EPERM, "tracing needs the capabilities CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN)",
					    "run it as root, for example with sudo" };
	else if (rights__is_in_user_namespace())
		*lack = (struct host_lack){ -EPERM, "threadprof runs in a user namespace, whose root has no rights over the "
					    "kernel", "run it as root of the host, or in a container without one" };
	else if (rights__bpf_is_filtered())
		*lack = (struct host_lack){ -EPERM, "bpf(2) is refused although the capabilities are there, as by a container's "
					    "seccomp filter", "start the container with --security-opt seccomp=unconfined, or "
					    "with --cap-add SYS_ADMIN, which such filters let through" };
	else if (lockdown_is_confidentiality())
		*lack = (struct host_lack){ -EPERM, "the kernel is locked down (lockdown=confidentiality), which forbids all "
					    "tracing", "boot with lockdown=integrity or none" };
	else
		return find_lack_of_types(lack);
	return true;
}

int probes__check_host(void)
{
	struct host_lack lack;

	if (probes__find_lack(&lack))
		return log__fail(lack.err, "%s: %s", lack.reason, lack.remedy);
	if (kernel_btf__is_given() && kernel_btf__has_own())
		log__info("this kernel describes its types itself: without --btf there is room for more than 16384 "
			  "threads");
	return 0;
}
