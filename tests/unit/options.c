// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include <errno.h>
#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fallback.h"
#include "options.h"

#define MS 1000000ULL
#define SEC (1000 * MS)
#define MAX_ARGS 32

/* What options__parse() wrote to a descriptor during the last parse(). */
static char said[2][16384]; /* stdout, stderr */

static int catch(int fd)
{
	FILE *file = tmpfile();
	int saved = dup(fd);

	assert_non_null(file);
	fflush(NULL);
	dup2(fileno(file), fd);
	fclose(file);
	return saved;
}

static void release(int fd, int saved, char *text, size_t size)
{
	ssize_t length;

	fflush(NULL);
	length = pread(fd, text, size - 1, 0);
	text[length > 0 ? length : 0] = '\0';
	dup2(saved, fd);
	close(saved);
}

/* Parses the arguments after the program's name; the list ends with NULL. */
static int parse(struct options *options, const char *const *args)
{
	static char name[] = "threadprof", *argv[MAX_ARGS + 2];
	int argc = 1, out, err, result;

	argv[0] = name;
	for (; args[argc - 1]; argc++)
		argv[argc] = (char *)args[argc - 1];
	argv[argc] = NULL;
	out = catch(STDOUT_FILENO);
	err = catch(STDERR_FILENO);
	optind = 0; /* glibc and musl: begin anew */
	result = options__parse(options, argc, argv);
	release(STDERR_FILENO, err, said[1], sizeof(said[1]));
	release(STDOUT_FILENO, out, said[0], sizeof(said[0]));
	return result;
}

#define PARSE(options, ...) parse(options, (const char *const[]){ __VA_ARGS__, NULL })

static void assert_refused(const char *const *args, const char *word)
{
	struct options options;
	int result = parse(&options, args);

	if (result != -EINVAL || !strstr(said[1], word) || said[0][0])
		fail_msg("%s %s: result %d, stderr '%s', stdout '%s', expected '%s'", args[0], args[1] ? args[1] : "",
			 result, said[1], said[0], word);
	/* each sentence says where to read on, or what is right */
	assert_true(strstr(said[1], "takes") || strstr(said[1], "threadprof --help") || strstr(said[1], "either"));
}

#define ASSERT_REFUSED(word, ...) assert_refused((const char *const[]){ __VA_ARGS__, NULL }, word)

static void test_defaults(void **state)
{
	struct options options;

	(void)state;
	memset(&options, 0xff, sizeof(options));
	assert_int_equal(PARSE(&options, "-p", "1"), 0);
	assert_string_equal(options.pids, "1");
	assert_null(options.command);
	assert_false(options.follow);
	assert_int_equal(options.interval_ns, 10 * SEC);
	assert_int_equal(options.count, 0);
	assert_int_equal(options.duration_ns, 0);
	assert_false(options.json);
	assert_int_equal(options.slow_ns, 0);
	assert_int_equal(options.top_threads, 10);
	assert_int_equal(options.color, COLOR_AUTO);
	assert_float_equal(options.max_overhead_ratio, 0.05, 1e-9);
	assert_false(options.verbose);
	assert_int_equal(options.ring_bytes, 0);
	assert_int_equal(options.max_conns, 0);
	assert_null(options.refuse);
	assert_int_equal(options.force_fallback, 0);
	assert_int_equal(options.locks, LOCKS_SCHEDULER);
	assert_string_equal(said[0], "");
	assert_string_equal(said[1], "");
}

static void test_everything_at_once(void **state)
{
	struct options options;

	(void)state;
	assert_int_equal(PARSE(&options, "-fvp", "1,2", "-i0.5", "-n", "3", "-d", "7", "--json", "--slow=20",
			       "--top", "5", "--color=always", "--ring-bytes=8192", "--refuse", "x",
			       "--max-overhead=2.5", "--force-fallback=tp_btf", "--force-fallback", "prev_state",
			       "--locks=uprobe"), 0);
	assert_string_equal(options.pids, "1,2");
	assert_true(options.follow);
	assert_true(options.verbose);
	assert_int_equal(options.interval_ns, 500 * MS);
	assert_int_equal(options.count, 3);
	assert_int_equal(options.duration_ns, 7 * SEC);
	assert_true(options.json);
	assert_int_equal(options.slow_ns, 20 * MS);
	assert_int_equal(options.top_threads, 5);
	assert_int_equal(options.color, COLOR_ALWAYS);
	assert_int_equal(options.ring_bytes, 8192);
	assert_string_equal(options.refuse, "x");
	assert_int_equal(options.force_fallback, FALLBACK_BIT(FALLBACK_TP_BTF) | FALLBACK_BIT(FALLBACK_PREV_STATE));
	assert_int_equal(options.locks, LOCKS_UPROBE);
	assert_float_equal(options.max_overhead_ratio, 0.025, 1e-9);
}

