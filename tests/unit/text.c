// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sample_report.h"
#include "text.h"

static char *written(const struct report *r, const struct text_options *o)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	assert_int_equal(text__write_interval(out, r, o), 0);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(strlen(text), len);
	return text;
}

static char *plain(const struct report *r)
{
	const struct text_options o = TEXT_OPTIONS_DEFAULT;

	return written(r, &o);
}

static void assert_has(const char *text, const char *piece)
{
	if (!strstr(text, piece))
		fail_msg("\"%s\" is not in:\n%s", piece, text);
}

static void assert_has_not(const char *text, const char *piece)
{
	if (strstr(text, piece))
		fail_msg("\"%s\" is in:\n%s", piece, text);
}

/* Fails where a line is too wide or holds anything but printable ASCII, colours aside. */
static void assert_fits(const char *text, size_t columns, bool color)
{
	size_t used = 0;

	for (const char *c = text; *c; c++) {
		if (*c == '\n') {
			assert_true(c == text || c[-1] != ' ');
			used = 0;
			continue;
		}
		if (color && *c == '\033') {
			assert_int_equal(c[1], '[');
			c += strcspn(c, "m");
			assert_int_equal(*c, 'm');
			continue;
		}
		if (*c < ' ' || *c > '~')
			fail_msg("byte %#x in:\n%s", (unsigned char)*c, text);
		if (++used > columns)
			fail_msg("a line has more than %zu columns:\n%s", columns, text);
	}
}

static size_t nr_lines(const char *text)
{
	size_t lines = 0;

	for (; *text; text++)
		lines += *text == '\n';
	return lines;
}

static void test_head(void **state)
{
	struct sample s;
	char *text;

	(void)state;
	sample__init(&s);
	text = plain(&s.r);
	assert_int_equal(strncmp(text,
				 "2026-09-21 14:14:15Z  10.0 s  api-server  pid 4242  501 threads "
				 "================\n"
				 "requests spent 71 % in lock, 12 % in cpu, 9.0 % in runq, "
				 "rest 8.0 %\n"
				 "!! accept queue overflowed 12 times: clients were turned away\n",
				 80 + 1 + 67 + 1 + 62),
			 0);
	free(text);

	s.r.partial = true;
	s.r.duration_ns = 4200000000;
	s.r.nr_pids = 2;
	s.r.nr_threads = 1;
	s.r.accept_overflows = 0;
	text = plain(&s.r);
	assert_has(text, "Z  4.20 s (partial)  api-server  pid 4242 +1  1 thread =");
	assert_has_not(text, "!!");
	assert_has(text, "129 max of 128, 0 overflows\n");
	free(text);
	sample__free(&s);
}

static void test_metrics(void **state)
{
	static const char *const pieces[] = {
		"                    count       rate        p50        p90        p99        max\n",
		"request latency    45,012    4,501/s     401 us     606 us     647 us    77.1 ms\n",
		"queue wait         45,012               10.1 us    15.1 us    16.1 us    1.93 ms\n",
		"connections        45,012    4,501/s     442 us     647 us     688 us    77.2 ms\n",
		"        45,015 accepted, 45,012 closed, 7 open, 3 requests unanswered\n",
		"queue                   3 now, 41 max, 2.12 on average\n",
		"accept queue           12 now, 129 max of 128, 12 OVERFLOWS\n",
		"threads                12 active of 502 (2.4 %), busy 1.9 % of their time\n",
		"lock wait          70.8 s       74 % of busy time, 158 us per request\n",
		"I/O wait: disk    96.0 ms      0.1 % of busy time, 222 ns per request\n",
		"I/O wait: net      5.04 s      5.2 % of busy time, 11.1 us per request\n",
	};
	struct sample s;
	char *text;

	(void)state;
	sample__init(&s);
	text = plain(&s.r);
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
		assert_has(text, pieces[i]);
	free(text);
	sample__free(&s);
}

