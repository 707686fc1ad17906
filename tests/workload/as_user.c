// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/*
 * Runs a command as a user with a few capabilities only, also where there is no setpriv(1) as in a guest:
 *
 *   as_user UID CAPABILITIES COMMAND [ARGUMENT...]
 *
 * CAPABILITIES: names as in "bpf,perfmon", or "none". The limits of memory and files stay those of the caller.
 */
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "workload.h"

/* Newer than some libraries' headers. */
#define BIT_PERFMON 38
#define BIT_BPF 39

static uint64_t parse(char *list)
{
	uint64_t bits = 0;

	for (char *name = strtok(list, ","); name && strcmp(name, "none"); name = strtok(NULL, ",")) {
		if (!strcmp(name, "bpf")) {
			bits |= 1ull << BIT_BPF;
		} else if (!strcmp(name, "perfmon")) {
			bits |= 1ull << BIT_PERFMON;
		} else {
			errno = EINVAL;
			die("%s", name);
		}
	}
	return bits;
}

/* Permitted, effective and inheritable, so that they can become ambient ones and outlive the exec. */
static void keep_only(uint64_t bits)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	for (int i = 0; i < 2; i++) {
		uint32_t word = bits >> (32 * i);

		data[i] = (struct __user_cap_data_struct){ word, word, word };
	}
	if (syscall(SYS_capset, &head, data))
		die("capset");
	for (int bit = 0; bit < 64; bit++) {
		if (bits >> bit & 1 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, bit, 0, 0))
			die("ambient capabilities");
	}
}

static void empty_bounding_set_but(uint64_t bits)
{
	for (int bit = 0; prctl(PR_CAPBSET_READ, bit) >= 0; bit++) {
		if (!(bits >> bit & 1) && prctl(PR_CAPBSET_DROP, bit))
			die("bounding set");
	}
}

int main(int argc, char **argv)
{
	uint64_t bits;
	uid_t uid;

	if (argc < 4) {
		fprintf(stderr, "usage: as_user UID CAPABILITIES COMMAND...\n");
		return 2;
	}
	uid = atoi(argv[1]);
	bits = parse(argv[2]);
	empty_bounding_set_but(bits);
	if (prctl(PR_SET_KEEPCAPS, 1) || setgroups(0, NULL) || setresgid(uid, uid, uid) || setresuid(uid, uid, uid))
		die("cannot become another user");
	keep_only(bits);
	execvp(argv[3], argv + 3);
	die("%s", argv[3]);
}