static void test_long_forms(void **state)
{
	struct options options;

	(void)state;
	assert_int_equal(PARSE(&options, "--pid=9", "--follow", "--interval=2", "--count=4", "--duration=6",
			       "--verbose", "--color=never", "--locks=off"), 0);
	assert_int_equal(options.locks, LOCKS_OFF);
	assert_string_equal(options.pids, "9");
	assert_true(options.follow && options.verbose);
	assert_int_equal(options.interval_ns, 2 * SEC);
	assert_int_equal(options.count, 4);
	assert_int_equal(options.duration_ns, 6 * SEC);
	assert_int_equal(options.color, COLOR_NEVER);
}

static void test_the_smallest_and_the_largest_values(void **state)
{
	struct options options;

	(void)state;
	assert_int_equal(PARSE(&options, "-p1", "-i", "0.01", "-d", ".01", "-n", "1", "--top", "0", "--slow", "1",
			       "--ring-bytes", "4096", "--max-overhead", "0.1", "--max-connections", "1"), 0);
	assert_int_equal(options.max_conns, 1);
	assert_float_equal(options.max_overhead_ratio, 0.001, 1e-9);
	assert_int_equal(options.interval_ns, 10 * MS);
	assert_int_equal(options.duration_ns, 10 * MS);
	assert_int_equal(options.top_threads, 0);
	assert_int_equal(PARSE(&options, "-p1", "-i", "86400", "-d", "31536000", "-n", "4294967295", "--top", "1024",
			       "--slow", "86400000", "--ring-bytes", "1073741824", "--max-overhead", "100",
			       "--max-connections", "16777216"), 0);
	assert_int_equal(options.max_conns, 1 << 24);
	assert_float_equal(options.max_overhead_ratio, 1, 1e-9);
	assert_int_equal(options.interval_ns, 86400 * SEC);
	assert_int_equal(options.duration_ns, 365 * 86400 * SEC);
	assert_int_equal(options.count, UINT32_MAX);
	assert_int_equal(options.top_threads, 1024);
	assert_int_equal(options.slow_ns, 86400 * SEC);
	assert_int_equal(options.ring_bytes, 1 << 30);
}

static void test_bad_numbers(void **state)
{
	static const char *const never_right[] = {
		"", " ", "x", "-1", "+1", " 1", "1 ", "1x", "0x10", "1e3", "--", "1,5", "nan", "inf",
		"99999999999999999999999999", "18446744073709551616",
	};
	static const char *const options[] = { "-i", "-n", "-d", "--slow", "--top", "--ring-bytes", "--max-overhead",
					       "--max-connections" };

	(void)state;
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		for (size_t j = 0; j < sizeof(never_right) / sizeof(never_right[0]); j++)
			ASSERT_REFUSED(options[i], "-p1", options[i], never_right[j]);
	}
}