static void test_tables(void **state)
{
	static const char *const pieces[] = {
		"waits for locks               kind   waits     total       max  of busy    owner\n",
		"api-server:work_queue_..     mutex  81,234    70.1 s    1.21 s     73 %     4250\n",
		"  at handle_order(Order&) (orders.cc:112)\n",
		"  tid 4250 worker-7 held it in 91 % of that time, while in disk 75 %, cpu 25 %\n",
		"0x7f1234999000                 gil       4    700 ms    300 ms    0.7 %        -\n",
		"10.0.3.7:5432                              9,120     5.01 s     549 us     5.2 %\n",
		"unix:/run/redis/redis.sock                    12    30.0 ms    2.50 ms    <0.1 %\n",
		"answers that polls waited for            answers      total       mean      open\n",
		"unix:/run/redis/redis.sock                    40     160 ms    4.00 ms         2\n",
		"access.log                                    31    96.0 ms    3.10 ms     0.1 %\n",
		"cron-report       /usr/bin/php8.2                               6.20 s      69 %\n",
		"worker-3          (its own) /srv/api/bin/api-server             2.10 s      23 %\n",
		"kworker/u4:1                                                   90.0 ms     1.0 %\n",
		"   1.30 s  14:14:05.123Z  10.0.0.9:51234          4250 worker-7\n",
		"           fd 27 #1: lock 1.20 s, cpu 80.0 ms, runq 20.0 ms; queued 12.0 ms\n",
		"   1.30 s  14:14:05.123Z  -                       4250->4251 worker-7\n",
		"           fd 27 #17: lock 1.20 s, cpu 80.0 ms, runq 20.0 ms\n",
		"own cost: CPU 31.0 ms (0.3 %), in the kernel 120 ms, 24.1 MiB, 90,027 events\n"
		"          together 1.5 % of a CPU; in the kernel 2.67 us a request\n",
	};
	struct sample s;
	char *text;

	(void)state;
	sample__init(&s);
	text = plain(&s.r);
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
		assert_has(text, pieces[i]);
	assert_has_not(text, "LOST");
	free(text);
	s.r.nr_pids = 2;
	text = plain(&s.r);
	assert_has(text, "\n4243 0xffffffffffffff80 ");
	free(text);
	sample__free(&s);
}

static void test_lock_calls(void **state)
{
	static const char reason[] = "the probes on lock functions were taken away: 45,276/s calls at 11.7 us each cost more "
				     "than 5.0 % of a CPU";
	struct histogram length = HISTOGRAM_INIT;
	struct sample s;
	char *text;

	(void)state;
	sample__init(&s);
	text = plain(&s.r);
	assert_has_not(text, "calls for locks");
	free(text);
	assert_int_equal(histogram__add_many(&length, 2000, 989), 0);
	assert_int_equal(histogram__add_many(&length, 295000, 11), 0);
	s.locks[0].calls = (struct report_lock_calls){ .calls = 1000, .failed = 10, .contended = 250, .call_ns = 5000000,
						       .max_ns = 900000, .length = &length };
	/* never waited for: it is in the one table only */
	s.locks[2].calls = (struct report_lock_calls){ .calls = 7, .call_ns = 700, .max_ns = 120 };
	s.r.lock_probes = (struct report_lock_probes){ .are_asked_for = true, .reason = reason };
	text = plain(&s.r);
	assert_has(text, "\ncalls for locks             kind  acquired  contended     mean      p99      max\n"
			 "api-server:work_queue_..   mutex       990       25 %  5.00 us   295 us   900 us\n"
			 "0xffffffffffffff80         futex         7        0 %   100 ns        -   120 ns\n");
	assert_null(strstr(strstr(text, "0xffffffffffffff80") + 1, "0xffffffffffffff80"));
	assert_has(text, "\n!! the probes on lock functions were taken away: 45,276/s calls at 11.7 us each\n"
			 "   cost more than 5.0 % of a CPU\n");
	free(text);
	s.r.lock_probes.reason = "";
	text = plain(&s.r);
	assert_has_not(text, "!! the probes");
	free(text);
	histogram__free(&length);
	sample__free(&s);
}

