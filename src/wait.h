/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* Reducer of waits for peers (by address) and for files (by name): collects, sorts, cuts off the tail. */
#ifndef THREADPROF_WAIT_H
#define THREADPROF_WAIT_H

#include "report.h"
#include "threadprof.h"

#define WAITS_MAX_LISTED 100

struct waits;

struct waits *waits__new(void); /* NULL when there is no memory */
void waits__free(struct waits *waits);

/* The waits for one peer, for one file, that ended in this interval. -ENOMEM, or 0. */
int waits__on_peer(struct waits *waits, const struct tp_peer_key *key, const struct tp_peer *sum);
int waits__on_file(struct waits *waits, const struct tp_file_key *key, const struct tp_wait *sum);

/* A socket on which a request has asked something that was not answered, for @ns of this interval. -ENOMEM, or 0. */
int waits__on_unanswered(struct waits *waits, const struct tp_rec_socket *socket, uint64_t ns);

/* Fills report->peers and report->files; valid until waits__next(). */
void waits__report(struct waits *waits, struct report *report);

/* The same list of peers, for whoever names the addresses. */
struct report_peer *waits__peers(struct waits *waits, size_t *count);

void waits__next(struct waits *waits);

/* "192.0.2.1:80", "[2001:db8::1]:80", "unix:"; "" for an address that is not known. */
void addr__format(const struct tp_addr *addr, char *buf, size_t size);

#endif /* THREADPROF_WAIT_H */
