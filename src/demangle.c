// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "demangle.h"

#include <ctype.h>
#ifndef THREADPROF_STATIC
#include <dlfcn.h>
#endif
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "demangle_rust.h"

/* Each reference back can double the text: a name made for it would fill the memory. */
#define MAX_REFERENCES 40
#define MAX_LENGTH 1024

typedef char *(*demangler)(const char *name, char *out, size_t *size, int *status);

#ifdef THREADPROF_STATIC

/* The C++ ABI's; a static program opens no library. */
char *__cxa_demangle(const char *name, char *out, size_t *size, int *status);

static demangler find_demangler(void)
{
	return __cxa_demangle;
}

#else

/* Looked up when first needed, so that programs without C++ never load the library. */
static demangler find_demangler(void)
{
	static demangler found;
	static bool tried;
	void *library;

	if (!tried) {
		tried = true;
		library = dlopen("libstdc++.so.6", RTLD_LAZY | RTLD_LOCAL);
		if (library)
			found = (demangler)dlsym(library, "__cxa_demangle");
	}
	return found;
}

#endif

static bool harmless(const char *name)
{
	size_t len = strlen(name), references = 0;

	for (size_t i = 0; i + 1 < len; i++) {
		if ((name[i] == 'S' || name[i] == 'T') &&
		    (name[i + 1] == '_' || isdigit((unsigned char)name[i + 1]) ||
		     isupper((unsigned char)name[i + 1])))
			references++;
	}
	return len <= MAX_LENGTH && references <= MAX_REFERENCES;
}

/* Older Rust names end in a part that is only a hash: "::h" and 16 hex digits. */
static void drop_rust_hash(char *name)
{
	size_t len = strlen(name);
	char *hash = len > 19 ? name + len - 19 : NULL;

	if (hash && !strncmp(hash, "::h", 3) && strspn(hash + 3, "0123456789abcdef") == 16)
		*hash = '\0';
}

void demangle(char *out, size_t size, const char *name)
{
	demangler find;
	char *plain = NULL;
	int status;

	if (demangle_rust(out, size, name))
		return;
	if (!strncmp(name, "_Z", 2) && harmless(name)) {
		find = find_demangler();
		if (find)
			plain = find(name, NULL, NULL, &status);
	}
	if (plain)
		drop_rust_hash(plain);
	snprintf(out, size, "%s", plain ? plain : name);
	free(plain);
}
