// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "demangle.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Of libiberty.a. Where its header is differs between distributions, and some packages have none: this is all of it
 * that we need.
 */
#define DMGL_PARAMS (1 << 0)
#define DMGL_ANSI (1 << 1)
#define DMGL_AUTO (1 << 8)
char *cplus_demangle(const char *mangled, int options);

/* Each two references back can double the text: a name made for it would fill the memory. */
#define MAX_REFERENCES 40
#define MAX_LENGTH 1024

static bool is_mangled(const char *name)
{
	return !strncmp(name, "_Z", 2) || !strncmp(name, "_R", 2);
}

static bool is_harmless(const char *name)
{
	size_t len = strlen(name), references = 0;

	for (size_t i = 0; i + 1 < len; i++)
		references += strchr("STB", name[i]) && (name[i + 1] == '_' || isalnum((unsigned char)name[i + 1]));
	return len <= MAX_LENGTH && references <= MAX_REFERENCES;
}

void demangle(char *out, size_t size, const char *name)
{
	char *plain = NULL;

	if (is_mangled(name) && is_harmless(name))
		plain = cplus_demangle(name, DMGL_PARAMS | DMGL_ANSI | DMGL_AUTO);
	snprintf(out, size, "%s", plain ? plain : name);
	free(plain);
}
