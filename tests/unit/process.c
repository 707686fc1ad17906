// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include <setjmp.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "process.h"
#include "snoop_summary.h"

static struct process_event event;

static struct snoop_process identity(uint32_t tgid, uint64_t start_ns, uint32_t ppid,
				     uint64_t parent_start_ns, const char *comm)
{
	struct snoop_process p = {
		.tgid = tgid,
		.start_ns = start_ns,
		.ppid = ppid,
		.parent_start_ns = parent_start_ns,
		.uid = 1000,
		.cgroup_id = 7,
	};

	memcpy(p.comm, comm, strnlen(comm, TP_COMM_LEN));
	memcpy(p.parent_comm, "parent", 7);
	return p;
}

static struct process *simple(struct processes *all, uint16_t kind, struct snoop_process p)
{
	struct snoop_rec rec = { .h = { .kind = kind, .size = sizeof(rec), .ts_ns = p.start_ns },
				 .p = p };

	assert_int_equal(processes__apply(all, &rec.h, &event), 0);
	return event.process;
}

static struct process *fork_(struct processes *all, uint32_t tgid, uint64_t start_ns, uint32_t ppid,
			     uint64_t parent_start_ns, const char *comm)
{
	struct process *process =
		simple(all, SNOOP_REC_FORK, identity(tgid, start_ns, ppid, parent_start_ns, comm));

	assert_int_equal(event.what, PROCESS_FORKED);
	return process;
}

static struct process *exit_(struct processes *all, struct snoop_process p, uint64_t ts_ns,
			     uint32_t status)
{
	struct snoop_rec_exit rec = {
		.h = { .kind = SNOOP_REC_EXIT, .size = sizeof(rec), .ts_ns = ts_ns },
		.p = p,
		.cpu_ns = 5,
		.status = status,
	};

	assert_int_equal(processes__apply(all, &rec.h, &event), 0);
	assert_int_equal(event.what, PROCESS_ENDED);
	return event.process;
}

#define PARTS(text) text, sizeof(text)

static struct process *exec_(struct processes *all, struct snoop_process p, const char *parts,
			     size_t parts_bytes, const char *args, uint32_t args_bytes,
			     uint32_t args_total, uint32_t flags)
{
	union {
		struct snoop_rec_exec rec;
		char room[sizeof(struct snoop_rec_exec) + 64];
	} u = { .rec = {
			.h = { .kind = SNOOP_REC_EXEC, .size = sizeof(u), .ts_ns = 50 },
			.p = p,
			.flags = flags,
			.exe_bytes = parts_bytes,
			.args_bytes = args_bytes,
			.args_total = args_total,
		} };

	assert_true(args_bytes <= 64);
	memcpy(u.rec.exe, parts, parts_bytes);
	memcpy(u.room + sizeof(u.rec), args, args_bytes);
	assert_int_equal(processes__apply(all, &u.rec.h, &event), 0);
	assert_int_equal(event.what, PROCESS_EXECED);
	return event.process;
}

static size_t ancestry(const struct process *process, char *text)
{
	const struct process *list[PROCESS_MAX_ANCESTORS];
	size_t nr = process__ancestry(process, list);

	*text = '\0';
	for (size_t i = 0; i < nr; i++) {
		strncat(text, list[i]->comm, TP_COMM_LEN);
		strcat(text, ">");
	}
	return nr;
}

static void test_a_life(void **state)
{
	struct processes *all = processes__new();
	struct snoop_process p = identity(100, 10, 50, 5, "sh");
	struct process *process;
	char text[512];

	(void)state;
	process = fork_(all, 100, 10, 50, 5, "sh");
	assert_int_equal(process->execs, 0);
	memcpy(p.comm, "worker", 7);
	process = exec_(all, p, PARTS("worker\0bin\0usr"), "worker\0-x", 9, 9, 0);
	assert_string_equal(process->image->exe, "/usr/bin/worker");
	assert_memory_equal(process->image->args, "worker\0-x", 9);
	assert_false(process->image->args_cut);
	process = exit_(all, p, 1010, 3 << 8);
	assert_int_equal(process->tgid, 100);
	assert_int_equal(process->ppid, 50);
	assert_int_equal(process->execs, 1);
	assert_int_equal(process->uid, 1000);
	assert_string_equal(process->comm, "worker");
	assert_int_equal(event.life_ns, 1000);
	assert_int_equal(event.cpu_ns, 5);
	assert_int_equal(event.status, 3 << 8);
	ancestry(process, text);
	assert_string_equal(text, "parent>");
	assert_null(processes__find(all, 100));
	processes__free(all);
}

