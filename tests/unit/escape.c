// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "escape.h"

#define FFFD "\xef\xbf\xbd"

static void assert_terminal(const char *in, const char *want, size_t columns)
{
	char out[ESCAPE_TERMINAL_SIZE(200)];

	assert_true(strlen(in) <= 200);
	assert_int_equal(escape__terminal(out, sizeof(out), in, 200, 1000), columns);
	assert_string_equal(out, want);
}

static void assert_utf8(const char *in, const char *want)
{
	char out[ESCAPE_UTF8_SIZE(200)];

	assert_int_equal(escape__utf8(out, sizeof(out), in, 200), strlen(want));
	assert_string_equal(out, want);
}

static void test_plain_text_stays(void **state)
{
	(void)state;
	assert_terminal("", "", 0);
	assert_terminal("nginx: worker process", "nginx: worker process", 21);
	assert_terminal("gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f", 4);
	assert_terminal("\xe6\x97\xa5\xe6\x9c\xac", "\xe6\x97\xa5\xe6\x9c\xac", 4);
	assert_utf8("", "");
	assert_utf8("gr\xc3\xbc\xc3\x9f \xf0\x9f\x90\x8c", "gr\xc3\xbc\xc3\x9f \xf0\x9f\x90\x8c");
}

static void test_terminal_controls_are_disarmed(void **state)
{
	(void)state;
	assert_terminal("\x1b[2J", "\\x1b[2J", 7);
	assert_terminal("\x1b]0;own\x07", "\\x1b]0;own\\x07", 14);
	assert_terminal("a\nb\rc\td\be", "a\\x0ab\\x0dc\\x09d\\x08e", 21);
	assert_terminal("\x7f", "\\x7f", 4);
	/* C1 controls: 0x9b alone is invalid, U+009B is valid UTF-8 and still CSI */
	assert_terminal("\x9b"
			"2J",
			"\\x9b2J", 6);
	assert_terminal("\xc2\x9b"
			"2J",
			"\\xc2\\x9b2J", 10);
}

static void test_text_direction_and_invisible_are_disarmed(void **state)
{
	(void)state;
	assert_terminal("a\xe2\x80\xae"
			"b",
			"a\\xe2\\x80\\xaeb", 14); /* U+202E */
	assert_terminal("\xe2\x81\xa6", "\\xe2\\x81\\xa6", 12); /* U+2066 */
	assert_terminal("\xe2\x80\x8b", "\\xe2\\x80\\x8b", 12); /* U+200B */
	assert_terminal("\xe2\x80\xa8", "\\xe2\\x80\\xa8", 12); /* U+2028 */
	assert_terminal("\xef\xbb\xbf", "\\xef\\xbb\\xbf", 12); /* U+FEFF */
	assert_terminal("\xf3\xa0\x80\xa0", "\\xf3\\xa0\\x80\\xa0", 16); /* U+E0020 */
}

static void test_invalid_utf8(void **state)
{
	(void)state;
	assert_terminal("a\xff"
			"b",
			"a\\xffb", 6);
	assert_utf8("a\xff"
		    "b",
		    "a" FFFD "b");
	assert_utf8("\x80", FFFD);
	/* overlong, surrogate, above U+10FFFF: no byte of them is a character's beginning */
	assert_utf8("\xc0\xaf", FFFD FFFD);
	assert_utf8("\xe0\x80\xaf", FFFD FFFD FFFD);
	assert_utf8("\xed\xa0\x80", FFFD FFFD FFFD);
	assert_utf8("\xf4\x90\x80\x80", FFFD FFFD FFFD FFFD);
	assert_utf8("\xf5", FFFD);
	/*
	 * cut short: what could have become one character is one replacement, what follows is kept
	 */
	assert_utf8("\xe2\x82"
		    "A",
		    FFFD "A");
	assert_utf8("\xf0\x9f\x90", FFFD);
	assert_utf8("\xe2\xe2\x82\xac", FFFD "\xe2\x82\xac");
	assert_terminal("\xe2\x82"
			"A",
			"\\xe2\\x82A", 9);
	/* the edges of what is valid */
	assert_utf8(
		"\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf",
		"\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");
}

