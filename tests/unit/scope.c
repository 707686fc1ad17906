// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/* Cgroups as directories of a file system: what is asked of the kernel's is asked of a copy here. */
#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "scope.h"

#define ID_A "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ID_B "0123ffff89abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ID_C "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

static char root[] = "/tmp/threadprof-unit-XXXXXX";

/* Makes a cgroup below the root with these processes in it. */
static void make(const char *path, const char *procs)
{
	char name[512];
	FILE *file;

	snprintf(name, sizeof(name), "%s/%s", root, path);
	assert_int_equal(mkdir(name, 0755), 0);
	snprintf(name, sizeof(name), "%s/%s/cgroup.procs", root, path);
	file = fopen(name, "w");
	assert_non_null(file);
	fputs(procs, file);
	fclose(file);
}

static int set_up(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(root));
	make("docker", "");
	make("docker/" ID_A, "11\n12\n");
	make("docker/" ID_A "/inner", "13\n0\n");
	make("docker/" ID_A "/inner/deep", "14\n");
	make("machine.slice", "1\n");
	make("machine.slice/libpod-conmon-" ID_C ".scope", "20\n");
	make("machine.slice/libpod-" ID_C ".scope", "");
	make("machine.slice/libpod-" ID_C ".scope/container", "21\n");
	make("kubepods.slice", "");
	make("kubepods.slice/cri-containerd-" ID_B ".scope", "31\n");
	make("empty", "");
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int tear_down(void **state)
{
	(void)state;
	return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* --- names --- */

static void assert_id(const char *name, const char *want)
{
	char id[256] = "";
	int err = scope__container_id(name, id, sizeof(id));

	assert_int_equal(err, want ? 0 : -ENOENT);
	assert_string_equal(id, want ? want : "");
}

static void test_names_of_containers(void **state)
{
	(void)state;
	assert_id(ID_A, ID_A);
	assert_id("docker-" ID_A ".scope", ID_A);
	assert_id("libpod-" ID_A ".scope", ID_A);
	assert_id("libpod-" ID_A, ID_A);
	assert_id("cri-containerd-" ID_A ".scope", ID_A);
	assert_id("crio-" ID_A ".scope", ID_A);
	assert_id("nerdctl-" ID_A ".scope", ID_A);
	assert_id("kubepods-burstable-pod1.slice:cri-containerd:" ID_A, ID_A);
	assert_id("lxc.payload.web", "web");
	assert_id("machine-web.scope", "web");
	/* process managers name cgroups with a UUID without dashes */
	assert_id("0f774b2988a5a2482fcc2b39fbe9fddf", "0f774b2988a5a2482fcc2b39fbe9fddf");
}

static void test_names_that_are_none(void **state)
{
	(void)state;
	assert_id("nginx.service", NULL);
	assert_id("session-1.scope", NULL);
	assert_id("libpod-conmon-" ID_A ".scope", NULL);
	assert_id("crio-conmon-" ID_A ".scope", NULL);
	assert_id("deadbeef", NULL); /* too short to be meant as an id */
	assert_id(ID_A "x", NULL);
	assert_id("docker-.scope", NULL);
	assert_id("", NULL);
}

static void test_a_name_that_is_too_long(void **state)
{
	char id[16];

	(void)state;
	assert_int_equal(scope__container_id("docker-" ID_A ".scope", id, sizeof(id)), -ENOENT);
}

/* --- finding --- */

static int find(struct scope *scope, const char *id, char others[256])
{
	return scope__find_container_below(scope, root, id, others, 256);
}

static void assert_found(const char *id, const char *path)
{
	struct scope scope;
	char others[256], want[512];

	assert_int_equal(find(&scope, id, others), 0);
	snprintf(want, sizeof(want), "%s/%s", root, path);
	assert_string_equal(scope.path, want);
}

static void test_a_container_by_its_prefix(void **state)
{
	(void)state;
	assert_found("01234", "docker/" ID_A);
	assert_found(ID_A, "docker/" ID_A);
	assert_found("0123f", "kubepods.slice/cri-containerd-" ID_B ".scope");
	/* the container, neither its monitor nor its inner cgroup */
	assert_found("fedc", "machine.slice/libpod-" ID_C ".scope");
}

static void test_an_ambiguous_prefix_names_the_candidates(void **state)
{
	struct scope scope;
	char others[256];

	(void)state;
	assert_int_equal(find(&scope, "0123", others), -ENOTUNIQ);
	assert_non_null(strstr(others, "0123456789ab"));
	assert_non_null(strstr(others, "0123ffff89ab"));
	assert_string_equal(scope.path, "");
}

static void test_no_such_container(void **state)
{
	struct scope scope;
	char others[256];

	(void)state;
	assert_int_equal(find(&scope, "77", others), -ENOENT);
	assert_int_equal(find(&scope, ID_A "0", others), -ENOENT);
	assert_string_equal(scope.path, "");
}

static void test_a_cgroup_by_its_directory(void **state)
{
	struct scope scope;
	char path[512];

	(void)state;
	snprintf(path, sizeof(path), "%s/docker", root);
	assert_int_equal(scope__find_cgroup(&scope, path), 0);
	assert_string_equal(scope.path, path);
}

/* --- processes --- */

struct seen {
	uint32_t pids[16];
	size_t nr;
	size_t end_at; /* 0: never */
};

static int note(void *context, uint32_t pid)
{
	struct seen *seen = context;

	assert_true(seen->nr < 16);
	seen->pids[seen->nr++] = pid;
	return seen->nr == seen->end_at ? -ECANCELED : 0;
}

static int by_value(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void test_processes_of_a_cgroup_and_below(void **state)
{
	static const uint32_t want[] = { 11, 12, 13, 14 };
	struct scope scope = { "" };
	struct seen seen = { .nr = 0 };

	(void)state;
	snprintf(scope.path, sizeof(scope.path), "%s/docker", root);
	assert_int_equal(scope__each_pid(&scope, note, &seen), 0);
	assert_int_equal(seen.nr, 4); /* the 0, of another namespace, is not among them */
	qsort(seen.pids, seen.nr, sizeof(seen.pids[0]), by_value);
	assert_memory_equal(seen.pids, want, sizeof(want));
}

static void test_the_caller_may_end_it(void **state)
{
	struct scope scope = { "" };
	struct seen seen = { .end_at = 2 };

	(void)state;
	snprintf(scope.path, sizeof(scope.path), "%s/docker", root);
	assert_int_equal(scope__each_pid(&scope, note, &seen), -ECANCELED);
	assert_int_equal(seen.nr, 2);
}

static void test_empty_and_gone(void **state)
{
	struct scope scope = { "" };
	struct seen seen = { .nr = 0 };

	(void)state;
	snprintf(scope.path, sizeof(scope.path), "%s/empty", root);
	assert_int_equal(scope__each_pid(&scope, note, &seen), 0);
	snprintf(scope.path, sizeof(scope.path), "%s/gone", root);
	assert_int_equal(scope__each_pid(&scope, note, &seen), 0);
	assert_int_equal(seen.nr, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_of_containers),
		cmocka_unit_test(test_names_that_are_none),
		cmocka_unit_test(test_a_name_that_is_too_long),
		cmocka_unit_test(test_a_container_by_its_prefix),
		cmocka_unit_test(test_an_ambiguous_prefix_names_the_candidates),
		cmocka_unit_test(test_no_such_container),
		cmocka_unit_test(test_a_cgroup_by_its_directory),
		cmocka_unit_test(test_processes_of_a_cgroup_and_below),
		cmocka_unit_test(test_the_caller_may_end_it),
		cmocka_unit_test(test_empty_and_gone),
	};

	return cmocka_run_group_tests_name("scope", tests, set_up, tear_down);
}