/* init's children may be unseen at their begin: exec and exit alone are a whole record. */
static void test_unseen_fork(void **state)
{
	struct processes *all = processes__new();
	struct snoop_process p = identity(100, 10, 1, 1, "worker");
	struct process *process;
	char text[512];

	(void)state;
	process = exit_(all, p, 20, 9);
	assert_int_equal(process->ppid, 1);
	assert_int_equal(process->start_ns, 10);
	assert_int_equal(event.life_ns, 10);
	assert_int_equal(ancestry(process, text), 0);
	process = exec_(all, p, PARTS("w\0"), "", 0, 0, 0);
	assert_int_equal(process->ppid, 1);
	processes__free(all);
}

static void test_fork_shares_the_image(void **state)
{
	struct processes *all = processes__new();
	struct snoop_process p = identity(100, 10, 1, 1, "sh");
	struct process *child;

	(void)state;
	exec_(all, p, PARTS("sh\0bin"), "sh", 2, 3, 0);
	child = fork_(all, 101, 20, 100, 10, "sh");
	assert_string_equal(child->image->exe, "/bin/sh");
	assert_true(child->image->args_cut);
	assert_int_equal(child->execs, 0);
	exit_(all, p, 30, 0);
	child = exit_(all, identity(101, 20, 1, 1, "sh"), 40, 0);
	assert_string_equal(child->image->exe, "/bin/sh");
	/* Adopted by init meanwhile, but made by the shell. */
	assert_int_equal(child->ppid, 100);
	processes__free(all);
}

/*
 * The dead are remembered as long as somebody descends from them, and a pid that comes back is
 * another.
 */
static void test_ancestry_of_the_dead(void **state)
{
	struct processes *all = processes__new();
	char text[512];

	(void)state;
	fork_(all, 100, 10, 1, 1, "cron");
	fork_(all, 101, 20, 100, 10, "sh");
	fork_(all, 102, 30, 101, 20, "worker");
	exit_(all, identity(101, 20, 100, 10, "sh"), 40, 0);
	exit_(all, identity(100, 10, 1, 1, "cron"), 41, 0);
	fork_(all, 101, 50, 1, 1, "other");
	ancestry(processes__find(all, 102), text);
	assert_string_equal(text, "cron>sh>");
	processes__free(all);
}

static void test_names_of_makers(void **state)
{
	struct processes *all = processes__new();
	struct snoop_process p = identity(101, 20, 100, 10, "child");
	char text[512];

	(void)state;
	fork_(all, 100, 10, 1, 1, "old");
	memcpy(p.parent_comm, "renamed", 8);
	simple(all, SNOOP_REC_FORK, p);
	ancestry(processes__find(all, 101), text);
	assert_string_equal(text, "renamed>");
	processes__free(all);
}

static void test_pid_reuse(void **state)
{
	struct processes *all = processes__new();
	struct process *process;

	(void)state;
	fork_(all, 100, 10, 1, 1, "first");
	process = fork_(all, 100, 99, 1, 1, "second");
	assert_int_equal(processes__nr_missed_ends(all), 1);
	assert_int_equal(process->start_ns, 99);
	/* A record of the first one, out of order, does not touch the second. */
	exit_(all, identity(100, 10, 1, 1, "first"), 100, 0);
	assert_int_equal(event.life_ns, 90);
	assert_int_equal(processes__find(all, 100)->start_ns, 99);
	processes__free(all);
}

static size_t nr_gone;

static void gone(struct process *process)
{
	assert_int_equal(process->tgid, 101);
	nr_gone++;
}

