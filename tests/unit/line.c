// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "line.h"

static void assert_line(struct line *l, const char *want)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	assert_int_equal(line__end(l, out), 0);
	assert_int_equal(fclose(out), 0);
	assert_string_equal(text, want);
	free(text);
	assert_int_equal(line__room(l), l->max);
}

static void test_pieces_in_columns(void **state)
{
	struct line l;

	(void)state;
	line__init(&l, 80, false);
	line__add(&l, "%s %d", "one", 2);
	line__pad(&l, 8);
	line__right(&l, 6, "abc");
	line__right(&l, 2, "long");
	line__pad(&l, 3);
	line__name(&l, 5, "x\x1bz", 3);
	line__pad(&l, 60);
	assert_line(&l, "one 2      abclongx..\n");
	assert_line(&l, "\n");
}

static void test_what_does_not_fit_is_left_out_whole(void **state)
{
	struct line l;
	char want[90];

	(void)state;
	memset(want, ' ', sizeof(want));
	memcpy(want + 70, "123456789\n", sizeof("123456789\n"));
	line__init(&l, 80, false);
	line__pad(&l, 70);
	line__add(&l, "123456789");
	line__add(&l, "12");
	assert_int_equal(line__room(&l), 0);
	line__add(&l, "3");
	line__name(&l, 1, "n", 1);
	assert_line(&l, want);
}

static void test_width_has_limits(void **state)
{
	struct line l;

	(void)state;
	line__init(&l, 10, false);
	assert_int_equal(line__room(&l), LINE_MIN_COLUMNS);
	line__init(&l, SIZE_MAX, false);
	assert_int_equal(line__room(&l), LINE_MAX_COLUMNS);
}

static void test_style_takes_no_columns_and_always_ends(void **state)
{
	struct line l;
	size_t room;

	(void)state;
	line__init(&l, LINE_MAX_COLUMNS, true);
	room = line__room(&l);
	line__style(&l, LINE_ALARM);
	assert_int_equal(line__room(&l), room);
	line__add(&l, "x");
	line__style(&l, LINE_PLAIN);
	assert_line(&l, "\033[1;31mx\033[0m\n");
	for (int i = 0; i < 5000; i++)
		line__style(&l, LINE_WARN);
	line__style(&l, LINE_PLAIN);
	assert_true(l.len <= sizeof(l.buf));
	assert_memory_equal(l.buf + l.len - 4, "\033[0m", 4);

	line__init(&l, 80, false);
	line__style(&l, LINE_ALARM);
	line__add(&l, "x");
	line__style(&l, LINE_PLAIN);
	assert_line(&l, "x\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces_in_columns),
		cmocka_unit_test(test_what_does_not_fit_is_left_out_whole),
		cmocka_unit_test(test_width_has_limits),
		cmocka_unit_test(test_style_takes_no_columns_and_always_ends),
	};

	return cmocka_run_group_tests_name("line", tests, NULL, NULL);
}
