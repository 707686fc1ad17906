// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/* Which kernel functions are there, by the kernel's BTF: a wrong id would call another function. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <bpf/btf.h>
#include <cmocka.h>

#include "kfunc.h"

static int add_function(struct btf *btf, const char *name)
{
	int proto = btf__add_func_proto(btf, 0);
	int id = btf__add_func(btf, name, BTF_FUNC_STATIC, proto);

	assert_true(proto > 0 && id > 0);
	return id;
}

static void test_functions_are_found_by_their_whole_name(void **state)
{
	struct btf *btf = btf__new_empty();
	int ids[TP_NR_KFUNCS], release, from_pid;

	(void)state;
	assert_non_null(btf);
	add_function(btf, "bpf_task_from_pid_and_more");
	release = add_function(btf, "bpf_task_release");
	from_pid = add_function(btf, "bpf_task_from_pid");
	kfunc__find(btf, ids);
	assert_int_equal(ids[TP_TASK_FROM_PID], from_pid);
	assert_int_equal(ids[TP_TASK_RELEASE], release);
	assert_int_equal(ids[TP_TASK_FROM_VPID], 0);
	btf__free(btf);
}

static void test_only_a_function_is_one(void **state)
{
	struct btf *btf = btf__new_empty();
	int ids[TP_NR_KFUNCS];

	(void)state;
	assert_non_null(btf);
	assert_true(btf__add_struct(btf, "bpf_task_from_pid", 0) > 0);
	kfunc__find(btf, ids);
	for (int i = 0; i < TP_NR_KFUNCS; i++)
		assert_int_equal(ids[i], 0);
	btf__free(btf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_functions_are_found_by_their_whole_name),
		cmocka_unit_test(test_only_a_function_is_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
