// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/*
 * Makes processes and says what became of each: its pid, how long it lived as its maker saw it,
 * and how it ended. Prints a "ready" line, starts when it reads a line, prints the "truth" line,
 * ends with its input.
 *
 *	spawn many COUNT        trivial programs, one after the other, as fast as it goes; each looks at the
 *	                        clock too, first and last thing: its begin and its end lie between two looks
 *	spawn KIND              one process that is special in some way: see the table at the end
 *	spawn crowds COUNT      processes one after the other, each of which ends while it has 8 threads
 *	spawn cron TIMES MS     every MS a shell that starts 50 workers which burn CPU for 650 ms
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "workload.h"

#define NS_PER_MS 1000000ULL
#define NR_LONG_ARGS 1024
#define LONG_ARG_BYTES 127
#define ESCAPES "\033[31m\a\n\377x"

struct life {
	pid_t pid;
	uint64_t begin_ns;
	uint64_t end_ns;
	int status;
};

extern char **environ;
static char self[4096], look_word[] = "look", nothing[] = "nothing";

static void reap(struct life *life)
{
	while (waitpid(life->pid, &life->status, 0) < 0) {
		if (errno != EINTR)
			die("waitpid");
	}
	life->end_ns = now_ns();
}

static void print_life(const struct life *life)
{
	printf("{\"pid\":%d,\"begin_ns\":%" PRIu64 ",\"life_ns\":%" PRIu64 ",\"status\":%d}",
	       life->pid, life->begin_ns, life->end_ns - life->begin_ns, life->status);
}

/* --- many --- */

/* What a trivial program saw of its own life; it writes it into its slot of a file in memory. */
struct inside {
	uint64_t first_ns;
	uint64_t last_ns;
};

static int look(uint64_t first_ns, int file, size_t slot)
{
	struct inside inside = { .first_ns = first_ns, .last_ns = now_ns() };

	return pwrite(file, &inside, sizeof(inside), slot * sizeof(inside)) != sizeof(inside);
}

static void print_bounds(const struct life *life, const struct inside *inside)
{
	printf("{\"pid\":%d,\"begin_ns\":%" PRIu64 ",\"end_ns\":%" PRIu64, life->pid, life->begin_ns, life->end_ns);
	printf(",\"first_ns\":%" PRIu64 ",\"last_ns\":%" PRIu64 "}", inside->first_ns, inside->last_ns);
}

static void spawn_all(struct life *lives, size_t count, int file)
{
	char file_text[24], slot[24];
	char *const argv[] = { self, look_word, file_text, slot, nothing, NULL };

	snprintf(file_text, sizeof(file_text), "%d", file);
	for (size_t i = 0; i < count; i++) {
		snprintf(slot, sizeof(slot), "%zu", i);
		lives[i].begin_ns = now_ns();
		errno = posix_spawn(&lives[i].pid, self, NULL, NULL, argv, environ);
		if (errno)
			die("posix_spawn");
		reap(&lives[i]);
	}
}

static void many(size_t count)
{
	struct life *lives = calloc(count, sizeof(*lives));
	int file = memfd_create("lives", 0);
	/* So that seldom anybody comes between the child's end and our look at the clock. */
	struct sched_param first = { .sched_priority = 10 };
	uint64_t begin_ns;

	if (!lives || file < 0)
		die("no memory");
	if (sched_setscheduler(0, SCHED_FIFO, &first))
		die("cannot run first");
	begin_ns = now_ns();
	spawn_all(lives, count, file);
	printf("{\"type\":\"truth\",\"pid\":%d,\"duration_ns\":%" PRIu64 ",\"lives\":[", getpid(),
	       now_ns() - begin_ns);
	for (size_t i = 0; i < count; i++) {
		struct inside inside;

		if (pread(file, &inside, sizeof(inside), i * sizeof(inside)) != sizeof(inside))
			die("a process that did not look at the clock");
		if (i)
			putchar(',');
		print_bounds(&lives[i], &inside);
	}
	puts("]}");
	free(lives);
}

