/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * What the workloads that play with locks share: mutexes of every kind, and threads that begin together and meet,
 * without a futex, which a profiler would see.
 */
#ifndef LOCK_PLAY_H
#define LOCK_PLAY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/prctl.h>

#include "workload.h"

#define MAX_PLAYERS 16

static unsigned nr_players;
static atomic_uint nr_up, nr_arrived, phase;
static atomic_bool started;

static inline void make_mutex(pthread_mutex_t *mutex, int type, int protocol, int robust)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, type);
	if (pthread_mutexattr_setprotocol(&attr, protocol) || pthread_mutexattr_setrobust(&attr, robust) ||
	    pthread_mutex_init(mutex, &attr))
		die("cannot make a mutex");
	pthread_mutexattr_destroy(&attr);
}

/* The first thing that a player does. */
static inline void begin_play(void)
{
	/* The default slack of 50 us would make every scripted sleep longer than asked. */
	prctl(PR_SET_TIMERSLACK, 1);
	atomic_fetch_add(&nr_up, 1);
	while (!atomic_load(&started))
		sleep_us(1000);
}

/* Returns when all players have come here. */
static inline void meet(void)
{
	unsigned here = atomic_load(&phase);

	if (atomic_fetch_add(&nr_arrived, 1) + 1 == nr_players) {
		atomic_store(&nr_arrived, 0);
		atomic_fetch_add(&phase, 1);
		return;
	}
	while (atomic_load(&phase) == here)
		sleep_us(100);
}

/* All of the program: each player's @run gets its number. */
static inline void play(unsigned nr, void *(*run)(void *), void (*print_truth)(void))
{
	pthread_t players[MAX_PLAYERS];

	nr_players = nr;
	for (unsigned i = 0; i < nr; i++) {
		if (pthread_create(&players[i], NULL, run, (void *)(uintptr_t)i))
			die("cannot start a thread");
	}
	while (atomic_load(&nr_up) < nr)
		sleep_us(1000);
	say_ready();
	await_start();
	atomic_store(&started, true);
	for (unsigned i = 0; i < nr; i++)
		pthread_join(players[i], NULL);
	print_truth();
	await_end_of_input();
}

#endif
