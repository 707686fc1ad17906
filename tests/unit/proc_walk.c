// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/* The processes and threads that /proc has. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proc_walk.h"

struct seen {
	uint32_t wanted;
	int times;
	int all;
	int answer;
};

static int on_id(void *context, uint32_t id)
{
	struct seen *seen = context;

	seen->all++;
	seen->times += id == seen->wanted;
	return seen->answer;
}

static pthread_barrier_t barrier;

static void *wait_for_end(void *arg)
{
	uint32_t *tid = arg;

	*tid = gettid();
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	return NULL;
}

static void test_threads(void **state)
{
	struct seen seen = { 0 };
	pthread_t thread;

	(void)state;
	pthread_barrier_init(&barrier, NULL, 2);
	assert_int_equal(pthread_create(&thread, NULL, wait_for_end, &seen.wanted), 0);
	pthread_barrier_wait(&barrier);
	assert_int_equal(proc_walk__threads(getpid(), on_id, &seen), 0);
	assert_int_equal(seen.times, 1);
	assert_true(seen.all >= 2);
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&barrier);
}

static void test_processes(void **state)
{
	struct seen seen = { .wanted = getpid() };

	(void)state;
	assert_int_equal(proc_walk__processes(on_id, &seen), 0);
	assert_int_equal(seen.times, 1);
}

static void test_an_early_end(void **state)
{
	struct seen seen = { .answer = -ENOMEM };

	(void)state;
	assert_int_equal(proc_walk__threads(getpid(), on_id, &seen), -ENOMEM);
	assert_int_equal(seen.all, 1);
}

static void test_a_process_that_is_gone(void **state)
{
	struct seen seen = { 0 };
	pid_t child = fork();

	(void)state;
	assert_true(child >= 0);
	if (!child)
		_exit(0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(proc_walk__threads(child, on_id, &seen), 0);
	assert_int_equal(seen.all, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_processes),
		cmocka_unit_test(test_an_early_end),
		cmocka_unit_test(test_a_process_that_is_gone),
	};

	return cmocka_run_group_tests_name("proc_walk", tests, NULL, NULL);
}
