// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "socket.h"

/* include/net/tcp_states.h */
enum { ESTABLISHED = 1, SYN_SENT = 2, TIME_WAIT = 6, CLOSE = 7, CLOSE_WAIT = 8, LISTEN = 10 };

#define PORT 8080

static struct sockets *new_sockets(void)
{
	struct sockets *sockets = sockets__new();

	assert_non_null(sockets);
	sockets__begin(sockets);
	return sockets;
}

/* Files are told apart by @id; so are the sockets, which may have several descriptors. */
static struct tp_rec_socket inet_socket(uint64_t id, uint16_t state, uint16_t port)
{
	return (struct tp_rec_socket){
		.h = { .kind = TP_REC_SOCKET, .size = sizeof(struct tp_rec_socket) },
		.file = 0xffff888000000000 + 256 * id,
		.fd = (int)id,
		.inode = (uint32_t)id,
		.family = AF_INET,
		.type = SOCK_STREAM,
		.state = state,
		.port = port,
	};
}

static struct tp_rec_socket unix_socket(uint64_t id, uint16_t state, const char *path)
{
	struct tp_rec_socket rec = inet_socket(id, state, 0);

	rec.family = AF_UNIX;
	snprintf(rec.path, sizeof(rec.path), "%s", path);
	return rec;
}

static void add(struct sockets *sockets, struct tp_rec_socket rec)
{
	assert_int_equal(sockets__on_record(sockets, &rec), 0);
}

struct found {
	size_t nr;
	int fds[16];
};

static void note(void *context, const struct tp_rec_socket *rec)
{
	struct found *found = context;

	assert_true(found->nr < 16);
	found->fds[found->nr++] = rec->fd;
}

/* Ends the look and says which descriptors were accepted, in the order of their files. */
static struct found accepted(struct sockets *sockets)
{
	struct found found = { 0 };

	sockets__end(sockets);
	sockets__each_accepted(sockets, note, &found);
	return found;
}

/* Whether a socket counts as accepted beside one listener; frees nothing of the caller's. */
static bool is_accepted(struct tp_rec_socket listener, struct tp_rec_socket rec)
{
	struct sockets *sockets = new_sockets();
	struct found found;

	add(sockets, rec);
	add(sockets, listener);
	found = accepted(sockets);
	sockets__free(sockets);
	return found.nr == 1;
}

static void test_no_sockets(void **state)
{
	struct sockets *sockets = new_sockets();
	struct report report = { 0 };

	(void)state;
	assert_int_equal(accepted(sockets).nr, 0);
	assert_false(sockets__is_live(sockets, 0));
	assert_false(sockets__is_live(sockets, 1));
	sockets__report(sockets, 0, &report);
	assert_false(report.have_accept_queue);
	sockets__free(sockets);
	sockets__free(NULL);
}

static void test_the_port_tells(void **state)
{
	const struct tp_rec_socket listener = inet_socket(3, LISTEN, PORT);

	(void)state;
	assert_true(is_accepted(listener, inet_socket(4, ESTABLISHED, PORT)));
	/* the peer has closed its side: there may be requests to answer still */
	assert_true(is_accepted(listener, inet_socket(4, CLOSE_WAIT, PORT)));
	/* one that the target opened: to its database */
	assert_false(is_accepted(listener, inet_socket(4, ESTABLISHED, 40000)));
	assert_false(is_accepted(listener, inet_socket(4, SYN_SENT, PORT)));
	assert_false(is_accepted(listener, inet_socket(4, CLOSE, PORT)));
	assert_false(is_accepted(listener, inet_socket(4, TIME_WAIT, PORT)));
	/* another listener of the same port (SO_REUSEPORT) is no connection */
	assert_false(is_accepted(listener, inet_socket(4, LISTEN, PORT)));
}

static void test_types_and_families(void **state)
{
	struct tp_rec_socket listener = inet_socket(3, LISTEN, PORT), rec = inet_socket(4, ESTABLISHED, PORT);

	(void)state;
	rec.type = SOCK_DGRAM; /* connected UDP has the state ESTABLISHED as well */
	assert_false(is_accepted(listener, rec));
	rec.type = SOCK_STREAM;
	rec.family = AF_NETLINK;
	assert_false(is_accepted(listener, rec));
	/* a v4-mapped connection of a listener of both families, and the plain kinds */
	listener.family = AF_INET6;
	rec.family = AF_INET6;
	assert_true(is_accepted(listener, rec));
	rec.family = AF_INET;
	assert_true(is_accepted(listener, rec));
	/* a datagram socket in a state of the number of LISTEN is no listener */
	listener.type = SOCK_DGRAM;
	assert_false(is_accepted(listener, rec));
}