static void test_sweep(void **state)
{
	struct processes *all = processes__new();

	(void)state;
	fork_(all, 100, 10, 1, 1, "listed");
	fork_(all, 101, 11, 100, 10, "gone");
	fork_(all, 102, 12, 100, 10, "just ended");
	processes__begin_sweep(all);
	simple(all, SNOOP_REC_LIVING, identity(100, 10, 1, 1, "listed"));
	exit_(all, identity(102, 12, 100, 10, "just ended"), 20, 0);
	fork_(all, 103, 20, 100, 10, "just made");
	nr_gone = 0;
	processes__end_sweep(all, gone);
	assert_int_equal(nr_gone, 1);
	assert_int_equal(processes__nr_missed_ends(all), 1);
	assert_non_null(processes__find(all, 100));
	assert_null(processes__find(all, 101));
	assert_non_null(processes__find(all, 103));
	processes__free(all);
}

static void test_living(void **state)
{
	struct processes *all = processes__new();
	struct process *process;
	char text[512];

	(void)state;
	/* In any order, and for one that an event has made known already. */
	fork_(all, 102, 30, 101, 20, "c");
	simple(all, SNOOP_REC_LIVING, identity(102, 30, 101, 20, "c"));
	assert_int_equal(event.what, PROCESS_NOTHING);
	simple(all, SNOOP_REC_LIVING, identity(101, 20, 100, 10, "b"));
	simple(all, SNOOP_REC_LIVING, identity(100, 10, 1, 1, "a"));
	process = processes__find(all, 102);
	ancestry(process, text);
	assert_string_equal(text, "a>b>");
	assert_int_equal(process->cgroup_id, 7);
	processes__free(all);
}

static void test_follow(void **state)
{
	struct processes *all = processes__new();

	(void)state;
	fork_(all, 100, 10, 1, 1, "a");
	fork_(all, 101, 20, 100, 10, "b");
	fork_(all, 200, 20, 1, 1, "x");
	assert_false(processes__follow(all, 999));
	assert_true(processes__follow(all, 100));
	assert_true(fork_(all, 102, 30, 101, 20, "c")->followed);
	assert_true(processes__find(all, 101)->followed);
	assert_false(processes__find(all, 200)->followed);
	assert_false(fork_(all, 201, 30, 200, 20, "y")->followed);
	processes__free(all);
}

static void test_paths(void **state)
{
	struct processes *all = processes__new();
	struct snoop_process p = identity(100, 10, 1, 1, "x");

	(void)state;
	exec_(all, p, PARTS("memfd:x"), "", 0, 0, SNOOP_EXE_LOOSE);
	assert_string_equal(processes__find(all, 100)->image->exe, "memfd:x");
	exec_(all, p, PARTS("x\0y"), "", 0, 0, SNOOP_EXE_CUT);
	assert_string_equal(processes__find(all, 100)->image->exe, ".../y/x");
	exec_(all, p, "", 0, "", 0, 0, SNOOP_ARGS_UNREAD);
	assert_null(processes__find(all, 100)->image->exe);
	assert_null(processes__find(all, 100)->image->args);
	assert_string_equal(process__exe(processes__find(all, 100)), "x");
	assert_int_equal(processes__find(all, 100)->execs, 3);
	processes__free(all);
}

static void test_failed_exec(void **state)
{
	struct processes *all = processes__new();
	struct snoop_rec_failed rec = {
		.h = { .kind = SNOOP_REC_FAILED, .size = sizeof(rec) },
		.p = identity(100, 10, 1, 1, "sh"),
		.error = ENOENT,
		.path_bytes = 3,
		.path = "/x",
	};

	(void)state;
	assert_int_equal(processes__apply(all, &rec.h, &event), 0);
	assert_int_equal(event.what, PROCESS_EXEC_FAILED);
	assert_int_equal(event.error, ENOENT);
	assert_string_equal(event.path, "/x");
	rec.path_bytes = 0;
	assert_int_equal(processes__apply(all, &rec.h, &event), 0);
	assert_null(event.path);
	processes__free(all);
}

