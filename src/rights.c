// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "rights.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* PROC_USER_INIT_INO of include/linux/proc_ns.h. */
#define INITIAL_USER_NAMESPACE 0xeffffffdU

/*
 * What is needed as long as threadprof runs. CAP_BPF: before 6.0 every call of bpf(2) asks for it where
 * unprivileged BPF is off. CAP_PERFMON: newer kernels show it every memory map. CAP_SYS_PTRACE: /proc/PID/exe,
 * maps, root and fd of other users' processes. CAP_DAC_READ_SEARCH: their files, and the names of cgroups.
 * CAP_CHECKPOINT_RESTORE: /proc/PID/map_files, the way to a mapped file that was deleted.
 */
static const cap_value_t kept[] = {
	CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH, CAP_CHECKPOINT_RESTORE,
};

#define NR_KEPT ((int)(sizeof(kept) / sizeof(kept[0])))

static bool is_set(cap_t caps, cap_value_t cap, cap_flag_t flag)
{
	cap_flag_value_t value;

	return !cap_get_flag(caps, cap, flag, &value) && value == CAP_SET;
}

bool rights__has(int cap)
{
	cap_t caps = cap_get_proc();
	bool has = caps && is_set(caps, cap, CAP_EFFECTIVE);

	cap_free(caps);
	return has;
}

bool rights__may_trace(void)
{
	return rights__has(CAP_SYS_ADMIN) || (rights__has(CAP_BPF) && rights__has(CAP_PERFMON));
}

bool rights__is_in_user_namespace(void)
{
	struct stat st;

	return !stat("/proc/self/ns/user", &st) && st.st_ino != INITIAL_USER_NAMESPACE;
}

bool rights__bpf_is_filtered(void)
{
	/* No kernel knows this command, and each that is asked says EINVAL. */
	char attributes[64] = "";

	return syscall(SYS_bpf, -1, attributes, sizeof(attributes)) < 0 && errno == EPERM;
}

/* Sets in @to what is kept of @from: in both sets, because what is needed is used without asking each time. */
static int keep(cap_t to, cap_t from, cap_value_t cap)
{
	if (!is_set(from, cap, CAP_PERMITTED))
		return 0;
	return cap_set_flag(to, CAP_PERMITTED, 1, &cap, CAP_SET) || cap_set_flag(to, CAP_EFFECTIVE, 1, &cap, CAP_SET);
}

/* What an exec could bring back: nothing is executed any more. Ours to change only with CAP_SETPCAP. */
static void empty_bounding_set(void)
{
	for (cap_value_t cap = 0; cap_get_bound(cap) >= 0; cap++) {
		if (cap_drop_bound(cap))
			break;
	}
}

static int reduce(cap_t to, cap_t from, const cap_value_t *list, int nr)
{
	int failed = 0;

	for (int i = 0; i < nr; i++)
		failed |= keep(to, from, list[i]);
	return failed || cap_set_proc(to) ? -errno : 0;
}

static int drop_all_but(const cap_value_t *list, int nr)
{
	cap_t before = cap_get_proc(), after = cap_init();
	int err = before && after ? 0 : -ENOMEM;

	if (!err && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		err = -errno;
	if (!err) {
		empty_bounding_set();
		/* Also empties the inheritable set, and with it the ambient one. */
		err = reduce(after, before, list, nr);
	}
	cap_free(before);
	cap_free(after);
	return err;
}

int rights__drop(void)
{
	/* CAP_SYS_ADMIN stands in for these where they are not there. */
	bool needs_admin = !rights__has(CAP_BPF) || !rights__has(CAP_PERFMON);
	cap_value_t list[NR_KEPT + 1];

	memcpy(list, kept, sizeof(kept));
	list[NR_KEPT] = CAP_SYS_ADMIN;
	return drop_all_but(list, NR_KEPT + needs_admin);
}

int rights__drop_all_but(int cap)
{
	return drop_all_but(&cap, 1);
}

static bool may_open(uint32_t tgid, const char *name, int flags)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%u/%s", tgid, name);
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0)
		return errno != EACCES && errno != EPERM;
	close(fd);
	return true;
}

enum rights_view rights__view_of(uint32_t tgid)
{
	/* Newer kernels let CAP_PERFMON read the one and not the other. */
	if (!may_open(tgid, "maps", O_RDONLY))
		return VIEW_CLOSED;
	return may_open(tgid, "root", O_PATH | O_DIRECTORY) ? VIEW_OPEN : VIEW_MAPS;
}

static struct report_feature symbols_feature(const struct targets *targets)
{
	static const struct report_feature features[] = {
		[VIEW_CLOSED] = { "symbols", "off", "a target's memory map is closed to threadprof: its locks have no "
				  "names, and Python's GIL is not told from other locks",
				  "run as the target's user, or add CAP_SYS_PTRACE" },
		[VIEW_MAPS] = { "symbols", "fallback", "the target's files are looked for under threadprof's own root: those of "
				"a container are not found, and its locks have no names",
				"run as the target's user, or add CAP_SYS_PTRACE" },
		[VIEW_OPEN] = { "symbols", "on", NULL, NULL },
	};
	enum rights_view worst = VIEW_OPEN, best = VIEW_CLOSED;
	struct report_feature feature;

	for (size_t i = 0; i < targets->nr; i++) {
		enum rights_view view = rights__view_of(targets->list[i].tgid);

		worst = view < worst ? view : worst;
		best = view > best ? view : best;
	}
	feature = features[worst];
	if (worst < best && best > VIEW_CLOSED && targets->nr)
		feature.state = "fallback";
	return feature;
}

void rights__features(const struct targets *targets, struct report_feature features[RIGHTS_NR_FEATURES])
{
	features[RIGHTS_SYMBOLS] = symbols_feature(targets);
	features[RIGHTS_EXECUTABLES] = (struct report_feature){ .name = "executables", .state = "on" };
	if (rights__has(CAP_SYS_PTRACE))
		return;
	features[RIGHTS_EXECUTABLES].state = "fallback";
	features[RIGHTS_EXECUTABLES].reason = "other users' processes that run already are known by their name, not by "
					      "the path of their executable";
	features[RIGHTS_EXECUTABLES].remedy = "add CAP_SYS_PTRACE";
}