/* --- special ones: each runs in the child --- */

static void forked(void)
{
	sleep_ms(20);
	_exit(7);
}

static void *exec_nap(void *arg)
{
	(void)arg;
	execl(self, self, "nap", "30", (char *)NULL);
	_exit(126);
}

static void exec_from_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, exec_nap, NULL))
		_exit(125);
	pthread_join(thread, NULL);
	_exit(125);
}

static void *outlive(void *arg)
{
	(void)arg;
	sleep_ms(120);
	return NULL;
}

static void leader_first(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, outlive, NULL))
		_exit(125);
	sleep_ms(10);
	pthread_exit(NULL);
}

static void killed(void)
{
	sleep_ms(20);
	kill(getpid(), SIGKILL);
	pause();
}

static void exec_fails(void)
{
	execl("/nonexistent/program", "program", (char *)NULL);
	_exit(127);
}

/* As a 32-bit program does it; a kernel that runs only 64-bit programs kills it. */
static void exec_fails_32(void)
{
	long result = -ENOSYS;
#ifdef __x86_64__
	char *path = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	if (path == MAP_FAILED)
		_exit(125);
	strcpy(path, "/nonexistent/32-bit");
	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(11), "b"(path), "c"(0), "d"(0)
			 : "memory", "r8", "r9", "r10", "r11");
#endif
	_exit(result == -ENOENT ? 127 : 126);
}

static void long_args(void)
{
	static char *argv[NR_LONG_ARGS + 3];
	static char arg[LONG_ARG_BYTES + 1];

	memset(arg, 'a', LONG_ARG_BYTES);
	argv[0] = self;
	argv[1] = nothing;
	for (size_t i = 0; i < NR_LONG_ARGS; i++)
		argv[i + 2] = arg;
	execv(self, argv);
	_exit(126);
}

static void renamed(void)
{
	prctl(PR_SET_NAME, ESCAPES);
	_exit(0);
}

static void escapes_in_args(void)
{
	execl(self, self, "nothing", ESCAPES, (char *)NULL);
	_exit(126);
}

/* Adopted by somebody else before it ends; its maker stays who made it. */
static void orphan(void)
{
	if (!fork()) {
		sleep_ms(50);
		_exit(9);
	}
	_exit(0);
}

/* --- crowds --- */

#define CROWD 8

static void *pause_for_ever(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return NULL;
}

/* All its threads end at once. */
static void crowd(void)
{
	pthread_t thread;

	for (int i = 1; i < CROWD; i++) {
		if (pthread_create(&thread, NULL, pause_for_ever, NULL))
			_exit(125);
	}
	_exit(7);
}

static void crowds(size_t count)
{
	struct life *lives = calloc(count, sizeof(*lives));

	if (!lives)
		die("no memory");
	for (size_t i = 0; i < count; i++) {
		lives[i].begin_ns = now_ns();
		lives[i].pid = fork();
		if (lives[i].pid < 0)
			die("fork");
		if (!lives[i].pid)
			crowd();
		reap(&lives[i]);
	}
	printf("{\"type\":\"truth\",\"pid\":%d,\"lives\":[", getpid());
	for (size_t i = 0; i < count; i++) {
		if (i)
			putchar(',');
		print_life(&lives[i]);
	}
	puts("]}");
	free(lives);
}

/* --- like cron --- */

static void burn(uint64_t ms)
{
	uint64_t end_ns = now_ns() + ms * NS_PER_MS;

	while (now_ns() < end_ns)
		;
}

static pid_t start_shell(void)
{
	static const char script[] =
		"i=0; while [ $i -lt 50 ]; do \"$0\" burn 650 & i=$((i+1)); done; wait";
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid)
		return pid;
	execl("/bin/sh", "sh", "-c", script, self, (char *)NULL);
	_exit(126);
}

