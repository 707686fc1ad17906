// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/* Which way to see thread switches is tried, and what --force-fallback takes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fallback.h"
#include "programs.h"

static char said[512];

/* What fallback__parse() says on stderr is left in said. */
static int parse(const char *list, unsigned *forced)
{
	int saved = dup(STDERR_FILENO), result;
	FILE *file = tmpfile();
	size_t length;

	assert_non_null(file);
	dup2(fileno(file), STDERR_FILENO);
	result = fallback__parse(list, forced);
	dup2(saved, STDERR_FILENO);
	close(saved);
	rewind(file);
	length = fread(said, 1, sizeof(said) - 1, file);
	said[length] = '\0';
	fclose(file);
	return result;
}

static void test_names(void **state)
{
	unsigned all = 0;

	(void)state;
	for (unsigned which = 0; which < NR_FALLBACKS; which++) {
		unsigned forced = 0;

		assert_int_equal(parse(fallback__name(which), &forced), 0);
		assert_int_equal(forced, FALLBACK_BIT(which));
		assert_int_equal(parse(fallback__name(which), &all), 0);
	}
	assert_int_equal(all, (1U << NR_FALLBACKS) - 1);
}

static void test_a_list(void **state)
{
	unsigned forced = 0;

	(void)state;
	assert_int_equal(parse("group_dead,task_storage", &forced), 0);
	assert_int_equal(forced, FALLBACK_BIT(FALLBACK_GROUP_DEAD) | FALLBACK_BIT(FALLBACK_TASK_STORAGE));
}

static void test_what_is_no_name(void **state)
{
	static const char *const lists[] = {
		"", "nonsense", "tp_bt", "tp_btff", "tp_btf,", ",tp_btf", "tp_btf,,", "TP_BTF",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		unsigned forced = 0;

		assert_int_equal(parse(lists[i], &forced), -EINVAL);
		for (unsigned which = 0; which < NR_FALLBACKS; which++)
			assert_non_null(strstr(said, fallback__name(which)));
	}
}

/* --- ways --- */

static const struct probes everything = {
	.has_task_storage = true, .has_tp_btf = true, .has_current_task_btf = true, .has_task_pt_regs = true,
};

static void assert_ways(const struct probes *probes, enum switch_probe asked, const char *expected)
{
	char allowed[NR_WAYS + 1] = "";

	for (int way = 0; way < NR_WAYS; way++)
		allowed[way] = way__is_allowed(way, asked, probes) ? 'y' : '-';
	assert_string_equal(allowed, expected);
}

/* tp_btf with task storage, tp_btf with a hash map, raw tracepoint, finish_task_switch */
static void test_ways(void **state)
{
	struct probes probes = everything;

	(void)state;
	assert_ways(&probes, SWITCH_PROBE_AUTO, "yyyy");
	assert_ways(&probes, SWITCH_PROBE_TRACEPOINT, "yyy-");
	assert_ways(&probes, SWITCH_PROBE_FUNCTION, "---y");
	probes.has_task_storage = false;
	assert_ways(&probes, SWITCH_PROBE_AUTO, "-yyy");
	probes = everything;
	/* task storage takes only a pointer that the verifier trusts */
	probes.has_current_task_btf = false;
	assert_ways(&probes, SWITCH_PROBE_AUTO, "-yyy");
	probes.has_tp_btf = false;
	assert_ways(&probes, SWITCH_PROBE_AUTO, "--yy");
	assert_ways(&probes, SWITCH_PROBE_TRACEPOINT, "--y-");
	assert_ways(&probes, SWITCH_PROBE_FUNCTION, "---y");
}

/* How many programs of @part, or with that begin of the name, one way and one choice of hooks take. */
static int count_programs(const char *prefix, enum session_part part, enum session_way way,
			  const enum session_hook hooks[NR_HOOKED])
{
	int count = 0;

	for (const struct program *program = programs; program->name; program++)
		count += (prefix ? !strncmp(program->name, prefix, strlen(prefix)) : program->part == part) &&
			 program__is_of_way(program, way) && program__is_of_hooks(program, hooks);
	return count;
}

