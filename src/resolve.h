/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * Host and service names for addresses. Asking a name server can take seconds, so a thread of its own asks,
 * one address at a time, and a name is there from the report after the answer on.
 */
#ifndef THREADPROF_RESOLVE_H
#define THREADPROF_RESOLVE_H

#include <stdbool.h>
#include <stddef.h>

#include "threadprof.h"

/* Addresses that are remembered; further ones stay without a name. */
#define RESOLVER_MAX 1024

struct resolver;

struct resolver *resolver__new(void); /* NULL when there is no memory or no thread */

/* Never waits: a question that is being asked is left to end by itself. NULL is fine. */
void resolver__free(struct resolver *resolver);

/*
 * "db1.example:postgresql" in @buf, and true, if the name of @addr is known; else asks for it, and false.
 * An address without a name is answered with itself.
 */
bool resolver__name(struct resolver *resolver, const struct tp_addr *addr, char *buf, size_t size);

#endif /* THREADPROF_RESOLVE_H */