/* Records that lie about their sizes are refused, not believed. */
static void test_bad_records(void **state)
{
	struct processes *all = processes__new();
	struct snoop_rec_exec exec = {
		.h = { .kind = SNOOP_REC_EXEC, .size = sizeof(exec) },
		.p = identity(100, 10, 1, 1, "sh"),
		.args_bytes = 1,
		.args_total = 1,
	};
	struct snoop_rec_failed failed = {
		.h = { .kind = SNOOP_REC_FAILED, .size = sizeof(failed) },
		.p = identity(100, 10, 1, 1, "sh"),
		.path_bytes = 257,
	};
	struct tp_rec head = { .size = sizeof(head) };

	(void)state;
	assert_int_equal(processes__apply(all, &exec.h, &event), -EPROTO);
	exec.args_bytes = 0;
	exec.exe_bytes = sizeof(exec.exe) + 1;
	assert_int_equal(processes__apply(all, &exec.h, &event), -EPROTO);
	exec.exe_bytes = 1;
	exec.exe[0] = 'x'; /* no NUL at its end */
	assert_int_equal(processes__apply(all, &exec.h, &event), 0);
	assert_null(event.process->image->exe);
	assert_int_equal(processes__apply(all, &failed.h, &event), -EPROTO);
	for (uint16_t kind = 0; kind < 8; kind++) {
		head.kind = kind;
		assert_int_equal(processes__apply(all, &head, &event), -EPROTO);
	}
	processes__free(all);
}

/* Each makes the next and ends: what is remembered of them stays small. */
static void test_endless_chain(void **state)
{
	struct processes *all = processes__new();
	char text[PROCESS_MAX_ANCESTORS * (TP_COMM_LEN + 1) + 1];

	(void)state;
	for (uint32_t i = 100; i < 10000; i++) {
		fork_(all, i, i, i == 100 ? 1 : i - 1, i - 1, "x");
		if (i > 100)
			exit_(all, identity(i - 1, i - 1, 1, 1, "x"), i, 0);
	}
	assert_int_equal(ancestry(processes__find(all, 9999), text), PROCESS_MAX_ANCESTORS);
	processes__free(all);
}

static void test_summary(void **state)
{
	struct processes *all = processes__new();
	struct snoop_summary summary = { 0 };
	const struct summary_entry *top[SUMMARY_TOP];
	char exe[16];

	(void)state;
	fork_(all, 50, 5, 1, 1, "cron");
	fork_(all, 60, 6, 50, 5, "sh");
	for (uint32_t i = 0; i < 15; i++) {
		for (uint32_t j = 0; j <= i; j++) {
			struct snoop_process p = identity(100, 10 + 20 * i + j, 60, 6, "w");
			int bytes = snprintf(exe, sizeof(exe), "e%02u", i);

			memcpy(p.parent_comm, "sh", 3);
			exec_(all, p, exe, bytes + 1, "", 0, 0, 0);
			exit_(all, p, 1000, 0);
			event.cpu_ns = 100 - i;
			assert_int_equal(snoop_summary__add(&summary, &event), 0);
		}
	}
	assert_int_equal(summary.processes, 120);
	assert_int_equal(snoop_summary__top(&summary, SUMMARY_BY_COUNT, top), SUMMARY_TOP);
	for (uint32_t i = 0; i < SUMMARY_TOP; i++)
		assert_int_equal(top[i]->count, 15 - i);
	assert_string_equal(top[0]->name, "/e14");
	assert_int_equal(snoop_summary__top(&summary, SUMMARY_LAUNCHERS, top), 1);
	assert_string_equal(top[0]->name, "sh");
	assert_int_equal(top[0]->pid, 60);
	assert_int_equal(top[0]->count, 120);
	assert_int_equal(snoop_summary__top(&summary, SUMMARY_ROOTS, top), 1);
	assert_int_equal(top[0]->pid, 50);
	snoop_summary__free(&summary);
	processes__free(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_life),
		cmocka_unit_test(test_unseen_fork),
		cmocka_unit_test(test_fork_shares_the_image),
		cmocka_unit_test(test_ancestry_of_the_dead),
		cmocka_unit_test(test_names_of_makers),
		cmocka_unit_test(test_pid_reuse),
		cmocka_unit_test(test_sweep),
		cmocka_unit_test(test_living),
		cmocka_unit_test(test_follow),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_failed_exec),
		cmocka_unit_test(test_bad_records),
		cmocka_unit_test(test_endless_chain),
		cmocka_unit_test(test_summary),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