static void test_numbers_out_of_range(void **state)
{
	static const char *const cases[][2] = {
		{ "-i", "0" }, { "-i", "0.0" }, { "-i", "0.009" }, { "-i", "86400.1" }, { "-i", "0.0100000001" },
		{ "-i", "." }, { "-i", "1.2.3" },
		{ "-n", "0" }, { "-n", "1.5" }, { "-n", "4294967296" },
		{ "-d", "0" }, { "-d", "0.009" }, { "-d", "31536001" },
		{ "--slow", "0" }, { "--slow", "0.5" }, { "--slow", "86400001" },
		{ "--top", "1025" }, { "--top", "1.0" },
		{ "--ring-bytes", "0" }, { "--ring-bytes", "4095" }, { "--ring-bytes", "2048" },
		{ "--ring-bytes", "12288" }, { "--ring-bytes", "2147483648" },
		{ "--max-overhead", "0" }, { "--max-overhead", "0.09" }, { "--max-overhead", "100.1" },
		{ "--max-overhead", "5%" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ASSERT_REFUSED(cases[i][0], "-p1", cases[i][0], cases[i][1]);
}

static void test_bad_words(void **state)
{
	(void)state;
	ASSERT_REFUSED("--color", "-p1", "--color", "");
	ASSERT_REFUSED("--color", "-p1", "--color=yes");
	ASSERT_REFUSED("--color", "-p1", "--color=AUTO");
	ASSERT_REFUSED("--color", "-p1", "--color=autox");
	ASSERT_REFUSED("--locks", "-p1", "--locks=uprobes");
	ASSERT_REFUSED("--locks", "-p1", "--locks=");
}

static void test_options_that_are_not(void **state)
{
	(void)state;
	ASSERT_REFUSED("-- 'x'", "-x");
	ASSERT_REFUSED("--nonsense", "-p1", "--nonsense");
	ASSERT_REFUSED("--json", "-p1", "--json=yes");
	/* an argument that is missing */
	ASSERT_REFUSED("-- 'p'", "-p");
	ASSERT_REFUSED("-- 'i'", "-p1", "-i");
	ASSERT_REFUSED("--color", "-p1", "--color");
}

static void test_which_process(void **state)
{
	struct options options;

	(void)state;
	assert_int_equal(parse(&options, (const char *const[]){ NULL }), -EINVAL);
	assert_non_null(strstr(said[1], "which process?"));
	ASSERT_REFUSED("which process?", "--json");
	ASSERT_REFUSED("which process?", "--");
	ASSERT_REFUSED("not both", "-p", "1", "--", "true");
	ASSERT_REFUSED("\"2\"", "-p", "1", "2");
	ASSERT_REFUSED("not both", "-p", "1", "true");
}

/* What follows the command is the command's, also what looks like an option of ours. */
static void test_a_command(void **state)
{
	struct options options;

	(void)state;
	assert_int_equal(PARSE(&options, "-f", "--", "server", "-p", "80", "--help"), 0);
	assert_null(options.pids);
	assert_true(options.follow);
	assert_non_null(options.command);
	assert_string_equal(options.command[0], "server");
	assert_string_equal(options.command[1], "-p");
	assert_string_equal(options.command[3], "--help");
	assert_null(options.command[4]);
	assert_int_equal(PARSE(&options, "-n1", "server", "-n2", "--json"), 0);
	assert_int_equal(options.count, 1);
	assert_false(options.json);
	assert_string_equal(options.command[1], "-n2");
	/* a dash that begins the command's name */
	assert_int_equal(PARSE(&options, "--", "--", "x"), 0);
	assert_string_equal(options.command[0], "--");
}

static void test_help_and_version(void **state)
{
	static const char *const names[] = {
		"--pid", "--follow", "--interval", "--count", "--duration", "--json", "--slow", "--top", "--color",
		"--verbose", "--version", "--help", "COMMAND", "Exit status",
	};
	struct options options;

	(void)state;
	assert_int_equal(PARSE(&options, "--help"), 1);
	assert_string_equal(said[1], "");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strstr(said[0], names[i]))
			fail_msg("--help does not speak of %s", names[i]);
	}
	for (const char *line = said[0]; *line; line += strcspn(line, "\n") + 1) {
		size_t columns = 0;

		/* bytes that go on with a character take no column */
		for (const char *c = line; *c != '\n'; c++)
			columns += (*c & 0xc0) != 0x80;
		assert_true(columns <= 100);
	}
	assert_int_equal(PARSE(&options, "-h"), 1);
	assert_int_equal(PARSE(&options, "-V"), 1);
	assert_memory_equal(said[0], "threadprof ", 11);
	assert_int_equal(PARSE(&options, "--version"), 1);
	/* also beside what would not be right */
	assert_int_equal(PARSE(&options, "-p", "1", "--help", "--nonsense"), 1);
}

static void test_a_cgroup_or_a_container(void **state)
{
	struct options options;

	(void)state;
	assert_int_equal(PARSE(&options, "--cgroup", "/x"), 0);
	assert_string_equal(options.cgroup, "/x");
	assert_true(options.follow);
	assert_int_equal(PARSE(&options, "--container", "0123"), 0);
	assert_string_equal(options.container, "0123");
	assert_null(options.cgroup);
	assert_true(options.follow);
	assert_int_equal(PARSE(&options, "--cgroup", "/x", "--container", "0123"), -EINVAL);
	assert_int_equal(PARSE(&options, "--cgroup", "/x", "-p", "1"), -EINVAL);
	assert_int_equal(PARSE(&options, "--container", "0", "--", "true"), -EINVAL);
	assert_int_equal(PARSE(&options, "--cgroup"), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_everything_at_once),
		cmocka_unit_test(test_long_forms),
		cmocka_unit_test(test_the_smallest_and_the_largest_values),
		cmocka_unit_test(test_bad_numbers),
		cmocka_unit_test(test_numbers_out_of_range),
		cmocka_unit_test(test_bad_words),
		cmocka_unit_test(test_options_that_are_not),
		cmocka_unit_test(test_which_process),
		cmocka_unit_test(test_a_command),
		cmocka_unit_test(test_a_cgroup_or_a_container),
		cmocka_unit_test(test_help_and_version),
	};

	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
