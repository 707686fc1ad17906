// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "folded.h"
#include "site.h"

static struct symbols_frame frame(const char *function, const char *module)
{
	struct symbols_frame f = { .offset = 0x1234 };

	snprintf(f.function, sizeof(f.function), "%s", function);
	snprintf(f.module, sizeof(f.module), "%s", module);
	return f;
}

static void assert_internal(const char *function, const char *module, bool internal)
{
	struct symbols_frame f = frame(function, module);

	if (site__is_internal(&f) != internal)
		fail_msg("%s (%s) is %s a part of waiting", function, module, internal ? "not" : "taken for");
}

static void test_what_is_only_how_one_waits(void **state)
{
	(void)state;
	assert_internal("anything", "libc.so.6", true);
	assert_internal("", "ld-musl-x86_64.so.1", true);
	assert_internal("pthread_mutex_lock", "static", true);
	assert_internal("std::mutex::lock()", "server", true);
	assert_internal("take_gil", "libpython3.11.so.1.0", true);
	assert_internal("worker_loop", "server", false);
	assert_internal("", "libjvm.so", false);
	assert_internal("stdio_lock", "server", false);
	assert_internal("_PyEval_EvalFrameDefault", "python3.11", false);
}

static void assert_written(const struct symbols_frame *f, const char *want)
{
	char buf[64];

	site__format(f, buf, sizeof(buf));
	assert_string_equal(buf, want);
}

static void test_how_a_frame_is_written(void **state)
{
	struct symbols_frame f = frame("worker_loop", "server");

	(void)state;
	assert_written(&f, "worker_loop (server+0x1234)");
	f.line = 112;
	strcpy(f.file, "/build/src/server.c");
	assert_written(&f, "worker_loop (server.c:112)");
	f = frame("", "libjvm.so");
	assert_written(&f, "libjvm.so+0x1234");
	f = frame("jitted", "");
	assert_written(&f, "jitted");
	f = frame("", "");
	assert_written(&f, "?");
}

static void test_folded_stacks(void **state)
{
	char *const frames[] = { (char *)"take(int; char) (a.cc:3)", (char *)"x (libx.so+0x12)", (char *)"libc.so+0x5" };
	const uint64_t state_ns[TP_NR_STATES] = { [TP_LOCK] = 2000499, [TP_NET] = 499, [TP_DISK] = 500 };
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	folded__write_stack(out, frames, 3, state_ns);
	folded__write_stack(out, NULL, 0, state_ns);
	fclose(out);
	assert_string_equal(text, "lock;libc.so+0x5;x;take(int: char) 2000\n"
				  "disk;libc.so+0x5;x;take(int: char) 1\n"
				  "lock;[stacks that were not kept] 2000\n"
				  "disk;[stacks that were not kept] 1\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_only_how_one_waits),
		cmocka_unit_test(test_how_a_frame_is_written),
		cmocka_unit_test(test_folded_stacks),
	};

	return cmocka_run_group_tests_name("site", tests, NULL, NULL);
}
