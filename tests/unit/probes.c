// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/*
 * What is decided here picks the arguments that the programs read, and a wrong decision shows nowhere: the
 * numbers are plausible and wrong. So each kernel that matters is built as BTF and asked about.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/btf.h>
#include <cmocka.h>

#include "fallback.h"
#include "probes.h"

/* A kernel's BTF with the few types that a tracepoint needs. */
struct kernel {
	struct btf *btf;
	int int_id;
	int void_ptr_id;
};

static struct kernel new_kernel(void)
{
	struct kernel kernel = { .btf = btf__new_empty() };

	assert_non_null(kernel.btf);
	kernel.int_id = btf__add_int(kernel.btf, "unsigned int", 4, 0);
	kernel.void_ptr_id = btf__add_ptr(kernel.btf, 0);
	assert_true(kernel.int_id > 0 && kernel.void_ptr_id > 0);
	return kernel;
}

static void free_kernel(struct kernel *kernel)
{
	btf__free(kernel->btf);
}

/* A function's type with the hidden first parameter and @nr_args more; the kernel names none of them. */
static int add_proto(struct kernel *kernel, int nr_args)
{
	int id = btf__add_func_proto(kernel->btf, 0);

	assert_true(id > 0);
	assert_int_equal(btf__add_func_param(kernel->btf, "__data", kernel->void_ptr_id), 0);
	for (int i = 0; i < nr_args; i++)
		assert_int_equal(btf__add_func_param(kernel->btf, "arg", kernel->int_id), 0);
	return id;
}

static void add_typedef(struct kernel *kernel, const char *name, int type)
{
	char type_name[256];

	snprintf(type_name, sizeof(type_name), "btf_trace_%s", name);
	assert_true(btf__add_typedef(kernel->btf, type_name, type) > 0);
}

/* typedef void (*btf_trace_NAME)(void *, …), as DEFINE_EVENT() makes it. */
static void add_tracepoint(struct kernel *kernel, const char *name, int nr_args)
{
	int proto = add_proto(kernel, nr_args);

	add_typedef(kernel, name, btf__add_ptr(kernel->btf, proto));
}

static void test_the_hidden_argument_does_not_count(void **state)
{
	(void)state;
	for (int nr_args = 0; nr_args <= 12; nr_args++) {
		struct kernel kernel = new_kernel();

		add_tracepoint(&kernel, "x", nr_args);
		assert_int_equal(probes__tracepoint_args(kernel.btf, "x"), nr_args);
		free_kernel(&kernel);
	}
}

static void test_one_among_many(void **state)
{
	struct kernel kernel = new_kernel();

	(void)state;
	add_tracepoint(&kernel, "sched_switch_more", 7);
	add_tracepoint(&kernel, "sched", 6);
	add_tracepoint(&kernel, "sched_switch", 4);
	add_tracepoint(&kernel, "sched_wakeup", 1);
	assert_int_equal(probes__tracepoint_args(kernel.btf, "sched_switch"), 4);
	assert_int_equal(probes__tracepoint_args(kernel.btf, "sched_wakeup"), 1);
	assert_int_equal(probes__tracepoint_args(kernel.btf, "sched"), 6);
	assert_int_equal(probes__tracepoint_args(kernel.btf, "sched_switc"), -ENOENT);
	assert_int_equal(probes__tracepoint_args(kernel.btf, ""), -ENOENT);
	free_kernel(&kernel);
}

static void test_a_kernel_without_it(void **state)
{
	struct kernel kernel = new_kernel();
	struct btf *empty = btf__new_empty();

	(void)state;
	assert_non_null(empty);
	assert_int_equal(probes__tracepoint_args(empty, "sched_switch"), -ENOENT);
	assert_int_equal(probes__tracepoint_args(kernel.btf, "sched_switch"), -ENOENT);
	btf__free(empty);
	free_kernel(&kernel);
}

/* Things that have the name and are something else. */

static void test_a_struct_of_the_name(void **state)
{
	struct kernel kernel = new_kernel();

	(void)state;
	assert_true(btf__add_struct(kernel.btf, "btf_trace_sched_switch", 0) > 0);
	assert_int_equal(probes__tracepoint_args(kernel.btf, "sched_switch"), -ENOENT);
	free_kernel(&kernel);
}