/* Each way has the same programs under other names: one for each thing that is seen. */
static void test_each_way_is_whole(void **state)
{
	(void)state;
	for (enum session_way way = 0; way < NR_WAYS; way++) {
		for (enum session_hook hook = 0; hook < NR_HOOKS; hook++) {
			const enum session_hook hooks[NR_HOOKED] = { [HOOKED_SYS_EXIT] = hook,
								     [HOOKED_PROCESSES] = hook };

			assert_int_equal(count_programs(NULL, SESSION_SCHED, way, hooks), 8);
			assert_int_equal(count_programs(NULL, SESSION_MIGRATE, way, hooks), 1);
			assert_int_equal(count_programs(NULL, SESSION_SOCKETS, way, hooks), 1);
			assert_int_equal(count_programs(NULL, SESSION_REQUESTS, way, hooks), 1);
			assert_int_equal(count_programs("process_fork", 0, way, hooks), 1);
			assert_int_equal(count_programs("process_exec", 0, way, hooks), 1);
			assert_int_equal(count_programs("process_exit", 0, way, hooks), 1);
		}
	}
}

/* Which program it is, and that the others are there in any case. */
static void test_hooks(void **state)
{
	(void)state;
	for (enum session_hook hook = 0; hook < NR_HOOKS; hook++) {
		const enum session_hook sys_exit[NR_HOOKED] = { [HOOKED_SYS_EXIT] = hook };
		const enum session_hook processes[NR_HOOKED] = { [HOOKED_PROCESSES] = hook };

		/* The others are there in any case. */
		assert_true(program__is_of_hooks(program__find("adopt_threads"), processes));
		assert_true(program__is_of_hooks(program__find("request_sys_exit"), processes));
		assert_int_equal(program__is_of_hooks(program__find("request_sys_exit"), sys_exit),
				 hook == HOOK_TRACEPOINT);
		assert_int_equal(program__is_of_hooks(program__find(EXIT_EVENT_PROGRAM), sys_exit),
				 hook == HOOK_EVENT);
	}
	assert_string_equal(program__find("process_exit_perf")->event, END_EVENT);
	assert_null(program__find("process_exit_guarded")->event);
}

/* Another hook than the tracepoint only where the kernel preempts there, and only one that the kernel has. */
static void test_choice_of_hooks(void **state)
{
	struct probes probes = everything;

	(void)state;
	probes.has_steady_sys_exit = probes.has_steady_processes = true;
	for (int has_event = 0; has_event < 2; has_event++) {
		assert_int_equal(hook__choose(HOOKED_SYS_EXIT, &probes, has_event), HOOK_TRACEPOINT);
		assert_int_equal(hook__choose(HOOKED_PROCESSES, &probes, has_event), HOOK_TRACEPOINT);
	}
	probes.has_steady_sys_exit = false;
	assert_int_equal(hook__choose(HOOKED_SYS_EXIT, &probes, true), HOOK_EVENT);
	assert_int_equal(hook__choose(HOOKED_SYS_EXIT, &probes, false), HOOK_PREEMPTED);
	assert_int_equal(hook__choose(HOOKED_PROCESSES, &probes, true), HOOK_TRACEPOINT);
	probes.has_steady_processes = false;
	assert_int_equal(hook__choose(HOOKED_PROCESSES, &probes, true), HOOK_EVENT);
	assert_int_equal(hook__choose(HOOKED_PROCESSES, &probes, false), HOOK_TRACEPOINT);
	probes.kfunc_ids[TP_PREEMPT_DISABLE] = probes.kfunc_ids[TP_PREEMPT_ENABLE] = 1;
	assert_int_equal(hook__choose(HOOKED_PROCESSES, &probes, false), HOOK_PREEMPTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_a_list),
		cmocka_unit_test(test_what_is_no_name),
		cmocka_unit_test(test_ways),
		cmocka_unit_test(test_each_way_is_whole),
		cmocka_unit_test(test_hooks),
		cmocka_unit_test(test_choice_of_hooks),
	};

	return cmocka_run_group_tests_name("programs", tests, NULL, NULL);
}