static void test_tables_are_cut_and_say_so(void **state)
{
	const struct text_options o = { .top_threads = 2, .top_waits = 1, .top_slow = 1 };
	struct sample s;
	char *text;

	(void)state;
	sample__init(&s);
	text = written(&s.r, &o);
	assert_has(text, "work_queue_..");
	assert_has_not(text, "0x7f1234999000");
	assert_has(text, "\nand 2 more\n");
	assert_has(text, "\nand 1 more\n");
	assert_has(text, "fd 27 #1:");
	assert_has_not(text, "fd 27 #17:");
	assert_has(text, " worker-1 ");
	assert_has_not(text, " worker-2 ");
	assert_has(text, "and 500 more");
	free(text);
	sample__free(&s);
}

static void test_threads(void **state)
{
	struct text_options o = TEXT_OPTIONS_DEFAULT;
	struct sample s;
	char *text;

	(void)state;
	sample__init(&s);
	text = plain(&s.r);
	assert_has(text,
		   "    tid thread, % time    reqs busy cpu runq lock wait disk net idle sleep "
		   "other\n"
		   "   4242 worker-0         3,750   80  10    8   59    0   <1   4   19     0     "
		   "0\n");
	assert_has_not(text, "worker-10");
	assert_has(text,
		   "\n        and 492 more                  2   <1   <1    0   <1  <1   98     0 "
		   "    0\n");
	assert_has_not(text, "* ended");
	free(text);

	o.top_threads = 50;
	text = written(&s.r, &o);
	assert_has(text, "\n   4253*worker-11        3,750");
	assert_has(text, "* ended in this interval\n");
	assert_has(text, "and 490 more ");
	free(text);
	sample__free(&s);
}

static void test_idle_threads_have_no_rows(void **state)
{
	struct sample s;
	char *text;

	(void)state;
	sample__init(&s);
	for (size_t i = 3; i < SAMPLE_THREADS; i++) {
		memset(s.threads[i].state_ns, 0, sizeof(s.threads[i].state_ns));
		s.threads[i].state_ns[TP_IDLE] = s.threads[i].wall_ns - 5;
		s.threads[i].state_ns[TP_CPU] = 5;
	}
	text = plain(&s.r);
	assert_has(text, "   4244 worker-2 ");
	assert_has_not(text, "   4245 ");
	assert_has(text, "and 499 more ");
	free(text);
	sample__free(&s);
}

static void test_nothing_happened_is_said(void **state)
{
	struct sample s;
	char *text;

	(void)state;
	sample__init(&s);
	sample__happen_nothing(&s);
	text = plain(&s.r);
	assert_has(text, "\nno request finished; all threads were idle\n");
	assert_has(text, "\nrequest latency         0        0/s\n");
	assert_has(text, "\nqueue                   0 now, 0 max, 0 on average\n");
	assert_has(text, "\nthreads                 0 active of 4 (0 %), busy 0 % of their time\n");
	assert_has(text, "\nlock wait            0 ns\n");
	assert_has(text, "        all 4 ");
	assert_has_not(text, "waits for");
	assert_has_not(text, "slow requests");
	assert_has_not(text, " - ");
	assert_has_not(text, " -\n");
	assert_true(nr_lines(text) <= 24);
	free(text);
	sample__free(&s);
}

static void test_unmeasured_is_a_dash(void **state)
{
	struct sample s;
	char *text;

	(void)state;
	sample__init(&s);
	sample__measure_nothing(&s);
	text = plain(&s.r);
	assert_has(text, "\nrequests: not measured (-); threads: not measured (-)\n");
	assert_has(text, "\nrequest latency         -          -          -          -          -"
			 "          -\n");
	assert_has(text, "\nqueue                   - now, - max, - on average\n");
	assert_has(text, "\naccept queue            - (not measured, or the target does not listen)\n");
	assert_has(text, "\nthreads                 - active of - (-), busy - of their time\n");
	assert_has(text, "\nlock wait               -\n");
	assert_has(text, "\nI/O wait: disk          -\n");
	assert_has(text, ", in the kernel -, ");
	assert_has_not(text, "waits for");
	assert_has_not(text, "worker-");
	free(text);
	sample__free(&s);
}

