// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "wait.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "array.h"

struct waits {
	struct report_peer *peers;
	size_t nr_peers;
	size_t peers_capacity;
	struct report_file *files;
	size_t nr_files;
	size_t files_capacity;
};

struct waits *waits__new(void)
{
	return calloc(1, sizeof(struct waits));
}

void waits__free(struct waits *waits)
{
	if (!waits)
		return;
	free(waits->peers);
	free(waits->files);
	free(waits);
}

void addr__format(const struct tp_addr *addr, char *buf, size_t size)
{
	char ip[INET6_ADDRSTRLEN] = "";

	switch (addr->family) {
	case AF_INET:
		inet_ntop(AF_INET, addr->ip, ip, sizeof(ip));
		snprintf(buf, size, "%s:%u", ip, addr->port);
		break;
	case AF_INET6:
		inet_ntop(AF_INET6, addr->ip, ip, sizeof(ip));
		snprintf(buf, size, "[%s]:%u", ip, addr->port);
		break;
	case AF_UNIX:
		snprintf(buf, size, "unix:");
		break;
	default:
		snprintf(buf, size, "%s", "");
	}
}

static struct report_peer *new_peer(struct waits *waits, const struct tp_addr *addr, const char path[TP_PATH_LEN])
{
	struct report_peer *grown = array__grow(waits->peers, waits->nr_peers, &waits->peers_capacity, sizeof(*grown));
	struct report_peer *peer;

	if (!grown)
		return NULL;
	waits->peers = grown;
	peer = &grown[waits->nr_peers++];
	memset(peer, 0, sizeof(*peer));
	if (addr->family == AF_UNIX)
		snprintf(peer->addr, sizeof(peer->addr), "unix:%.*s", TP_PATH_LEN, path);
	else
		addr__format(addr, peer->addr, sizeof(peer->addr));
	peer->key = *addr;
	return peer;
}

int waits__on_peer(struct waits *waits, const struct tp_peer_key *key, const struct tp_peer *sum)
{
	struct report_peer *peer = new_peer(waits, &key->addr, key->path);

	if (!peer)
		return -ENOMEM;
	peer->waits = sum->wait.waits;
	peer->wait_ns = sum->wait.wait_ns;
	peer->answers = sum->answers;
	peer->answer_ns = sum->answer_ns;
	return 0;
}

int waits__on_unanswered(struct waits *waits, const struct tp_rec_socket *socket, uint64_t ns)
{
	struct report_peer *peer = new_peer(waits, &socket->peer, socket->path);

	if (!peer)
		return -ENOMEM;
	peer->unanswered = 1;
	peer->unanswered_ns = ns;
	return 0;
}

int waits__on_file(struct waits *waits, const struct tp_file_key *key, const struct tp_wait *sum)
{
	struct report_file *grown = array__grow(waits->files, waits->nr_files, &waits->files_capacity, sizeof(*grown));
	struct report_file *file;
	unsigned int dev_major = key->dev >> 20, dev_minor = key->dev & 0xfffff; /* the kernel's own dev_t */

	if (!grown)
		return -ENOMEM;
	waits->files = grown;
	file = &grown[waits->nr_files++];
	memset(file, 0, sizeof(*file));
	snprintf(file->name, sizeof(file->name), "%.*s (%u:%u)", TP_NAME_LEN, key->name, dev_major, dev_minor);
	file->inode = key->inode;
	file->dev = key->dev;
	file->waits = sum->waits;
	file->wait_ns = sum->wait_ns;
	return 0;
}

/* --- one entry for each: sums that were taken late are of two epochs --- */

static int by_peer(const void *a, const void *b)
{
	return strcmp(((const struct report_peer *)a)->addr, ((const struct report_peer *)b)->addr);
}

static int by_file(const void *a, const void *b)
{
	const struct report_file *x = a, *y = b;

	if (x->inode != y->inode)
		return x->inode < y->inode ? -1 : 1;
	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	return strcmp(x->name, y->name);
}

static size_t fold_peers(struct report_peer *list, size_t nr)
{
	size_t kept = 0;

	array__sort(list, nr, sizeof(*list), by_peer);
	for (size_t i = 0; i < nr; i++) {
		if (kept && !by_peer(&list[kept - 1], &list[i])) {
			list[kept - 1].waits += list[i].waits;
			list[kept - 1].wait_ns += list[i].wait_ns;
			list[kept - 1].answers += list[i].answers;
			list[kept - 1].answer_ns += list[i].answer_ns;
			list[kept - 1].unanswered += list[i].unanswered;
			list[kept - 1].unanswered_ns += list[i].unanswered_ns;
		} else {
			list[kept++] = list[i];
		}
	}
	return kept;
}

static size_t fold_files(struct report_file *list, size_t nr)
{
	size_t kept = 0;

	array__sort(list, nr, sizeof(*list), by_file);
	for (size_t i = 0; i < nr; i++) {
		if (kept && !by_file(&list[kept - 1], &list[i])) {
			list[kept - 1].waits += list[i].waits;
			list[kept - 1].wait_ns += list[i].wait_ns;
		} else {
			list[kept++] = list[i];
		}
	}
	return kept;
}

/* What threads slept for it is a part of the time that its answers took, where a request had asked. */
static uint64_t peer__taken_ns(const struct report_peer *peer)
{
	uint64_t asked_ns = peer->answer_ns + peer->unanswered_ns;

	return asked_ns > peer->wait_ns ? asked_ns : peer->wait_ns;
}

static int peers_longest_first(const void *a, const void *b)
{
	const struct report_peer *x = a, *y = b;

	if (peer__taken_ns(x) != peer__taken_ns(y))
		return peer__taken_ns(x) < peer__taken_ns(y) ? 1 : -1;
	return strcmp(x->addr, y->addr);
}

static int files_longest_first(const void *a, const void *b)
{
	const struct report_file *x = a, *y = b;

	if (x->wait_ns != y->wait_ns)
		return x->wait_ns < y->wait_ns ? 1 : -1;
	return strcmp(x->name, y->name);
}

void waits__report(struct waits *waits, struct report *report)
{
	waits->nr_peers = fold_peers(waits->peers, waits->nr_peers);
	waits->nr_files = fold_files(waits->files, waits->nr_files);
	array__sort(waits->peers, waits->nr_peers, sizeof(*waits->peers), peers_longest_first);
	array__sort(waits->files, waits->nr_files, sizeof(*waits->files), files_longest_first);
	report->have_peers = true;
	report->peers = waits->peers;
	report->nr_peers = waits->nr_peers < WAITS_MAX_LISTED ? waits->nr_peers : WAITS_MAX_LISTED;
	report->files = waits->files;
	report->nr_files = waits->nr_files < WAITS_MAX_LISTED ? waits->nr_files : WAITS_MAX_LISTED;
}

struct report_peer *waits__peers(struct waits *waits, size_t *count)
{
	*count = waits->nr_peers < WAITS_MAX_LISTED ? waits->nr_peers : WAITS_MAX_LISTED;
	return waits->peers;
}

void waits__next(struct waits *waits)
{
	waits->nr_peers = 0;
	waits->nr_files = 0;
}
