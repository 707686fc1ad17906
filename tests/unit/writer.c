// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "writer.h"

#define REPORT_LEN (256 * 1024)
/* A call that blocks would last until the test is killed: a second is generous on any machine. */
#define SOON_MS 5000

struct pipe_test {
	int reader;
	int end; /* that the writer writes to */
	struct writer writer;
	char *report;
};

static void open_pipe(struct pipe_test *t)
{
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	t->reader = fds[0];
	t->end = fds[1];
	writer__init(&t->writer, t->end);
	t->report = malloc(REPORT_LEN);
	assert_non_null(t->report);
	for (size_t i = 0; i < REPORT_LEN; i++)
		t->report[i] = (char)('a' + i % 23);
}

static void close_pipe(struct pipe_test *t)
{
	writer__free(&t->writer);
	free(t->report);
	if (t->reader >= 0)
		close(t->reader);
	close(t->end);
}

static void close_reader(struct pipe_test *t)
{
	close(t->reader);
	t->reader = -1;
}

/* Reads what is there without waiting; the number of bytes. */
static size_t read_all(struct pipe_test *t, char *buf, size_t size)
{
	size_t total = 0;
	ssize_t got;

	assert_int_equal(fcntl(t->reader, F_SETFL, O_NONBLOCK), 0);
	while (total < size && (got = read(t->reader, buf + total, size - total)) > 0)
		total += got;
	return total;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ULL + now.tv_nsec / 1000000;
}

static void test_a_report_goes_out_at_once(void **state)
{
	struct pipe_test t;
	char buf[64];

	(void)state;
	open_pipe(&t);
	assert_true(writer__submit(&t.writer, "hello\n", 6));
	assert_int_equal(read_all(&t, buf, sizeof(buf)), 6);
	assert_memory_equal(buf, "hello\n", 6);
	assert_int_equal(writer__flush(&t.writer), 0);
	assert_int_equal(writer__finish(&t.writer, 0), 0);
	assert_int_equal(t.writer.dropped, 0);
	close_pipe(&t);
}

static void test_nothing_to_write(void **state)
{
	struct pipe_test t;

	(void)state;
	open_pipe(&t);
	assert_int_equal(writer__flush(&t.writer), 0);
	assert_int_equal(writer__finish(&t.writer, 10000), 0);
	assert_true(writer__submit(&t.writer, "", 0));
	writer__free(&t.writer);
	close_pipe(&t);
}

/* What does not fit into the pipe is kept, and comes out complete and in order. */
static void test_a_slow_reader_gets_everything(void **state)
{
	struct pipe_test t;
	char *got = malloc(3 * REPORT_LEN);
	size_t total = 0;

	(void)state;
	assert_non_null(got);
	open_pipe(&t);
	for (int i = 0; i < 3; i++)
		assert_true(writer__submit(&t.writer, t.report, REPORT_LEN));
	while (total < 3 * REPORT_LEN) {
		size_t more = read_all(&t, got + total, 10000);

		assert_true(more > 0);
		total += more;
		assert_int_equal(writer__flush(&t.writer), 0);
	}
	for (int i = 0; i < 3; i++)
		assert_memory_equal(got + i * REPORT_LEN, t.report, REPORT_LEN);
	assert_int_equal(t.writer.dropped, 0);
	assert_int_equal(writer__finish(&t.writer, 0), 0);
	close_pipe(&t);
	free(got);
}

static void test_nobody_reads(void **state)
{
	struct pipe_test t;
	uint64_t begun, taken = 0;
	size_t got = 0, more;
	char *buf = malloc(REPORT_LEN);

	(void)state;
	assert_non_null(buf);
	open_pipe(&t);
	begun = now_ms();
	for (int i = 0; i < 20; i++)
		taken += writer__submit(&t.writer, t.report, REPORT_LEN);
	assert_int_equal(writer__flush(&t.writer), 0);
	assert_true(now_ms() - begun < SOON_MS);
	/* bounded, and every report that is not in it is counted */
	assert_true(taken < 10);
	assert_int_equal(t.writer.dropped, 20 - taken);
	assert_true(t.writer.capacity <= WRITER_MAX_PENDING + REPORT_LEN);
	/* none is cut: who reads at last finds whole ones, and there is room again */
	while ((more = read_all(&t, buf, REPORT_LEN)) > 0) {
		for (size_t i = 0; i < more; i++)
			assert_int_equal(buf[i], t.report[(got + i) % REPORT_LEN]);
		got += more;
		assert_int_equal(writer__flush(&t.writer), 0);
	}
	assert_int_equal(got, taken * REPORT_LEN);
	assert_true(writer__submit(&t.writer, "more", 4));
	assert_int_equal(t.writer.dropped, 20 - taken);
	close_pipe(&t);
	free(buf);
}

