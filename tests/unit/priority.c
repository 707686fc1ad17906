// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/* A priority for a moment: with and without the right to it, everything is as before afterwards. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "priority.h"

static int policy(void)
{
	return sched_getscheduler(0) & ~SCHED_RESET_ON_FORK;
}

static void set_policy(int which)
{
	struct sched_param param = { 0 };

	assert_int_equal(sched_setscheduler(0, which, &param), 0);
}

static void check_moment(int before)
{
	struct sched_param param;
	int token;

	set_policy(before);
	token = priority__raise();
	if (policy() != before) {
		assert_int_equal(policy(), SCHED_FIFO);
		assert_int_equal(sched_getparam(0, &param), 0);
		assert_int_equal(param.sched_priority, 1);
		/* What is started meanwhile is not to have it. */
		assert_true(sched_getscheduler(0) & SCHED_RESET_ON_FORK);
	}
	priority__restore(token);
	assert_int_equal(policy(), before);
}

static void test_a_moment(void **state)
{
	(void)state;
	priority__reserve();
	check_moment(SCHED_OTHER);
	check_moment(SCHED_OTHER);
	check_moment(SCHED_BATCH);
}

/* Who runs when nobody else does was told to: no moment changes that. In a process of its own: there may be no way back. */
static void test_another_policy(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	assert_true(pid >= 0);
	if (!pid) {
		struct sched_param param = { 0 };
		int token, is_idle;

		if (sched_setscheduler(0, SCHED_IDLE, &param))
			_exit(1);
		token = priority__raise();
		is_idle = policy() == SCHED_IDLE;
		priority__restore(token);
		_exit(is_idle && policy() == SCHED_IDLE ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* The limit lets nobody have more than the least priority. */
static void test_the_limit(void **state)
{
	struct rlimit before, after;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_RTPRIO, &before), 0);
	priority__reserve();
	assert_int_equal(getrlimit(RLIMIT_RTPRIO, &after), 0);
	if (before.rlim_cur > 1)
		assert_true(after.rlim_cur == before.rlim_cur);
	else
		assert_true(after.rlim_cur <= 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_limit),
		cmocka_unit_test(test_a_moment),
		cmocka_unit_test(test_another_policy),
	};

	return cmocka_run_group_tests_name("priority", tests, NULL, NULL);
}
