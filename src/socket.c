// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "array.h"

/* include/net/tcp_states.h; unix stream sockets use the same. */
#define STATE_ESTABLISHED 1
#define STATE_CLOSE_WAIT 8
#define STATE_LISTEN 10

struct listener {
	struct tp_rec_socket last; /* as last seen */
	uint32_t drops_before;	   /* as reported */
	bool seen;		   /* in this look */
};

struct sockets {
	struct tp_rec_socket *list; /* after sockets__end(): sorted by file */
	size_t nr;
	size_t capacity;
	struct listener *listeners;
	size_t nr_listeners;
	size_t listeners_capacity;
};

struct sockets *sockets__new(void)
{
	return calloc(1, sizeof(struct sockets));
}

void sockets__free(struct sockets *sockets)
{
	if (!sockets)
		return;
	free(sockets->list);
	free(sockets->listeners);
	free(sockets);
}

void sockets__begin(struct sockets *sockets)
{
	sockets->nr = 0;
	for (size_t i = 0; i < sockets->nr_listeners; i++)
		sockets->listeners[i].seen = false;
}

static bool is_listener(const struct tp_rec_socket *rec)
{
	return rec->type == SOCK_STREAM && rec->state == STATE_LISTEN;
}

static struct listener *find_listener(const struct sockets *sockets, uint32_t inode)
{
	for (size_t i = 0; i < sockets->nr_listeners; i++) {
		if (sockets->listeners[i].last.inode == inode)
			return &sockets->listeners[i];
	}
	return NULL;
}

static int note_listener(struct sockets *sockets, const struct tp_rec_socket *rec)
{
	struct listener *listener = find_listener(sockets, rec->inode);

	if (!listener) {
		struct listener *grown = array__grow(sockets->listeners, sockets->nr_listeners,
						     &sockets->listeners_capacity, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		sockets->listeners = grown;
		listener = &sockets->listeners[sockets->nr_listeners++];
		listener->drops_before = rec->drops;
	}
	listener->last = *rec;
	listener->seen = true;
	return 0;
}

int sockets__on_record(struct sockets *sockets, const struct tp_rec_socket *rec)
{
	struct tp_rec_socket *grown =
		array__grow(sockets->list, sockets->nr, &sockets->capacity, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	sockets->list = grown;
	sockets->list[sockets->nr++] = *rec;
	return is_listener(rec) ? note_listener(sockets, rec) : 0;
}

static int by_file(const void *a, const void *b)
{
	const struct tp_rec_socket *x = a, *y = b;

	return x->file < y->file ? -1 : x->file > y->file;
}

void sockets__end(struct sockets *sockets)
{
	size_t kept = 0;

	array__sort(sockets->list, sockets->nr, sizeof(*sockets->list), by_file);
	for (size_t i = 0; i < sockets->nr_listeners; i++) {
		if (sockets->listeners[i].seen)
			sockets->listeners[kept++] = sockets->listeners[i];
	}
	sockets->nr_listeners = kept;
}

bool sockets__is_live(const struct sockets *sockets, uint64_t file)
{
	struct tp_rec_socket key = { .file = file };

	return sockets->nr && bsearch(&key, sockets->list, sockets->nr, sizeof(key), by_file);
}

static bool is_accepted_by(const struct tp_rec_socket *rec, const struct tp_rec_socket *listener)
{
	bool is_unix = rec->family == AF_UNIX;

	/* A listener of both families accepts IPv4 in sockets of its own family. */
	if (is_unix != (listener->family == AF_UNIX))
		return false;
	if (is_unix)
		return rec->path[0] && !strncmp(rec->path, listener->path, sizeof(rec->path));
	return rec->port == listener->port;
}

void sockets__each_accepted(const struct sockets *sockets, sockets_fn fn, void *context)
{
	for (size_t i = 0; i < sockets->nr; i++) {
		const struct tp_rec_socket *rec = &sockets->list[i];

		if (rec->type != SOCK_STREAM || (rec->state != STATE_ESTABLISHED && rec->state != STATE_CLOSE_WAIT))
			continue;
		if (rec->family != AF_UNIX && rec->family != AF_INET && rec->family != AF_INET6)
			continue;
		for (size_t j = 0; j < sockets->nr_listeners; j++) {
			if (!is_accepted_by(rec, &sockets->listeners[j].last))
				continue;
			fn(context, rec);
			break;
		}
	}
}

void sockets__each_asked(const struct sockets *sockets, sockets_fn fn, void *context)
{
	for (size_t i = 0; i < sockets->nr; i++) {
		/* Several processes and descriptors may have the same one; the list is sorted by it. */
		if (sockets->list[i].asked_ns && (!i || sockets->list[i].file != sockets->list[i - 1].file))
			fn(context, &sockets->list[i]);
	}
}

void sockets__report(struct sockets *sockets, uint64_t max, struct report *report)
{
	report->have_accept_queue = sockets->nr_listeners > 0;
	for (size_t i = 0; i < sockets->nr_listeners; i++) {
		struct listener *listener = &sockets->listeners[i];

		report->accept_overflows += listener->last.drops - listener->drops_before;
		report->accept_now += listener->last.backlog;
		report->accept_limit += listener->last.backlog_limit;
		listener->drops_before = listener->last.drops;
	}
	report->accept_max = max > report->accept_now ? max : report->accept_now;
}