static void test_unix_sockets(void **state)
{
	const struct tp_rec_socket listener = unix_socket(3, LISTEN, "/run/app.sock");

	(void)state;
	assert_true(is_accepted(listener, unix_socket(4, ESTABLISHED, "/run/app.sock")));
	assert_false(is_accepted(listener, unix_socket(4, ESTABLISHED, "/run/app.sock2")));
	assert_false(is_accepted(listener, unix_socket(4, ESTABLISHED, "/run/app")));
	/* the connecting side, and a socketpair: no name */
	assert_false(is_accepted(listener, unix_socket(4, ESTABLISHED, "")));
	assert_false(is_accepted(unix_socket(3, LISTEN, ""), unix_socket(4, ESTABLISHED, "")));
	/* TCP has port 0 nowhere, unix sockets always */
	assert_false(is_accepted(inet_socket(3, LISTEN, 0), unix_socket(4, ESTABLISHED, "/run/app.sock")));
	assert_false(is_accepted(listener, inet_socket(4, ESTABLISHED, 0)));
}

/* A path that fills its field has no NUL behind it. */
static void test_a_long_unix_path(void **state)
{
	struct tp_rec_socket listener = unix_socket(3, LISTEN, ""), rec = unix_socket(4, ESTABLISHED, "");

	(void)state;
	memset(listener.path, 'p', sizeof(listener.path));
	memset(rec.path, 'p', sizeof(rec.path));
	assert_true(is_accepted(listener, rec));
	rec.path[sizeof(rec.path) - 1] = 'q';
	assert_false(is_accepted(listener, rec));
}

static void test_several_listeners(void **state)
{
	struct sockets *sockets = new_sockets();
	struct found found;

	(void)state;
	add(sockets, inet_socket(1, LISTEN, 80));
	add(sockets, inet_socket(2, LISTEN, 443));
	add(sockets, inet_socket(3, LISTEN, 80)); /* SO_REUSEPORT: two listeners of one port */
	add(sockets, inet_socket(10, ESTABLISHED, 80));
	add(sockets, inet_socket(11, ESTABLISHED, 443));
	add(sockets, inet_socket(12, ESTABLISHED, 8080));
	found = accepted(sockets);
	/* each once, however many listeners fit */
	assert_int_equal(found.nr, 2);
	assert_int_equal(found.fds[0], 10);
	assert_int_equal(found.fds[1], 11);
	sockets__free(sockets);
}

static void test_a_connection_without_a_listener(void **state)
{
	struct sockets *sockets = new_sockets();

	(void)state;
	add(sockets, inet_socket(10, ESTABLISHED, 80));
	assert_int_equal(accepted(sockets).nr, 0);
	sockets__free(sockets);
}

static void count_asked(void *context, const struct tp_rec_socket *rec)
{
	size_t *nr = context;

	assert_int_equal(rec->asked_ns, 5);
	++*nr;
}

static void test_open_questions(void **state)
{
	struct sockets *sockets = new_sockets();
	struct tp_rec_socket asked = inet_socket(11, ESTABLISHED, 40000);
	size_t nr = 0;

	(void)state;
	asked.asked_ns = 5;
	add(sockets, inet_socket(10, ESTABLISHED, 80));
	add(sockets, asked);
	asked.tgid = 4711; /* the child of the one that opened it */
	add(sockets, asked);
	asked = inet_socket(12, ESTABLISHED, 40001);
	asked.asked_ns = 5;
	add(sockets, asked);
	sockets__end(sockets);
	sockets__each_asked(sockets, count_asked, &nr);
	assert_int_equal(nr, 2);
	sockets__free(sockets);
}

static void test_live_files(void **state)
{
	struct sockets *sockets = new_sockets();

	(void)state;
	for (uint64_t id = 100; id > 0; id--)
		add(sockets, inet_socket(id, ESTABLISHED, 80));
	sockets__end(sockets);
	for (uint64_t id = 1; id <= 100; id++)
		assert_true(sockets__is_live(sockets, inet_socket(id, 0, 0).file));
	assert_false(sockets__is_live(sockets, inet_socket(0, 0, 0).file));
	assert_false(sockets__is_live(sockets, inet_socket(101, 0, 0).file));
	assert_false(sockets__is_live(sockets, inet_socket(50, 0, 0).file + 1));

	sockets__begin(sockets);
	add(sockets, inet_socket(7, ESTABLISHED, 80));
	sockets__end(sockets);
	assert_true(sockets__is_live(sockets, inet_socket(7, 0, 0).file));
	assert_false(sockets__is_live(sockets, inet_socket(8, 0, 0).file));
	sockets__free(sockets);
}

/* --- accept queues --- */

static struct tp_rec_socket listener_with(uint64_t id, uint32_t backlog, uint32_t limit, uint32_t drops)
{
	struct tp_rec_socket rec = inet_socket(id, LISTEN, PORT + id);

	rec.backlog = backlog;
	rec.backlog_limit = limit;
	rec.drops = drops;
	return rec;
}