static void test_input_may_lack_its_end(void **state)
{
	const char field[4] = { 'a', 'b', 'c', 'd' };
	const char half[2] = { 'a', '\xc3' };
	char out[64];

	(void)state;
	assert_int_equal(escape__terminal(out, sizeof(out), field, sizeof(field), 80), 4);
	assert_string_equal(out, "abcd");
	assert_int_equal(escape__utf8(out, sizeof(out), field, sizeof(field)), 4);
	assert_string_equal(out, "abcd");
	escape__terminal(out, sizeof(out), half, sizeof(half), 80);
	assert_string_equal(out, "a\\xc3");
	escape__utf8(out, sizeof(out), half, sizeof(half));
	assert_string_equal(out, "a" FFFD);
	escape__terminal(out, sizeof(out), "ab\0cd", 5, 80);
	assert_string_equal(out, "ab");
}

static void test_cut_to_columns(void **state)
{
	char out[64];

	(void)state;
	assert_int_equal(escape__terminal(out, sizeof(out), "abcdefgh", 8, 8), 8);
	assert_string_equal(out, "abcdefgh");
	assert_int_equal(escape__terminal(out, sizeof(out), "abcdefghi", 9, 8), 8);
	assert_string_equal(out, "abcdef..");
	/* never in the middle of an escape or of a wide character */
	assert_int_equal(escape__terminal(out, sizeof(out),
					  "abc\x1b"
					  "defgh",
					  9, 8),
			 5);
	assert_string_equal(out, "abc..");
	assert_int_equal(
		escape__terminal(out, sizeof(out), "\xe6\x97\xa5\xe6\x97\xa5\xe6\x97\xa5", 9, 5),
		4);
	assert_string_equal(out, "\xe6\x97\xa5..");
	assert_int_equal(escape__terminal(out, sizeof(out), "abc", 3, 2), 2);
	assert_string_equal(out, "ab");
	assert_int_equal(escape__terminal(out, sizeof(out), "abc", 3, 0), 0);
	assert_string_equal(out, "");
}

static void test_every_size_and_width_is_safe(void **state)
{
	static const char in[] = "a\x1b"
				 "b\xc3\xbc\xff\xe6\x97\xa5\xf0\x9f\x90\x8c\xe2\x80\xae"
				 "z";
	char out[80];

	(void)state;
	for (size_t size = 0; size <= 64; size++) {
		for (size_t columns = 0; columns < 50; columns++) {
			size_t used;

			memset(out, '#', sizeof(out));
			used = escape__terminal(out, size, in, sizeof(in), columns);
			assert_true(used <= columns);
			assert_int_equal(out[size], '#');
			if (size)
				assert_non_null(memchr(out, '\0', size));
		}
		memset(out, '#', sizeof(out));
		escape__utf8(out, size, in, sizeof(in));
		assert_int_equal(out[size], '#');
		if (size)
			assert_non_null(memchr(out, '\0', size));
	}
	escape__utf8(out, 4, "a\xe6\x97\xa5", 4);
	assert_string_equal(out, "a");
}

static void test_every_pair_of_bytes(void **state)
{
	char out[64];

	(void)state;
	for (int first = 1; first < 256; first++) {
		for (int second = 1; second < 256; second++) {
			const char in[3] = { (char)first, (char)second, 'z' };
			size_t len;

			escape__terminal(out, sizeof(out), in, sizeof(in), 80);
			for (const char *c = out; *c; c++)
				assert_true((unsigned char)*c >= 0x20 && *c != 0x7f);
			len = strlen(out);
			assert_int_equal(out[len - 1], 'z');
			len = escape__utf8(out, sizeof(out), in, sizeof(in));
			assert_true(len >= 2);
			assert_int_equal(out[len - 1], 'z');
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain_text_stays),
		cmocka_unit_test(test_terminal_controls_are_disarmed),
		cmocka_unit_test(test_text_direction_and_invisible_are_disarmed),
		cmocka_unit_test(test_invalid_utf8),
		cmocka_unit_test(test_input_may_lack_its_end),
		cmocka_unit_test(test_cut_to_columns),
		cmocka_unit_test(test_every_size_and_width_is_safe),
		cmocka_unit_test(test_every_pair_of_bytes),
	};

	return cmocka_run_group_tests_name("escape", tests, NULL, NULL);
}
