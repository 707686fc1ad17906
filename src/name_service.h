/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/* Where the names of users, hosts and services come from. */
#ifndef THREADPROF_NAME_SERVICE_H
#define THREADPROF_NAME_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Once, before the first name is asked for. The static program answers from the files of /etc and from DNS alone:
 * /etc/nsswitch.conf may name others, each a library of the very glibc version that it was built with, and a
 * library of another version would crash it. The dynamic one does as nsswitch.conf says.
 */
void name_service__init(void);

/* The name of a user by number, or the number itself. */
void name_service__user(uint32_t uid, char *name, size_t size);

/* The number of a user by name; false: there is none of this name. */
bool name_service__uid(const char *name, uint32_t *uid);

#endif /* THREADPROF_NAME_SERVICE_H */
