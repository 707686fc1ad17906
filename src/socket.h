/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * The target's open sockets as they were found at one moment: which connections were accepted before we
 * came, which are gone, and how full the kernel's accept queues are. Pure: fed with records.
 */
#ifndef THREADPROF_SOCKET_H
#define THREADPROF_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "report.h"
#include "threadprof.h"

struct sockets;

struct sockets *sockets__new(void); /* NULL when there is no memory */
void sockets__free(struct sockets *sockets);

/* A new look begins: what was found before is forgotten, but for the listeners' drop counters. */
void sockets__begin(struct sockets *sockets);

/* An open socket. -ENOMEM, or 0. */
int sockets__on_record(struct sockets *sockets, const struct tp_rec_socket *rec);

/* The look is complete: the questions below may be asked. */
void sockets__end(struct sockets *sockets);

bool sockets__is_live(const struct sockets *sockets, uint64_t file);

/*
 * Calls @fn for each connection that one of the listeners has accepted: a stream socket that is connected
 * and has a listener's local port, or its path.
 */
typedef void (*sockets_fn)(void *context, const struct tp_rec_socket *rec);
void sockets__each_accepted(const struct sockets *sockets, sockets_fn fn, void *context);

/* Calls @fn once for each socket that a request asked something on and that nothing came back on. */
void sockets__each_asked(const struct sockets *sockets, sockets_fn fn, void *context);

/* Fills report->accept_…; @max is the fullest queue seen in the interval. Overflows count from one call to the next. */
void sockets__report(struct sockets *sockets, uint64_t max, struct report *report);

#endif /* THREADPROF_SOCKET_H */