static void test_threads_without_requests(void **state)
{
	struct sample s;
	char *text;

	(void)state;
	sample__init(&s);
	s.r.have_requests = false;
	text = plain(&s.r);
	assert_has(text,
		   "\nrequests: not measured (-); non-idle threads: 56 % in cpu, rest 44 %\n");
	assert_has(text, "lock wait          70.8 s       36 % of non-idle time\n");
	assert_has(text, "   4242 worker-0             -    -  10 ");
	assert_has(text, " - active of 502 (-), busy - of");
	free(text);

	s.r.have_requests = true;
	histogram__reset(&s.latency);
	text = plain(&s.r);
	assert_has(text, "\nno request finished; non-idle threads: 56 % in cpu, 36 % in lock, "
			 "rest 7.3 %\n");
	assert_has(text, "lock wait          70.8 s       74 % of busy time\n");
	free(text);
	sample__free(&s);
}

static void test_losses_are_loud(void **state)
{
	struct sample s;
	char *text;

	(void)state;
	sample__init(&s);
	s.r.lost[TP_LOSS_RING_BUFFER] = 1234567;
	text = plain(&s.r);
	assert_has(text, "\n!! something was lost: the numbers are incomplete, see LOST below\n");
	assert_has(text, "\n!! LOST records: 1,234,567 (no room in the ring buffer)\n");
	assert_true(strstr(text, "!! LOST") > strstr(text, "and 492 more"));
	free(text);

	for (size_t i = 0; i < TP_NR_LOSSES; i++)
		s.r.lost[i] = 1;
	s.r.lost_reports = 1;
	s.r.skipped_runs = 1;
	text = plain(&s.r);
	for (size_t i = 0; i < TP_NR_LOSSES + 2; i++) {
		char *loss = strstr(text, "!! LOST");

		assert_non_null(loss);
		memset(loss, '#', 7);
	}
	assert_null(strstr(text, "!! LOST"));
	free(text);
	sample__free(&s);
}

/* One that the kernel does not count is none that happened. */
static void test_skipped_runs(void **state)
{
	struct sample s;
	char *text;

	(void)state;
	sample__init(&s);
	s.r.skipped_runs = TP_UNKNOWN;
	text = plain(&s.r);
	assert_null(strstr(text, "LOST"));
	free(text);
	s.r.skipped_runs = 1234;
	text = plain(&s.r);
	assert_has(text, "\n!! something was lost: the numbers are incomplete, see LOST below\n");
	assert_has(text, "\n!! LOST events of any process: 1,234 (the kernel skipped a program)\n");
	free(text);
	sample__free(&s);
}

static void test_color_only_when_asked(void **state)
{
	struct text_options o = TEXT_OPTIONS_DEFAULT;
	struct sample s;
	char *text;

	(void)state;
	sample__init(&s);
	text = plain(&s.r);
	assert_null(strchr(text, '\033'));
	free(text);
	o.color = true;
	text = written(&s.r, &o);
	assert_has(text, "\033[1;31m12 OVERFLOWS\033[0m\n");
	assert_has(text, "\033[1;33m   59\033[0m");
	assert_fits(text, 80, true);
	free(text);
	sample__free(&s);
}

/*
 * Fills @r and what it points to with the given byte, names and numbers alike, pointers and flags
 * aside.
 */