static void cron(long times, uint64_t period_ms)
{
	uint64_t begin_ns = now_ns();
	struct life crond = { .begin_ns = begin_ns, .pid = fork() };

	if (crond.pid < 0)
		die("fork");
	if (!crond.pid) {
		prctl(PR_SET_NAME, "likecron");
		for (long i = 0; i < times; i++) {
			uint64_t due_ns = begin_ns + i * period_ms * NS_PER_MS, now = now_ns();

			if (now < due_ns)
				sleep_ms((due_ns - now) / NS_PER_MS);
			waitpid(start_shell(), NULL, 0);
		}
		_exit(0);
	}
	reap(&crond);
	printf("{\"type\":\"truth\",\"pid\":%d,\"lives\":[", getpid());
	print_life(&crond);
	puts("]}");
}

/* --- main --- */

static const struct special {
	const char *name;
	void (*child)(void);
} specials[] = {
	{ "fork", forked },
	{ "exec-from-thread", exec_from_thread },
	{ "leader-first", leader_first },
	{ "killed", killed },
	{ "exec-fails", exec_fails },
	{ "exec-fails-32", exec_fails_32 },
	{ "long-args", long_args },
	{ "renamed", renamed },
	{ "escapes", escapes_in_args },
	{ "orphan", orphan },
};

static void one_special(void (*child)(void))
{
	struct life life = { .begin_ns = now_ns() };

	life.pid = fork();
	if (life.pid < 0)
		die("fork");
	if (!life.pid)
		child();
	reap(&life);
	printf("{\"type\":\"truth\",\"pid\":%d,\"lives\":[", getpid());
	print_life(&life);
	puts("]}");
}

/* A child of vfork() may do nothing but exec and _exit. */
static void by_vfork(void)
{
	struct life life = { .begin_ns = now_ns() };

	life.pid = vfork();
	if (life.pid < 0)
		die("vfork");
	if (!life.pid) {
		execl(self, self, "nap", "10", (char *)NULL);
		_exit(126);
	}
	reap(&life);
	printf("{\"type\":\"truth\",\"pid\":%d,\"lives\":[", getpid());
	print_life(&life);
	puts("]}");
}

static void run(int argc, char **argv)
{
	if (argc > 2 && !strcmp(argv[1], "many"))
		return many(strtoul(argv[2], NULL, 10));
	if (argc > 2 && !strcmp(argv[1], "crowds"))
		return crowds(strtoul(argv[2], NULL, 10));
	if (argc > 3 && !strcmp(argv[1], "cron"))
		return cron(strtol(argv[2], NULL, 10), strtoul(argv[3], NULL, 10));
	if (argc > 1 && !strcmp(argv[1], "vfork"))
		return by_vfork();
	for (size_t i = 0; argc > 1 && i < sizeof(specials) / sizeof(specials[0]); i++) {
		if (!strcmp(argv[1], specials[i].name))
			return one_special(specials[i].child);
	}
	fprintf(stderr, "spawn: what?\n");
	exit(2);
}

int main(int argc, char **argv)
{
	uint64_t first_ns = now_ns();

	/* What the processes that it makes do. */
	if (argc > 3 && !strcmp(argv[1], "look"))
		return look(first_ns, atoi(argv[2]), strtoul(argv[3], NULL, 10));
	if (argc > 1 && !strcmp(argv[1], "nothing"))
		return 0;
	if (argc > 2 && !strcmp(argv[1], "nap"))
		return sleep_ms(strtol(argv[2], NULL, 10)), 3;
	if (argc > 2 && !strcmp(argv[1], "burn"))
		return burn(strtoul(argv[2], NULL, 10)), 0;

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		die("readlink");
	printf("{\"type\":\"ready\",\"pid\":%d,\"exe\":\"%s\"}\n", getpid(), self);
	fflush(stdout);
	await_start();
	run(argc, argv);
	fflush(stdout);
	await_end_of_input();
	return 0;
}
