// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/* The number of a tracepoint's event, from a folder that looks like tracefs. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tracepoint.h"

#define ID_FILE "events/raw_syscalls/sys_exit/id"

static char directory[64];
static int root;

static int set_up(void **state)
{
	static const char *const folders[] = { "events", "events/raw_syscalls", "events/raw_syscalls/sys_exit" };

	(void)state;
	snprintf(directory, sizeof(directory), "/tmp/tracepoint.XXXXXX");
	assert_non_null(mkdtemp(directory));
	root = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(root >= 0);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(mkdirat(root, folders[i], 0700), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlinkat(root, ID_FILE, 0);
	unlinkat(root, "events/raw_syscalls/sys_exit", AT_REMOVEDIR);
	unlinkat(root, "events/raw_syscalls", AT_REMOVEDIR);
	unlinkat(root, "events", AT_REMOVEDIR);
	close(root);
	return rmdir(directory);
}

static int id_of(const char *text)
{
	int fd = openat(root, ID_FILE, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_true(dprintf(fd, "%s", text) >= 0);
	close(fd);
	return tracepoint__id(root, "raw_syscalls/sys_exit");
}

static void test_a_number(void **state)
{
	(void)state;
	assert_int_equal(id_of("352\n"), 352);
	assert_int_equal(id_of("2147483647\n"), 2147483647);
}

static void test_what_is_no_number(void **state)
{
	static const char *const texts[] = { "", "\n", "0\n", "-1\n", "352", "352 \n", "x\n", "2147483648\n", "99999999999999999999\n" };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(id_of(texts[i]), -EPROTO);
}

static void test_no_such_event(void **state)
{
	(void)state;
	assert_int_equal(tracepoint__id(root, "raw_syscalls/sys_exit"), -ENOENT);
	assert_int_equal(tracepoint__id(root, "nonsense/sys_exit"), -ENOENT);
	assert_int_equal(tracepoint__id(-1, "raw_syscalls/sys_exit"), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_number, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_is_no_number, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_such_event, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("tracepoint", tests, NULL, NULL);
}
