// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/*
 * Leaves a lock function without a return: a signal's handler jumps out of pthread_mutex_lock() while the thread
 * waits for a lock that it will never get, 20 times. After each jump it takes a free lock some times.
 *
 * stdout: {"type":"ready",...}; a line on stdin starts it; {"type":"truth",...}: what was taken and jumped out of.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>

#include "workload.h"

#define NR_JUMPS 20
#define NR_FREE_CALLS 10 /* after each */

pthread_mutex_t stuck_lock = PTHREAD_MUTEX_INITIALIZER, free_lock = PTHREAD_MUTEX_INITIALIZER;
static sigjmp_buf before;

static void jump(int sig)
{
	siglongjmp(before, sig);
}

static void wait_and_jump(void)
{
	const struct itimerval soon = { .it_value = { .tv_usec = 5000 } };

	if (sigsetjmp(before, 1))
		return;
	setitimer(ITIMER_REAL, &soon, NULL);
	pthread_mutex_lock(&stuck_lock);
}

static void take_free_lock(void)
{
	for (int i = 0; i < NR_FREE_CALLS; i++) {
		pthread_mutex_lock(&free_lock);
		pthread_mutex_unlock(&free_lock);
	}
}

int main(void)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_handler = jump;
	sigaction(SIGALRM, &action, NULL);
	pthread_mutex_lock(&stuck_lock);
	say_ready();
	await_start();
	for (int i = 0; i < NR_JUMPS; i++) {
		wait_and_jump();
		take_free_lock();
	}
	printf("{\"type\":\"truth\",\"addr\":\"%p\",\"acquisitions\":%d,\"jumps\":%d}\n", (void *)&free_lock,
	       NR_JUMPS * NR_FREE_CALLS, NR_JUMPS);
	fflush(stdout);
	await_end_of_input();
	return 0;
}
