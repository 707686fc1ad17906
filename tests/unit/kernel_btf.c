// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/* Files that are given as the kernel's types: which are taken, and what is said of the others. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <bpf/btf.h>

#include "kernel_btf.h"

#if defined(__x86_64__)
#define OWN "orig_ax"
#define OTHER "orig_x0"
#else
#define OWN "orig_x0"
#define OTHER "orig_ax"
#endif

/* NULL: without that struct. */
static struct btf *new_types(const char *task, const char *a_register)
{
	struct btf *btf = btf__new_empty();
	int word = btf__add_int(btf, "unsigned long", 8, 0);

	assert_true(word > 0);
	if (task) {
		assert_true(btf__add_struct(btf, task, 8) > 0);
		assert_int_equal(btf__add_field(btf, "stack", word, 0, 0), 0);
	}
	if (a_register) {
		assert_true(btf__add_struct(btf, "pt_regs", 8) > 0);
		assert_int_equal(btf__add_field(btf, a_register, word, 0, 0), 0);
	}
	return btf;
}

static void expect(struct btf *btf, const char *said)
{
	char why[256] = "";

	assert_int_equal(kernel_btf__is_right(btf, why, sizeof(why)), !said);
	if (said)
		assert_non_null(strstr(why, said));
	btf__free(btf);
}

static void test_types(void **state)
{
	(void)state;
	expect(new_types("task_struct", OWN), NULL);
	expect(new_types(NULL, OWN), "no kernel");
	expect(new_types("task_struct_of_another_kind", OWN), "no kernel");
	expect(new_types("task_struct", OTHER), "another architecture");
	expect(new_types("task_struct", NULL), "another architecture");
}

/* Loads a file of @size bytes at @data. */
static int load(const void *data, size_t size, char *why, size_t why_size)
{
	char path[] = "/tmp/threadprof-unit-XXXXXX";
	struct btf *btf = NULL;
	int fd = mkstemp(path), err;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, size), (ssize_t)size);
	close(fd);
	kernel_btf__choose(path, false);
	assert_true(kernel_btf__is_given());
	assert_string_equal(kernel_btf__file(), path);
	err = kernel_btf__load(&btf, why, why_size);
	if (err)
		assert_non_null(strstr(why, path));
	assert_int_equal(!err, btf != NULL);
	btf__free(btf);
	unlink(path);
	return err;
}

static void test_files(void **state)
{
	struct btf *right = new_types("task_struct", OWN), *wrong = new_types(NULL, OWN);
	char why[256];
	const void *data;
	uint32_t size;

	(void)state;
	data = btf__raw_data(right, &size);
	assert_int_equal(load(data, size, why, sizeof(why)), 0);
	assert_int_equal(load(data, size / 2, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "no description of types"));
	assert_int_equal(load("", 0, why, sizeof(why)), -EINVAL);
	assert_int_equal(load("something else", 14, why, sizeof(why)), -EINVAL);
	data = btf__raw_data(wrong, &size);
	assert_int_equal(load(data, size, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "no kernel"));
	btf__free(right);
	btf__free(wrong);
}

static void test_no_file(void **state)
{
	struct btf *btf;
	char why[256];

	(void)state;
	kernel_btf__choose("/nonexistent", false);
	assert_int_equal(kernel_btf__load(&btf, why, sizeof(why)), -ENOENT);
	assert_non_null(strstr(why, "/nonexistent"));
	kernel_btf__choose(NULL, false);
	assert_null(kernel_btf__file());
	assert_false(kernel_btf__is_given());
	/* Taken as having none: what it has is a file like others. */
	kernel_btf__choose(NULL, true);
	assert_non_null(kernel_btf__file());
	assert_false(kernel_btf__is_given());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_no_file),
	};

	return cmocka_run_group_tests_name("kernel_btf", tests, NULL, NULL);
}