static void test_a_function_of_the_name(void **state)
{
	struct kernel kernel = new_kernel();
	int proto = add_proto(&kernel, 4);

	(void)state;
	assert_true(btf__add_func(kernel.btf, "btf_trace_sched_switch", BTF_FUNC_STATIC, proto) > 0);
	assert_int_equal(probes__tracepoint_args(kernel.btf, "sched_switch"), -ENOENT);
	free_kernel(&kernel);
}

/* A struct or function of the name must not hide the typedef either. */
static void test_the_typedef_behind_a_struct_of_its_name(void **state)
{
	struct kernel kernel = new_kernel();

	(void)state;
	assert_true(btf__add_struct(kernel.btf, "btf_trace_sched_switch", 0) > 0);
	add_tracepoint(&kernel, "sched_switch", 4);
	assert_int_equal(probes__tracepoint_args(kernel.btf, "sched_switch"), 4);
	free_kernel(&kernel);
}

static void test_a_typedef_of_something_else(void **state)
{
	struct kernel kernel = new_kernel();
	int proto = add_proto(&kernel, 4), empty = btf__add_func_proto(kernel.btf, 0), record;

	(void)state;
	add_typedef(&kernel, "void", 0);
	add_typedef(&kernel, "int", kernel.int_id);
	add_typedef(&kernel, "void_ptr", kernel.void_ptr_id);
	add_typedef(&kernel, "int_ptr", btf__add_ptr(kernel.btf, kernel.int_id));
	add_typedef(&kernel, "proto", proto);
	add_typedef(&kernel, "const_proto", btf__add_const(kernel.btf, proto));
	record = btf__add_struct(kernel.btf, "with_two_members", 8);
	assert_int_equal(btf__add_field(kernel.btf, "a", kernel.int_id, 0, 0), 0);
	assert_int_equal(btf__add_field(kernel.btf, "b", kernel.int_id, 32, 0), 0);
	add_typedef(&kernel, "struct_ptr", btf__add_ptr(kernel.btf, record));
	/* without even the hidden argument: not below zero */
	add_typedef(&kernel, "empty", btf__add_ptr(kernel.btf, empty));
	assert_int_equal(probes__tracepoint_args(kernel.btf, "void"), -ENOENT);
	assert_int_equal(probes__tracepoint_args(kernel.btf, "int"), -ENOENT);
	assert_int_equal(probes__tracepoint_args(kernel.btf, "void_ptr"), -ENOENT);
	assert_int_equal(probes__tracepoint_args(kernel.btf, "int_ptr"), -ENOENT);
	assert_int_equal(probes__tracepoint_args(kernel.btf, "proto"), -ENOENT);
	assert_int_equal(probes__tracepoint_args(kernel.btf, "const_proto"), -ENOENT);
	assert_int_equal(probes__tracepoint_args(kernel.btf, "struct_ptr"), -ENOENT);
	assert_int_equal(probes__tracepoint_args(kernel.btf, "empty"), -ENOENT);
	free_kernel(&kernel);
}

static void test_a_type_that_is_not_in_the_btf(void **state)
{
	struct kernel kernel = new_kernel();

	(void)state;
	add_typedef(&kernel, "x", 4000);
	assert_int_equal(probes__tracepoint_args(kernel.btf, "x"), -ENOENT);
	add_typedef(&kernel, "y", btf__add_ptr(kernel.btf, 4000));
	assert_int_equal(probes__tracepoint_args(kernel.btf, "y"), -ENOENT);
	free_kernel(&kernel);
}

/* A name that does not fit must not be answered with what its beginning means. */
static void test_a_name_that_is_too_long(void **state)
{
	struct kernel kernel = new_kernel();
	char name[241];

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	add_tracepoint(&kernel, name, 2);
	for (size_t length = 1; length < sizeof(name) - 1; length++) {
		char *begin = name + sizeof(name) - 1 - length;

		assert_int_equal(probes__tracepoint_args(kernel.btf, begin), -ENOENT);
	}
	free_kernel(&kernel);
}

/* --- the decisions --- */

struct decision {
	const char *kernel;
	int switch_args; /* -1: has no such tracepoint */
	int exit_args;
	bool has_prev_state;
	bool has_group_dead;
};

