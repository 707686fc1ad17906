// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "wait.h"

#define MS 1000000ULL

static struct waits *new_waits(void)
{
	struct waits *waits = waits__new();

	assert_non_null(waits);
	return waits;
}

static struct tp_addr addr_of(int family, const char *ip, uint16_t port)
{
	struct tp_addr addr = { .family = family, .port = port };

	if (family != AF_UNIX)
		assert_int_equal(inet_pton(family, ip, addr.ip), 1);
	return addr;
}

static void add_peer(struct waits *waits, const struct tp_peer_key *key, uint64_t nr, uint64_t ns)
{
	const struct tp_peer sum = { .wait = { .waits = nr, .wait_ns = ns } };

	assert_int_equal(waits__on_peer(waits, key, &sum), 0);
}

static void add_file(struct waits *waits, const char *name, uint32_t dev, uint64_t ns)
{
	struct tp_file_key key = { .dev = dev };
	const struct tp_wait sum = { .waits = 1, .wait_ns = ns };

	memcpy(key.name, name, strnlen(name, sizeof(key.name)));
	assert_int_equal(waits__on_file(waits, &key, &sum), 0);
}

static struct report report_of(struct waits *waits)
{
	struct report report = { 0 };

	waits__report(waits, &report);
	assert_true(report.have_peers);
	return report;
}

static void test_addresses(void **state)
{
	static const struct {
		int family;
		const char *ip;
		uint16_t port;
		const char *text;
	} cases[] = {
		{ AF_INET, "192.0.2.1", 80, "192.0.2.1:80" },
		{ AF_INET, "0.0.0.0", 0, "0.0.0.0:0" },
		{ AF_INET, "255.255.255.255", 65535, "255.255.255.255:65535" },
		{ AF_INET6, "2001:db8::1", 443, "[2001:db8::1]:443" },
		{ AF_INET6, "::ffff:10.0.0.1", 1, "[::ffff:10.0.0.1]:1" },
		{ AF_INET6, "2001:db8:1111:2222:3333:4444:5555:6666", 65535,
		  "[2001:db8:1111:2222:3333:4444:5555:6666]:65535" },
	};
	const struct tp_addr a_unix = { .family = AF_UNIX }, unknown = { 0 };
	char buf[80];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct tp_addr addr = addr_of(cases[i].family, cases[i].ip, cases[i].port);

		addr__format(&addr, buf, sizeof(buf));
		assert_string_equal(buf, cases[i].text);
	}
	addr__format(&a_unix, buf, sizeof(buf));
	assert_string_equal(buf, "unix:");
	addr__format(&unknown, buf, sizeof(buf));
	assert_string_equal(buf, "");
}

static void test_an_address_that_does_not_fit_is_cut(void **state)
{
	const struct tp_addr addr = addr_of(AF_INET, "192.0.2.1", 80);
	char buf[8] = "xxxxxxx";

	(void)state;
	addr__format(&addr, buf, 6);
	assert_string_equal(buf, "192.0");
	assert_int_equal(buf[6], 'x');
}

static void test_peers(void **state)
{
	struct waits *waits = new_waits();
	struct tp_peer_key key = { .addr = addr_of(AF_INET, "192.0.2.1", 5432) };
	struct report report;

	(void)state;
	add_peer(waits, &key, 3, 30 * MS);
	key.addr = addr_of(AF_INET6, "2001:db8::1", 80);
	add_peer(waits, &key, 1, 50 * MS);
	key.addr = addr_of(AF_UNIX, "", 0);
	snprintf(key.path, sizeof(key.path), "/run/db.sock");
	add_peer(waits, &key, 2, 40 * MS);
	report = report_of(waits);
	assert_int_equal(report.nr_peers, 3);
	assert_string_equal(report.peers[0].addr, "[2001:db8::1]:80");
	assert_string_equal(report.peers[1].addr, "unix:/run/db.sock");
	assert_string_equal(report.peers[2].addr, "192.0.2.1:5432");
	assert_int_equal(report.peers[1].waits, 2);
	assert_int_equal(report.peers[1].wait_ns, 40 * MS);
	waits__next(waits);
	assert_int_equal(report_of(waits).nr_peers, 0);
	waits__free(waits);
	waits__free(NULL);
}

/* A path as long as its field has no NUL behind it. */
static void test_a_path_that_fills_its_field(void **state)
{
	struct waits *waits = new_waits();
	struct tp_peer_key key = { .addr = addr_of(AF_UNIX, "", 0) };
	struct report report;

	(void)state;
	memset(key.path, 'p', sizeof(key.path));
	add_peer(waits, &key, 1, MS);
	report = report_of(waits);
	assert_int_equal(strlen(report.peers[0].addr), strlen("unix:") + TP_PATH_LEN);
	waits__free(waits);
}

