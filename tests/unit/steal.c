// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "steal.h"

static struct steals *new_steals(void)
{
	struct steals *steals = steals__new();

	assert_non_null(steals);
	return steals;
}

static void add(struct steals *steals, const char *comm, const char *exe, bool own, uint64_t ns)
{
	struct tp_thief thief = { .ns = ns };

	memcpy(thief.comm, comm, strnlen(comm, sizeof(thief.comm)));
	assert_int_equal(steals__add(steals, &thief, exe, own), 0);
}

static struct report report_of(struct steals *steals)
{
	struct report report = { 0 };

	steals__report(steals, &report);
	assert_true(report.have_thieves);
	return report;
}

static void test_nobody(void **state)
{
	struct steals *steals = new_steals();

	(void)state;
	assert_int_equal(report_of(steals).nr_thieves, 0);
	steals__free(steals);
	steals__free(NULL);
}

/* A hundred short-lived processes of one executable are one thief. */
static void test_processes_of_one_executable_are_one(void **state)
{
	struct steals *steals = new_steals();
	struct report report;

	(void)state;
	for (int i = 0; i < 100; i++) {
		add(steals, "php", "/usr/bin/php8.2", false, 10);
		add(steals, "cc1", "/usr/lib/cc1", false, 3);
	}
	report = report_of(steals);
	assert_int_equal(report.nr_thieves, 2);
	assert_string_equal(report.thieves[0].exe, "/usr/bin/php8.2");
	assert_string_equal(report.thieves[0].comm, "php");
	assert_int_equal(report.thieves[0].ns, 1000);
	assert_int_equal(report.thieves[1].ns, 300);
	steals__next(steals);
	assert_int_equal(report_of(steals).nr_thieves, 0);
	steals__free(steals);
}

static void test_what_makes_two_thieves(void **state)
{
	struct steals *steals = new_steals();
	struct report report;

	(void)state;
	add(steals, "worker", "/usr/bin/a", false, 60);
	add(steals, "worker", "/usr/bin/b", false, 50);	 /* another executable */
	add(steals, "sh", "/usr/bin/a", false, 10);	 /* the first one, before its exec */
	add(steals, "spare", "/usr/bin/c", false, 40);
	add(steals, "worker", "/usr/bin/a", true, 30);	 /* the target itself */
	add(steals, "kworker/0:1", "", false, 20);	 /* no executable */
	add(steals, "kworker/1:1", "", false, 10);
	report = report_of(steals);
	assert_int_equal(report.nr_thieves, 6);
	for (uint64_t i = 0; i < 6; i++)
		assert_int_equal(report.thieves[i].ns, (i ? 60 : 70) - 10 * i);
	assert_string_equal(report.thieves[0].comm, "worker");
	assert_true(report.thieves[3].own);
	assert_false(report.thieves[0].own);
	steals__free(steals);
}

static void test_names_that_fill_their_fields(void **state)
{
	struct steals *steals = new_steals();
	struct report report;
	char exe[1000];

	(void)state;
	memset(exe, 'e', sizeof(exe));
	exe[sizeof(exe) - 1] = '\0';
	/* no NUL behind sixteen characters */
	add(steals, "0123456789abcdef", exe, false, 1);
	add(steals, "0123456789abcdef", exe, false, 2);
	report = report_of(steals);
	assert_int_equal(report.nr_thieves, 1);
	assert_int_equal(report.thieves[0].ns, 3);
	assert_memory_equal(report.thieves[0].comm, "0123456789abcdef", TP_COMM_LEN);
	assert_int_equal(strlen(report.thieves[0].exe), sizeof(report.thieves[0].exe) - 1);
	steals__free(steals);
}

static void test_the_tail_is_cut(void **state)
{
	const uint64_t total = STEALS_MAX_LISTED + 20;
	struct steals *steals = new_steals();
	struct report report;
	char comm[TP_COMM_LEN];

	(void)state;
	for (uint64_t i = 0; i < total; i++) {
		snprintf(comm, sizeof(comm), "p%u", (unsigned int)i);
		add(steals, comm, "", false, i * 3 % total + 1);
	}
	report = report_of(steals);
	assert_int_equal(report.nr_thieves, STEALS_MAX_LISTED);
	for (size_t i = 0; i < report.nr_thieves; i++)
		assert_int_equal(report.thieves[i].ns, total - i);
	steals__free(steals);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_processes_of_one_executable_are_one),
		cmocka_unit_test(test_what_makes_two_thieves),
		cmocka_unit_test(test_names_that_fill_their_fields),
		cmocka_unit_test(test_the_tail_is_cut),
	};

	return cmocka_run_group_tests_name("steal", tests, NULL, NULL);
}
