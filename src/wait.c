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

int waits__on_peer(struct waits *waits, const struct tp_peer_key *key, const struct tp_wait *sum)
{
	struct report_peer *grown = array__grow(waits->peers, waits->nr_peers, &waits->peers_capacity, sizeof(*grown));
	struct report_peer *peer;

	if (!grown)
		return -ENOMEM;
	waits->peers = grown;
	peer = &grown[waits->nr_peers++];
	memset(peer, 0, sizeof(*peer));
	if (key->addr.family == AF_UNIX)
		snprintf(peer->addr, sizeof(peer->addr), "unix:%.*s", TP_PATH_LEN, key->path);
	else
		addr__format(&key->addr, peer->addr, sizeof(peer->addr));
	peer->key = key->addr;
	peer->waits = sum->waits;
	peer->wait_ns = sum->wait_ns;
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

static int peers_longest_first(const void *a, const void *b)
{
	const struct report_peer *x = a, *y = b;

	if (x->wait_ns != y->wait_ns)
		return x->wait_ns < y->wait_ns ? 1 : -1;
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
