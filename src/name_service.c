// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "name_service.h"

#include <nss.h>
#include <pwd.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#ifdef THREADPROF_STATIC

/* The sources "files" and "dns" are a part of glibc itself from 2.34 on. */
void name_service__init(void)
{
	__nss_configure_lookup("hosts", "files dns");
	__nss_configure_lookup("services", "files");
}

bool name_service__uid(const char *name, uint32_t *uid)
{
	const struct passwd *user = NULL;
	FILE *file = fopen("/etc/passwd", "re");

	if (!file)
		return false;
	do
		user = fgetpwent(file);
	while (user && strcmp(user->pw_name, name));
	if (user)
		*uid = user->pw_uid;
	fclose(file);
	return user;
}

#else

void name_service__init(void)
{
}

bool name_service__uid(const char *name, uint32_t *uid)
{
	const struct passwd *user = getpwnam(name);

	if (user)
		*uid = user->pw_uid;
	return user;
}

#endif