static void make_hostile(struct sample *s, int byte)
{
	struct report *r = &s->r;

	memset(r->comm, byte, sizeof(r->comm));
	memset(r->part_ns, byte, sizeof(r->part_ns));
	memset(r->state_ns, byte, sizeof(r->state_ns));
	memset(r->rest_state_ns, byte, sizeof(r->rest_state_ns));
	memset(r->lost, byte, sizeof(r->lost));
	memset(&r->mono_ns, byte, sizeof(r->mono_ns));
	memset(&r->time, byte, sizeof(r->time));
	memset(s->threads, byte, sizeof(s->threads));
	for (size_t i = 0; i < SAMPLE_THREADS; i++)
		s->threads[i].exited = true;
	memset(s->locks, byte, sizeof(s->locks));
	for (size_t i = 0; i < s->r.nr_locks; i++)
		s->locks[i].calls.length = &s->latency;
	memset(s->peers, byte, sizeof(s->peers));
	memset(s->files, byte, sizeof(s->files));
	memset(s->thieves, byte, sizeof(s->thieves));
	for (size_t i = 0; i < 3; i++)
		s->thieves[i].own = true;
	memset(s->slow, byte, sizeof(s->slow));
	memset(s->pids, byte, sizeof(s->pids));
	r->nr_pids = 2;
	r->partial = true;
	memset(&r->duration_ns, byte, sizeof(r->duration_ns));
	r->nr_threads = r->nr_exited = r->duration_ns;
	r->unanswered = r->accepted = r->closed = r->open = r->duration_ns;
	r->queue_now = r->queue_max = r->duration_ns;
	r->queue_avg = (double)r->duration_ns;
	r->accept_now = r->accept_max = r->accept_limit = r->accept_overflows = r->duration_ns;
	r->active = r->busy_ns = r->wall_ns = r->rest_threads = r->duration_ns;
	r->lost_reports = r->skipped_runs = r->events = r->bpf_ns = r->user_cpu_ns = r->rss_bytes = r->duration_ns;
	s->latency.count = s->latency.max = r->duration_ns;
}

static void test_never_too_wide(void **state)
{
	static const int bytes[] = { 0x01, 0x1b, 0x0a, 'W', 0x7f, 0x80, 0x9b, 0xc2, 0xff };
	static const size_t widths[] = { 0, 79, 80, 81, 100, 133, 500, 100000 };

	(void)state;
	for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
		for (size_t j = 0; j < 2 * sizeof(widths) / sizeof(widths[0]); j++) {
			struct text_options o = TEXT_OPTIONS_DEFAULT;
			struct sample s;
			char *text;

			o.columns = widths[j / 2];
			o.color = j & 1;
			o.top_threads = 100;
			sample__init(&s);
			make_hostile(&s, bytes[i]);
			text = written(&s.r, &o);
			assert_fits(text, o.columns < 80 ? 80 : o.columns, o.color);
			free(text);
			sample__free(&s);
		}
	}
}

static void test_report_of_zeros(void **state)
{
	const struct report empty = { .nr_pids = 0 };
	const struct report have = { .have_requests = true,
				     .have_threads = true,
				     .have_accept_queue = true,
				     .have_locks = true,
				     .have_peers = true,
				     .have_thieves = true };
	char *text;

	(void)state;
	text = plain(&empty);
	assert_fits(text, 80, false);
	free(text);
	text = plain(&have);
	assert_fits(text, 80, false);
	assert_has(text, "no request finished");
	free(text);
}

static void test_failed_write_is_reported(void **state)
{
	const struct text_options o = TEXT_OPTIONS_DEFAULT;
	FILE *full = fopen("/dev/full", "w");
	struct sample s;

	(void)state;
	assert_non_null(full);
	setvbuf(full, NULL, _IONBF, 0);
	sample__init(&s);
	assert_int_equal(text__write_interval(full, &s.r, &o), -ENOSPC);
	fclose(full);
	sample__free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_head),
		cmocka_unit_test(test_metrics),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_lock_calls),
		cmocka_unit_test(test_tables_are_cut_and_say_so),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_idle_threads_have_no_rows),
		cmocka_unit_test(test_nothing_happened_is_said),
		cmocka_unit_test(test_unmeasured_is_a_dash),
		cmocka_unit_test(test_threads_without_requests),
		cmocka_unit_test(test_losses_are_loud),
		cmocka_unit_test(test_skipped_runs),
		cmocka_unit_test(test_color_only_when_asked),
		cmocka_unit_test(test_never_too_wide),
		cmocka_unit_test(test_report_of_zeros),
		cmocka_unit_test(test_failed_write_is_reported),
	};

	return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
