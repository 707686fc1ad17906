// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/*
 * In the static program only: in the place of libdw's client for debug information servers, which would open
 * a shared library when the program starts. Nothing is asked for over the network in either program.
 */
#include <stddef.h>
#include <sys/types.h>

#ifdef THREADPROF_STATIC

typedef struct Dwfl Dwfl;
typedef struct debuginfod_client debuginfod_client;

int __libdwfl_debuginfod_find_executable(Dwfl *dwfl, const unsigned char *build_id, size_t size);
int __libdwfl_debuginfod_find_debuginfo(Dwfl *dwfl, const unsigned char *build_id, size_t size);
void __libdwfl_debuginfod_end(debuginfod_client *client);
debuginfod_client *dwfl_get_debuginfod_client(Dwfl *dwfl);

int __libdwfl_debuginfod_find_executable(Dwfl *dwfl, const unsigned char *build_id, size_t size)
{
	(void)dwfl, (void)build_id, (void)size;
	return -1;
}

int __libdwfl_debuginfod_find_debuginfo(Dwfl *dwfl, const unsigned char *build_id, size_t size)
{
	(void)dwfl, (void)build_id, (void)size;
	return -1;
}

void __libdwfl_debuginfod_end(debuginfod_client *client)
{
	(void)client;
}

debuginfod_client *dwfl_get_debuginfod_client(Dwfl *dwfl)
{
	(void)dwfl;
	return NULL;
}

#endif
