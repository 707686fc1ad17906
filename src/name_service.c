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

/* By name, or by number if that is NULL. The result is valid until the next call. */
static const struct passwd *find_user(const char *name, uint32_t uid)
{
	const struct passwd *user = NULL;
	FILE *file = fopen("/etc/passwd", "re");

	if (!file)
		return NULL;
	do
		user = fgetpwent(file);
	while (user && (name ? strcmp(user->pw_name, name) != 0 : user->pw_uid != uid));
	fclose(file);
	return user;
}

#else

void name_service__init(void)
{
}

static const struct passwd *find_user(const char *name, uint32_t uid)
{
	return name ? getpwnam(name) : getpwuid(uid);
}

#endif

bool name_service__uid(const char *name, uint32_t *uid)
{
	const struct passwd *user = find_user(name, 0);

	if (user)
		*uid = user->pw_uid;
	return user;
}

void name_service__user(uint32_t uid, char *name, size_t size)
{
	const struct passwd *user = find_user(NULL, uid);

	if (user)
		snprintf(name, size, "%s", user->pw_name);
	else
		snprintf(name, size, "%u", uid);
}
