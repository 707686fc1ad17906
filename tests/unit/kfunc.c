// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/* Which kernel functions are there, by the kernel's BTF: a wrong id would call another function. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/btf.h>
#include <cmocka.h>

#include "kfunc.h"
#include "threadprof.h"
#include "threadprof.skel.h"

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

/* How many calls with such a source register and number are in the file. */
static size_t count_calls(const char *image, size_t size, uint8_t src_reg, int32_t imm)
{
	const struct bpf_insn call = { .code = BPF_JMP | BPF_CALL, .src_reg = src_reg, .imm = imm };
	size_t count = 0;

	for (size_t at = 0; at + sizeof(call) <= size; at += sizeof(call))
		count += !memcmp(image + at, &call, sizeof(call));
	return count;
}

/* Of the real programs; some of these calls are in functions that are no programs themselves. */
static void test_calls_of_what_is_there_are_put_in(void **state)
{
	int ids[TP_NR_KFUNCS] = { [TP_RDONLY_CAST] = 4711 };
	size_t size, casts, releases;
	const void *programs = threadprof_bpf__elf_bytes(&size);
	char *image = malloc(size);
	struct bpf_object *obj;

	(void)state;
	assert_non_null(image);
	memcpy(image, programs, size);
	casts = count_calls(image, size, 0, TP_KFUNC_CALL(TP_RDONLY_CAST));
	releases = count_calls(image, size, 0, TP_KFUNC_CALL(TP_TASK_RELEASE));
	assert_true(casts > 0 && releases > 0);
	assert_int_equal(kfunc__resolve(image, size, ids), 0);
	assert_int_equal(count_calls(image, size, 0, TP_KFUNC_CALL(TP_RDONLY_CAST)), 0);
	assert_int_equal(count_calls(image, size, BPF_PSEUDO_KFUNC_CALL, 4711), casts);
	assert_int_equal(count_calls(image, size, 0, TP_KFUNC_CALL(TP_TASK_RELEASE)), releases);
	obj = bpf_object__open_mem(image, size, NULL);
	assert_non_null(obj);
	bpf_object__close(obj);
	free(image);
}

static void test_what_is_no_object_file(void **state)
{
	const int ids[TP_NR_KFUNCS] = { 0 };
	char image[256] = "no object file";

	(void)state;
	assert_int_equal(kfunc__resolve(image, sizeof(image), ids), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_functions_are_found_by_their_whole_name),
		cmocka_unit_test(test_only_a_function_is_one),
		cmocka_unit_test(test_calls_of_what_is_there_are_put_in),
		cmocka_unit_test(test_what_is_no_object_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