static void test_files(void **state)
{
	struct waits *waits = new_waits();
	const uint32_t disk = 8 << 20 | 1; /* as the kernel packs it: 12 bits major, 20 bits minor */
	char longest[TP_NAME_LEN];
	struct report report;

	(void)state;
	memset(longest, 'n', sizeof(longest));
	add_file(waits, "access.log", disk, 10 * MS);
	add_file(waits, longest, 4095U << 20 | 0xfffff, 20 * MS);
	report = report_of(waits);
	assert_int_equal(report.nr_files, 2);
	assert_int_equal(strspn(report.files[0].name, "n"), TP_NAME_LEN);
	assert_string_equal(report.files[0].name + TP_NAME_LEN, " (4095:1048575)");
	assert_string_equal(report.files[1].name, "access.log (8:1)");
	assert_int_equal(report.files[1].waits, 1);
	assert_int_equal(report.files[1].wait_ns, 10 * MS);
	waits__next(waits);
	assert_int_equal(report_of(waits).nr_files, 0);
	waits__free(waits);
}

/* Sums that are taken late are of two epochs. */
static void test_the_same_twice_is_one(void **state)
{
	struct waits *waits = new_waits();
	struct tp_peer_key key = { .addr = addr_of(AF_INET, "192.0.2.1", 5432) };
	struct tp_file_key other = { .inode = 7, .name = "access.log" };
	const struct tp_wait sum = { .waits = 1, .wait_ns = MS };
	struct report report;

	(void)state;
	add_peer(waits, &key, 3, 30 * MS);
	key.addr.port = 80;
	add_peer(waits, &key, 1, 40 * MS);
	key.addr.port = 5432;
	key.epoch = 1;
	add_peer(waits, &key, 2, 20 * MS);
	add_file(waits, "access.log", 0, 10 * MS);
	assert_int_equal(waits__on_file(waits, &other, &sum), 0);
	add_file(waits, "access.log", 0, 20 * MS);
	report = report_of(waits);
	assert_int_equal(report.nr_peers, 2);
	assert_string_equal(report.peers[0].addr, "192.0.2.1:5432");
	assert_int_equal(report.peers[0].waits, 5);
	assert_int_equal(report.peers[0].wait_ns, 50 * MS);
	assert_int_equal(report.nr_files, 2); /* another file of that name stays another */
	assert_int_equal(report.files[0].waits, 2);
	assert_int_equal(report.files[0].wait_ns, 30 * MS);
	waits__free(waits);
}

/* What requests asked a peer, and what threads slept for it, are of one entry; the longest of both counts. */
static void test_answers(void **state)
{
	struct waits *waits = new_waits();
	struct tp_peer_key key = { .addr = addr_of(AF_INET, "192.0.2.1", 5432) };
	const struct tp_peer sum = { .answers = 3, .answer_ns = 90 * MS };
	struct tp_rec_socket socket = { .peer = key.addr };
	struct report report;

	(void)state;
	key.addr.port = 80;
	add_peer(waits, &key, 4, 100 * MS);
	key.addr.port = 5432;
	add_peer(waits, &key, 1, MS);
	assert_int_equal(waits__on_peer(waits, &key, &sum), 0);
	assert_int_equal(waits__on_unanswered(waits, &socket, 20 * MS), 0);
	assert_int_equal(waits__on_unanswered(waits, &socket, 10 * MS), 0);
	socket = (struct tp_rec_socket){ .peer.family = AF_UNIX, .path = "/run/app.sock" };
	assert_int_equal(waits__on_unanswered(waits, &socket, 5 * MS), 0);
	report = report_of(waits);
	assert_int_equal(report.nr_peers, 3);
	assert_string_equal(report.peers[0].addr, "192.0.2.1:5432"); /* 120 ms */
	assert_int_equal(report.peers[0].waits, 1);
	assert_int_equal(report.peers[0].answers, 3);
	assert_int_equal(report.peers[0].answer_ns, 90 * MS);
	assert_int_equal(report.peers[0].unanswered, 2);
	assert_int_equal(report.peers[0].unanswered_ns, 30 * MS);
	assert_string_equal(report.peers[1].addr, "192.0.2.1:80");
	assert_int_equal(report.peers[1].answers, 0);
	assert_string_equal(report.peers[2].addr, "unix:/run/app.sock");
	assert_int_equal(report.peers[2].unanswered, 1);
	waits__free(waits);
}

static void test_the_tail_is_cut(void **state)
{
	const uint32_t total = WAITS_MAX_LISTED + 30;
	struct waits *waits = new_waits();
	struct report report;

	(void)state;
	for (uint32_t i = 0; i < total; i++) {
		const struct tp_peer_key key = { .addr = addr_of(AF_INET, "192.0.2.1", i) };
		char name[TP_NAME_LEN];

		add_peer(waits, &key, 1, (i * 7 % total + 1) * MS);
		snprintf(name, sizeof(name), "file-%u", i);
		add_file(waits, name, 0, (i * 11 % total + 1) * MS);
	}
	report = report_of(waits);
	assert_int_equal(report.nr_peers, WAITS_MAX_LISTED);
	assert_int_equal(report.nr_files, WAITS_MAX_LISTED);
	for (size_t i = 0; i < WAITS_MAX_LISTED; i++) {
		assert_int_equal(report.peers[i].wait_ns, (total - i) * MS);
		assert_int_equal(report.files[i].wait_ns, (total - i) * MS);
	}
	waits__free(waits);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_an_address_that_does_not_fit_is_cut),
		cmocka_unit_test(test_peers),
		cmocka_unit_test(test_a_path_that_fills_its_field),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_the_same_twice_is_one),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_the_tail_is_cut),
	};

	return cmocka_run_group_tests_name("wait", tests, NULL, NULL);
}