/* One look that finds the listeners, and what the report says after it. */
static struct report look(struct sockets *sockets, const struct tp_rec_socket *listeners, size_t nr, uint64_t max)
{
	struct report report = { 0 };

	sockets__begin(sockets);
	for (size_t i = 0; i < nr; i++)
		add(sockets, listeners[i]);
	sockets__end(sockets);
	sockets__report(sockets, max, &report);
	return report;
}

static void test_accept_queues_add_up(void **state)
{
	struct sockets *sockets = new_sockets();
	const struct tp_rec_socket listeners[] = { listener_with(1, 5, 128, 0), listener_with(2, 7, 511, 0) };
	struct report report;

	(void)state;
	report = look(sockets, listeners, 2, 0);
	assert_true(report.have_accept_queue);
	assert_int_equal(report.accept_now, 12);
	assert_int_equal(report.accept_limit, 639);
	assert_int_equal(report.accept_max, 12); /* never less than now */
	report = look(sockets, listeners, 2, 100);
	assert_int_equal(report.accept_max, 100);
	report = look(sockets, NULL, 0, 0);
	assert_false(report.have_accept_queue);
	sockets__free(sockets);
}

/* dup(2), and a pre-fork server's children: many descriptors, one queue. */
static void test_a_listener_with_many_descriptors_is_one(void **state)
{
	struct sockets *sockets = new_sockets();
	struct tp_rec_socket listeners[4];
	struct report report;

	(void)state;
	for (int i = 0; i < 4; i++) {
		listeners[i] = listener_with(1, 5, 128, 3);
		listeners[i].fd = 10 + i;
		listeners[i].tgid = 100 + i / 2;
	}
	look(sockets, listeners, 4, 0);
	for (int i = 0; i < 4; i++)
		listeners[i].drops = 5;
	report = look(sockets, listeners, 4, 0);
	assert_int_equal(report.accept_now, 5);
	assert_int_equal(report.accept_limit, 128);
	assert_int_equal(report.accept_overflows, 2);
	sockets__free(sockets);
}

static void test_overflows_count_from_one_report_to_the_next(void **state)
{
	struct sockets *sockets = new_sockets();
	struct tp_rec_socket listener = listener_with(1, 0, 128, 1000);

	(void)state;
	/* what was dropped before we came is none of ours */
	assert_int_equal(look(sockets, &listener, 1, 0).accept_overflows, 0);
	listener.drops = 1010;
	assert_int_equal(look(sockets, &listener, 1, 0).accept_overflows, 10);
	assert_int_equal(look(sockets, &listener, 1, 0).accept_overflows, 0);
	/* a look between two reports takes nothing away */
	listener.drops = 1012;
	sockets__begin(sockets);
	add(sockets, listener);
	sockets__end(sockets);
	listener.drops = 1015;
	assert_int_equal(look(sockets, &listener, 1, 0).accept_overflows, 5);
	/* the kernel's counter has 32 bits */
	listener.drops = UINT32_MAX;
	look(sockets, &listener, 1, 0);
	listener.drops = 4;
	assert_int_equal(look(sockets, &listener, 1, 0).accept_overflows, 5);
	sockets__free(sockets);
}

static void test_a_listener_that_comes_later(void **state)
{
	struct sockets *sockets = new_sockets();
	struct tp_rec_socket listeners[] = { listener_with(1, 0, 128, 50), listener_with(2, 0, 128, 70) };
	struct report report;

	(void)state;
	look(sockets, listeners, 1, 0);
	listeners[0].drops = 51;
	report = look(sockets, listeners, 2, 0);
	assert_int_equal(report.accept_overflows, 1);
	listeners[1].drops = 72;
	assert_int_equal(look(sockets, listeners, 2, 0).accept_overflows, 2);
	/* the first one is closed: no more of it */
	report = look(sockets, listeners + 1, 1, 0);
	assert_int_equal(report.accept_limit, 128);
	assert_int_equal(report.accept_overflows, 0);
	sockets__free(sockets);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_sockets),
		cmocka_unit_test(test_the_port_tells),
		cmocka_unit_test(test_types_and_families),
		cmocka_unit_test(test_unix_sockets),
		cmocka_unit_test(test_a_long_unix_path),
		cmocka_unit_test(test_several_listeners),
		cmocka_unit_test(test_a_connection_without_a_listener),
		cmocka_unit_test(test_open_questions),
		cmocka_unit_test(test_live_files),
		cmocka_unit_test(test_accept_queues_add_up),
		cmocka_unit_test(test_a_listener_with_many_descriptors_is_one),
		cmocka_unit_test(test_overflows_count_from_one_report_to_the_next),
		cmocka_unit_test(test_a_listener_that_comes_later),
	};

	return cmocka_run_group_tests_name("socket", tests, NULL, NULL);
}