static void test_finish_has_patience_and_an_end(void **state)
{
	struct pipe_test t;
	uint64_t begun;

	(void)state;
	open_pipe(&t);
	writer__submit(&t.writer, t.report, REPORT_LEN);
	begun = now_ms();
	assert_int_equal(writer__finish(&t.writer, 50), -ETIMEDOUT);
	assert_true(now_ms() - begun >= 50);
	assert_true(now_ms() - begun < SOON_MS);
	close_pipe(&t);
}

/* The patience is for a reader that takes nothing: one that takes a little now and then gets it all. */
static void test_finish_waits_for_a_reader_that_is_slow(void **state)
{
	struct pipe_test t;
	size_t total = 0;
	pid_t reader;
	int status;

	(void)state;
	open_pipe(&t);
	writer__submit(&t.writer, t.report, REPORT_LEN);
	reader = fork();
	assert_true(reader >= 0);
	if (!reader) {
		static char buf[32768];
		ssize_t got;

		close(t.end);
		while (total < REPORT_LEN && (got = read(t.reader, buf, sizeof(buf))) > 0) {
			total += got;
			usleep(20000);
		}
		_exit(total == REPORT_LEN ? 0 : 1);
	}
	assert_int_equal(writer__finish(&t.writer, 5000), 0);
	assert_int_equal(waitpid(reader, &status, 0), reader);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	close_pipe(&t);
}

static void test_the_reader_has_gone(void **state)
{
	struct pipe_test t;

	(void)state;
	open_pipe(&t);
	assert_true(writer__submit(&t.writer, t.report, REPORT_LEN));
	close_reader(&t);
	assert_int_equal(writer__flush(&t.writer), -EPIPE);
	assert_true(t.writer.closed);
	/* and stays gone */
	assert_int_equal(writer__flush(&t.writer), -EPIPE);
	assert_int_equal(writer__finish(&t.writer, 10000), -EPIPE);
	assert_false(writer__submit(&t.writer, "x", 1));
	assert_int_equal(t.writer.dropped, 1);
	close_pipe(&t);
}

static void test_a_reader_that_went_before_the_first_report(void **state)
{
	struct pipe_test t;

	(void)state;
	open_pipe(&t);
	close_reader(&t);
	writer__submit(&t.writer, "x", 1);
	assert_int_equal(writer__flush(&t.writer), -EPIPE);
	close_pipe(&t);
}

/* A full disk is not a reader that had enough: it must not look like a quiet end. */
static void test_other_errors_keep_their_name(void **state)
{
	struct writer writer;
	int full = open("/dev/full", O_WRONLY), none = open("/dev/null", O_WRONLY);

	(void)state;
	assert_true(full >= 0 && none >= 0);
	writer__init(&writer, full);
	writer__submit(&writer, "x", 1);
	assert_int_equal(writer__flush(&writer), -ENOSPC);
	assert_int_equal(writer__flush(&writer), -ENOSPC);
	assert_int_equal(writer__finish(&writer, 100), -ENOSPC);
	assert_false(writer.closed);
	writer__free(&writer);

	close(none);
	writer__init(&writer, none);
	writer__submit(&writer, "x", 1);
	assert_int_equal(writer__finish(&writer, 100), -EBADF);
	writer__free(&writer);
	close(full);
}

static void test_freed_twice(void **state)
{
	struct pipe_test t;

	(void)state;
	open_pipe(&t);
	writer__submit(&t.writer, t.report, REPORT_LEN);
	writer__free(&t.writer);
	close_pipe(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_report_goes_out_at_once),
		cmocka_unit_test(test_nothing_to_write),
		cmocka_unit_test(test_a_slow_reader_gets_everything),
		cmocka_unit_test(test_nobody_reads),
		cmocka_unit_test(test_finish_has_patience_and_an_end),
		cmocka_unit_test(test_finish_waits_for_a_reader_that_is_slow),
		cmocka_unit_test(test_the_reader_has_gone),
		cmocka_unit_test(test_a_reader_that_went_before_the_first_report),
		cmocka_unit_test(test_other_errors_keep_their_name),
		cmocka_unit_test(test_freed_twice),
	};

	signal(SIGPIPE, SIG_IGN); /* as the program does */
	return cmocka_run_group_tests_name("writer", tests, NULL, NULL);
}
