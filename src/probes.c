// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "probes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/btf.h>

#include "log.h"
#include "rights.h"

int probes__tracepoint_args(const struct btf *btf, const char *name)
{
	const struct btf_type *type;
	char type_name[128];
	int id;

	snprintf(type_name, sizeof(type_name), "btf_trace_%s", name);
	id = btf__find_by_name_kind(btf, type_name, BTF_KIND_TYPEDEF);
	if (id < 0)
		return -ENOENT;
	type = btf__type_by_id(btf, btf__type_by_id(btf, id)->type);
	if (!type || !btf_is_ptr(type))
		return -ENOENT;
	type = btf__type_by_id(btf, type->type);
	if (!type || !btf_is_func_proto(type) || btf_vlen(type) < 1)
		return -ENOENT;
	return btf_vlen(type) - 1;
}

void probes__read(const struct btf *btf, struct probes *probes)
{
	probes->has_prev_state = probes__tracepoint_args(btf, "sched_switch") >= 4;
	probes->has_group_dead = probes__tracepoint_args(btf, "sched_process_exit") >= 2;
}

bool probes__is_function(const char *symbol, const char *function)
{
	static const char *const suffixes[] = { ".isra.", ".constprop." };
	size_t length = strlen(function);

	if (strncmp(symbol, function, length))
		return false;
	symbol += length;
	while (*symbol) {
		size_t i, digits;

		for (i = 0; i < 2 && strncmp(symbol, suffixes[i], strlen(suffixes[i])); i++)
			;
		if (i == 2)
			return false;
		symbol += strlen(suffixes[i]);
		digits = strspn(symbol, "0123456789");
		if (!digits)
			return false;
		symbol += digits;
	}
	return true;
}

int probes__find_function(const char *path, const char *function, char *symbol, size_t size)
{
	char line[1024], name[512], type;
	FILE *file = fopen(path, "re");
	int err = -ENOENT;

	if (!file)
		return -errno;
	while (err && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%*s %c %511s", &type, name) != 2 || (type != 't' && type != 'T') ||
		    !probes__is_function(name, function) || strlen(name) >= size)
			continue;
		strcpy(symbol, name);
		err = 0;
	}
	fclose(file);
	return err;
}

int probes__read_kernel(struct probes *probes)
{
	static struct probes known;
	static bool is_known;
	struct btf *btf;

	if (!is_known) {
		btf = btf__load_vmlinux_btf();
		if (!btf)
			return log__fail(-errno, "cannot read the kernel's BTF: %s", strerror(errno));
		probes__read(btf, &known);
		btf__free(btf);
		is_known = true;
	}
	*probes = known;
	return 0;
}

static bool lockdown_is_confidentiality(void)
{
	char line[128] = "";
	FILE *file = fopen("/sys/kernel/security/lockdown", "re");

	if (!file)
		return false;
	if (!fgets(line, sizeof(line), file))
		line[0] = '\0';
	fclose(file);
	return strstr(line, "[confidentiality]") != NULL;
}

bool probes__find_lack(struct host_lack *lack)
{
	if (!rights__may_trace())
		*lack = (struct host_lack){ -EPERM, "tracing needs the capabilities CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN)",
					    "run it as root, for example with sudo" };
	else if (rights__is_in_user_namespace())
		*lack = (struct host_lack){ -EPERM, "threadprof runs in a user namespace, whose root has no rights over the "
					    "kernel", "run it as root of the host, or in a container without one" };
	else if (lockdown_is_confidentiality())
		*lack = (struct host_lack){ -EPERM, "the kernel is locked down (lockdown=confidentiality), which forbids all "
					    "tracing", "boot with lockdown=integrity or none" };
	else if (access("/sys/kernel/btf/vmlinux", R_OK))
		*lack = (struct host_lack){ -ENOENT, "this kernel does not describe its types (no /sys/kernel/btf/vmlinux)",
					    "threadprof needs one built with CONFIG_DEBUG_INFO_BTF=y" };
	else
		return false;
	return true;
}

int probes__check_host(void)
{
	struct host_lack lack;

	return probes__find_lack(&lack) ? log__fail(lack.err, "%s: %s", lack.reason, lack.remedy) : 0;
}