static void decide(const struct decision *expected)
{
	struct kernel kernel = new_kernel();
	struct probes probes;

	if (expected->switch_args >= 0)
		add_tracepoint(&kernel, "sched_switch", expected->switch_args);
	if (expected->exit_args >= 0)
		add_tracepoint(&kernel, "sched_process_exit", expected->exit_args);
	memset(&probes, 0xff, sizeof(probes));
	probes__read(kernel.btf, true, 0, &probes);
	if (probes.has_prev_state != expected->has_prev_state || probes.has_group_dead != expected->has_group_dead)
		fail_msg("%s: prev_state %d, group_dead %d", expected->kernel, probes.has_prev_state,
			 probes.has_group_dead);
	free_kernel(&kernel);
}

static void test_decisions(void **state)
{
	static const struct decision kernels[] = {
		/* sched_switch(preempt, prev, next); sched_process_exit(p) */
		{ "up to 5.17", 3, 1, false, false },
		/* sched_switch(preempt, prev, next, prev_state) */
		{ "5.18 to 6.15", 4, 1, true, false },
		/* sched_process_exit(p, group_dead) */
		{ "from 6.16", 4, 2, true, true },
		{ "one to come, with arguments more", 5, 3, true, true },
		{ "an old one with group_dead backported", 3, 2, false, true },
		{ "without tracepoints", -1, -1, false, false },
		{ "without sched_switch", -1, 2, false, true },
		{ "without sched_process_exit", 4, -1, true, false },
		{ "with arguments taken away", 2, 0, false, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(kernels) / sizeof(kernels[0]); i++)
		decide(&kernels[i]);
}

/* As 6.18 has them: both helpers, the allocator, and the tracepoints' last arguments. */
static struct kernel new_kernel_with_everything(void)
{
	struct kernel kernel = new_kernel();

	add_tracepoint(&kernel, "sched_switch", 4);
	add_tracepoint(&kernel, "sched_process_exit", 2);
	assert_true(btf__add_enum(kernel.btf, "bpf_func_id", 4) > 0);
	assert_int_equal(btf__add_enum_value(kernel.btf, "BPF_FUNC_get_current_task_btf", 158), 0);
	assert_int_equal(btf__add_enum_value(kernel.btf, "BPF_FUNC_task_pt_regs", 175), 0);
	assert_true(btf__add_struct(kernel.btf, "bpf_mem_alloc", 8) > 0);
	assert_true(btf__add_func(kernel.btf, "bpf_rdonly_cast", BTF_FUNC_STATIC, add_proto(&kernel, 2)) > 0);
	return kernel;
}

static void test_helpers(void **state)
{
	struct kernel old = new_kernel(), new = new_kernel_with_everything();

	(void)state;
	assert_false(probes__has_helper(old.btf, "BPF_FUNC_task_pt_regs"));
	assert_true(probes__has_helper(new.btf, "BPF_FUNC_task_pt_regs"));
	assert_true(probes__has_helper(new.btf, "BPF_FUNC_get_current_task_btf"));
	assert_false(probes__has_helper(new.btf, "BPF_FUNC_task_pt"));
	assert_false(probes__has_helper(new.btf, "BPF_FUNC_task_pt_regs_or_more"));
	free_kernel(&old);
	free_kernel(&new);
}

/* From 7.2 on programs at the end of system calls may be preempted; a function tells. */
static void test_steady_sys_exit(void **state)
{
	struct kernel kernel = new_kernel_with_everything();
	int proto = add_proto(&kernel, 2);
	struct probes probes;

	(void)state;
	probes__read(kernel.btf, true, 0, &probes);
	assert_true(probes.has_steady_sys_exit);
	assert_true(btf__add_func(kernel.btf, "trace_call_bpf", BTF_FUNC_GLOBAL, proto) > 0);
	probes__read(kernel.btf, true, 0, &probes);
	assert_true(probes.has_steady_sys_exit);
	assert_true(btf__add_func(kernel.btf, "trace_call_bpf_faultable", BTF_FUNC_GLOBAL, proto) > 0);
	probes__read(kernel.btf, true, 0, &probes);
	assert_false(probes.has_steady_sys_exit);
	free_kernel(&kernel);
}

/* Nor are those on tracepoints for processes steady, once tracepoints are readers of an SRCU of the fast kind. */
static void test_steady_processes(void **state)
{
	struct kernel old = new_kernel_with_everything(), new = new_kernel_with_everything();
	struct probes probes;
	int type;

	(void)state;
	/* that of idle CPUs, until 6.13 */
	type = btf__add_struct(old.btf, "srcu_data", 64);
	assert_true(btf__add_var(old.btf, "tracepoint_srcu_srcu_data", BTF_VAR_STATIC, type) > 0);
	probes__read(old.btf, true, 0, &probes);
	assert_true(probes.has_steady_processes);
	/* the struct alone, as in 6.18 */
	type = btf__add_struct(new.btf, "srcu_ctr", 16);
	probes__read(new.btf, true, 0, &probes);
	assert_true(probes.has_steady_processes);
	assert_true(btf__add_var(new.btf, "tracepoint_srcu_srcu_data", BTF_VAR_STATIC, type) > 0);
	probes__read(new.btf, true, 0, &probes);
	assert_false(probes.has_steady_processes);
	assert_true(probes.has_steady_sys_exit);
	free_kernel(&old);
	free_kernel(&new);
}

/* Programs on uprobes share a stack with whoever comes to them on the same CPU since 6.13. */
static void test_private_stack(void **state)
{
	struct kernel old = new_kernel_with_everything(), new = new_kernel_with_everything();
	struct probes probes;

	(void)state;
	assert_true(btf__add_struct(old.btf, "bpf_prog_aux", 8) > 0);
	assert_int_equal(btf__add_field(old.btf, "priv_stack", 0, 0, 0), 0);
	probes__read(old.btf, true, 0, &probes);
	assert_false(probes.has_private_stack);
	assert_true(btf__add_struct(new.btf, "bpf_prog_aux", 16) > 0);
	assert_int_equal(btf__add_field(new.btf, "ksym", 0, 0, 0), 0);
	assert_int_equal(btf__add_field(new.btf, "priv_stack_ptr", 0, 64, 0), 0);
	probes__read(new.btf, true, 0, &probes);
	assert_true(probes.has_private_stack);
	free_kernel(&old);
	free_kernel(&new);
}

/* What lock calls need came with 5.15; memory of maps is locked memory before 5.11. */
static void test_what_has_no_fallback(void **state)
{
	static const struct {
		const char *helper;
		bool has_attach_cookie, maps_count_as_locked;
	} kernels[] = {
		{ "BPF_FUNC_task_storage_get", false, true },
		{ "BPF_FUNC_ktime_get_coarse_ns", false, false },
		{ "BPF_FUNC_get_attach_cookie", true, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(kernels) / sizeof(kernels[0]); i++) {
		struct kernel kernel = new_kernel();
		struct probes probes;

		assert_true(btf__add_enum(kernel.btf, "bpf_func_id", 4) > 0);
		assert_int_equal(btf__add_enum_value(kernel.btf, kernels[i].helper, 1), 0);
		probes__read(kernel.btf, true, 0, &probes);
		assert_int_equal(probes.has_attach_cookie, kernels[i].has_attach_cookie);
		assert_int_equal(probes.maps_count_as_locked, kernels[i].maps_count_as_locked);
		free_kernel(&kernel);
	}
}

/* A file's types tell what the kernel has, and nothing that makes the kernel look at its own. */
static void test_types_of_a_file(void **state)
{
	struct kernel kernel = new_kernel_with_everything();
	int proto = add_proto(&kernel, 1);
	struct probes probes;

	(void)state;
	assert_true(btf__add_func(kernel.btf, "bpf_task_from_pid", BTF_FUNC_GLOBAL, proto) > 0);
	assert_true(btf__add_func(kernel.btf, "bpf_task_release", BTF_FUNC_GLOBAL, proto) > 0);
	probes__read(kernel.btf, true, 0, &probes);
	assert_true(probes.has_kernel_btf && probes.has_tp_btf && probes.has_task_from_pid && probes.has_rdonly_cast);
	probes__read(kernel.btf, false, 0, &probes);
	assert_false(probes.has_kernel_btf);
	assert_false(probes.has_tp_btf || probes.has_task_storage || probes.has_current_task_btf ||
		     probes.has_task_pt_regs || probes.has_rdonly_cast || probes.has_task_from_pid ||
		     probes.has_task_from_vpid);
	for (int i = 0; i < TP_NR_KFUNCS; i++)
		assert_int_equal(probes.kfunc_ids[i], 0);
	assert_true(probes.has_prev_state && probes.has_group_dead && probes.has_mem_alloc &&
		    probes.has_steady_sys_exit);
	free_kernel(&kernel);
}

/* Each one alone takes away what it names, and only that; and what depends on it. */
static void test_forced_fallbacks(void **state)
{
	struct kernel kernel = new_kernel_with_everything();

	(void)state;
	for (unsigned which = 0; which <= NR_FALLBACKS; which++) {
		unsigned forced = which < NR_FALLBACKS ? FALLBACK_BIT(which) : 0;
		struct probes probes;

		probes__read(kernel.btf, true, forced, &probes);
		bool own = which != FALLBACK_KERNEL_BTF;

		assert_int_equal(probes.has_kernel_btf, own);
		assert_int_equal(probes.has_task_storage, own && which != FALLBACK_TASK_STORAGE);
		assert_int_equal(probes.has_tp_btf, own && which != FALLBACK_TP_BTF);
		assert_int_equal(probes.has_current_task_btf, own && which != FALLBACK_CURRENT_TASK_BTF);
		/* this helper takes what that one returns */
		assert_int_equal(probes.has_task_pt_regs,
				 own && which != FALLBACK_TASK_PT_REGS && which != FALLBACK_CURRENT_TASK_BTF);
		assert_int_equal(probes.has_prev_state, which != FALLBACK_PREV_STATE);
		assert_int_equal(probes.has_group_dead, which != FALLBACK_GROUP_DEAD);
		assert_int_equal(probes.has_mem_alloc, which != FALLBACK_MEM_ALLOC);
		assert_int_equal(probes.has_rdonly_cast, own && which != FALLBACK_RDONLY_CAST);
		assert_int_equal(probes.has_steady_sys_exit, which != FALLBACK_STEADY_SYS_EXIT);
		assert_int_equal(probes.has_steady_processes, which != FALLBACK_STEADY_PROCESSES);
	}
	free_kernel(&kernel);
}

/* The BTF that is asked must be the kernel's: in that of our own object both types are missing. */
static void test_the_running_kernel(void **state)
{
	struct btf *btf = btf__load_vmlinux_btf();
	int switch_args;

	(void)state;
	if (!btf)
		skip();
	switch_args = probes__tracepoint_args(btf, "sched_switch");
	assert_in_range(switch_args, 3, 8);
	assert_in_range(probes__tracepoint_args(btf, "sched_process_exit"), 1, 8);
	assert_int_equal(probes__tracepoint_args(btf, "sched_wakeup"), 1);
	assert_int_equal(probes__tracepoint_args(btf, "no_such_tracepoint"), -ENOENT);
	btf__free(btf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_hidden_argument_does_not_count),
		cmocka_unit_test(test_one_among_many),
		cmocka_unit_test(test_a_kernel_without_it),
		cmocka_unit_test(test_a_struct_of_the_name),
		cmocka_unit_test(test_a_function_of_the_name),
		cmocka_unit_test(test_the_typedef_behind_a_struct_of_its_name),
		cmocka_unit_test(test_a_typedef_of_something_else),
		cmocka_unit_test(test_a_type_that_is_not_in_the_btf),
		cmocka_unit_test(test_a_name_that_is_too_long),
		cmocka_unit_test(test_decisions),
		cmocka_unit_test(test_helpers),
		cmocka_unit_test(test_steady_sys_exit),
		cmocka_unit_test(test_steady_processes),
		cmocka_unit_test(test_private_stack),
		cmocka_unit_test(test_what_has_no_fallback),
		cmocka_unit_test(test_types_of_a_file),
		cmocka_unit_test(test_forced_fallbacks),
		cmocka_unit_test(test_the_running_kernel),
	};

	return cmocka_run_group_tests_name("probes", tests, NULL, NULL);
}
