// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "target.h"

/* --- what the parser says --- */

static char said[4096]; /* on stderr, during the last parse() */

static int parse(struct targets *targets, const char *arg)
{
	FILE *file = tmpfile();
	int saved = dup(STDERR_FILENO), result;
	ssize_t length;

	assert_non_null(file);
	dup2(fileno(file), STDERR_FILENO);
	result = targets__parse(targets, arg);
	length = pread(STDERR_FILENO, said, sizeof(said) - 1, 0);
	said[length > 0 ? length : 0] = '\0';
	dup2(saved, STDERR_FILENO);
	close(saved);
	fclose(file);
	return result;
}

static int parse_pid(struct targets *targets, pid_t pid)
{
	char arg[32];

	snprintf(arg, sizeof(arg), "%d", pid);
	return parse(targets, arg);
}

static void assert_said(const char *word)
{
	if (!strstr(said, word))
		fail_msg("'%s' does not say '%s'", said, word);
}

/* --- processes to look at --- */

struct child {
	pid_t pid;
	pid_t other; /* a thread or a child of it; 0: none */
};

struct ready {
	int fd;
	bool leader_ends;
};

static void say_ready(int fd, pid_t other)
{
	if (write(fd, &other, sizeof(other)) != sizeof(other))
		_exit(1);
}

static bool leader_has_ended(void)
{
	char path[64], state = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", getpid());
	file = fopen(path, "r");
	if (file) {
		if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
			state = 0;
		fclose(file);
	}
	return state == 'Z';
}

static void *run_thread(void *context)
{
	const struct ready *ready = context;

	while (ready->leader_ends && !leader_has_ended())
		usleep(1000);
	say_ready(ready->fd, syscall(SYS_gettid));
	for (;;)
		pause();
	return NULL;
}

static void be_plain(int fd)
{
	say_ready(fd, 0);
}

static void be_ended(int fd)
{
	say_ready(fd, 0);
	_exit(0);
}

static void be_threaded(int fd)
{
	static struct ready ready;
	pthread_t thread;

	ready = (struct ready){ .fd = fd };
	if (pthread_create(&thread, NULL, run_thread, &ready))
		_exit(1);
}

static void be_without_its_first_thread(int fd)
{
	static struct ready ready;
	pthread_t thread;

	ready = (struct ready){ .fd = fd, .leader_ends = true };
	if (pthread_create(&thread, NULL, run_thread, &ready))
		_exit(1);
	syscall(SYS_exit, 0);
}

static void be_parent(int fd)
{
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		say_ready(fd, getpid());
	}
}

static void be_parent_of_a_zombie(int fd)
{
	pid_t pid = fork();
	siginfo_t info;

	if (!pid)
		_exit(0);
	/* until it has ended, and without taking it away */
	waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
	say_ready(fd, pid);
}

static const char *child_name;

static void be_named(int fd)
{
	prctl(PR_SET_NAME, child_name);
	say_ready(fd, 0);
}

/* Forks a process that does what @be does, and waits until it has. */
static struct child start(void (*be)(int fd))
{
	struct child child = { 0 };
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	child.pid = fork();
	assert_true(child.pid >= 0);
	if (!child.pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(fds[0]);
		be(fds[1]);
		for (;;)
			pause();
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], &child.other, sizeof(child.other)), sizeof(child.other));
	close(fds[0]);
	return child;
}

static void end(struct child child)
{
	kill(child.pid, SIGKILL);
	assert_int_equal(waitpid(child.pid, NULL, 0), child.pid);
}

/* Ends it, but leaves the zombie. */
static void end_unseen(struct child child)
{
	siginfo_t info;

	kill(child.pid, SIGKILL);
	assert_int_equal(waitid(P_PID, child.pid, &info, WEXITED | WNOWAIT), 0);
}

static size_t nr_open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t count = 0;

	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

/* --- parsing --- */

static void test_not_a_number(void **state)
{
	static const char *const args[] = {
		"", "x", "1x", "x1", "-1", "+1", " 1", "1 ", "0", "00", "0x1", "1.0", "1e3", ",", "1;2", "4194305",
		"99999999999999999999", "18446744073709551617", "nginx", "$(pidof x)",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(args) / sizeof(args[0]); i++) {
		struct targets targets = { 0 };

		if (parse(&targets, args[i]) != -EINVAL)
			fail_msg("'%s' was taken for a process id", args[i]);
		assert_said("is not a process id");
		assert_int_equal(targets.nr, 0);
		targets__free(&targets);
	}
}

static void test_lists_with_holes(void **state)
{
	const struct child child = start(be_plain);
	static const char *const forms[] = { "%d,", ",%d", "%d,,%d", "%d, %d", "%d,x" };

	(void)state;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct targets targets = { 0 };
		char arg[64];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(arg, sizeof(arg), forms[i], child.pid, child.pid);
#pragma GCC diagnostic pop
		assert_int_equal(parse(&targets, arg), -EINVAL);
		targets__free(&targets);
	}
	end(child);
}

static void test_no_such_process(void **state)
{
	struct child child = start(be_plain);
	struct targets targets = { 0 };

	(void)state;
	end(child);
	assert_int_equal(parse_pid(&targets, child.pid), -ESRCH);
	assert_said("there is no process");
	assert_int_equal(parse(&targets, "4194304"), -ESRCH); /* one more than any can have */
	targets__free(&targets);
}

static void test_a_zombie(void **state)
{
	const struct child child = start(be_ended);
	struct targets targets = { 0 };
	char parent[32];
	siginfo_t info;

	(void)state;
	waitid(P_PID, child.pid, &info, WEXITED | WNOWAIT);
	assert_int_equal(parse_pid(&targets, child.pid), -ESRCH);
	assert_said("zombie");
	snprintf(parent, sizeof(parent), "parent %d", getpid());
	assert_said(parent);
	assert_int_equal(targets.nr, 0);
	targets__free(&targets);
	end(child);
}

static void test_threadprof_itself(void **state)
{
	struct targets targets = { 0 };

	(void)state;
	assert_int_equal(parse_pid(&targets, getpid()), -EPERM);
	assert_said("threadprof itself");
	targets__free(&targets);
}

static void test_a_kernel_thread(void **state)
{
	struct targets targets = { 0 };
	char exe[64];

	(void)state;
	/* kthreadd is 2 unless this is a container, where there is none */
	if (access("/proc/2/stat", R_OK) || readlink("/proc/2/exe", exe, sizeof(exe)) >= 0 || errno != ENOENT)
		skip();
	assert_int_equal(parse(&targets, "2"), -EPERM);
	assert_said("kernel thread");
	targets__free(&targets);
}

static void test_a_thread_stands_for_its_process(void **state)
{
	const struct child child = start(be_threaded);
	struct targets targets = { 0 };
	char both[64];

	(void)state;
	assert_true(child.other != child.pid);
	assert_int_equal(parse_pid(&targets, child.other), 0);
	snprintf(both, sizeof(both), "%d is a thread of process %d", child.other, child.pid);
	assert_said(both);
	assert_int_equal(targets.nr, 1);
	assert_int_equal(targets.list[0].tgid, child.pid);
	targets__free(&targets);
	end(child);
}

/* A first thread that has ended is a zombie, and its process lives on. */
static void test_a_process_without_its_first_thread(void **state)
{
	const struct child child = start(be_without_its_first_thread);
	struct targets targets = { 0 };

	(void)state;
	assert_int_equal(parse_pid(&targets, child.pid), 0);
	assert_int_equal(targets.nr_alive, 1);
	targets__check(&targets);
	assert_int_equal(targets.nr_alive, 1);
	end(child);
	targets__check(&targets);
	assert_int_equal(targets.nr_alive, 0);
	targets__free(&targets);
}

static void test_several_and_the_same_twice(void **state)
{
	const struct child a = start(be_plain), b = start(be_plain);
	const size_t fds = nr_open_fds();
	struct targets targets = { 0 };
	char arg[64];

	(void)state;
	snprintf(arg, sizeof(arg), "%d,%d,%d", a.pid, b.pid, a.pid);
	assert_int_equal(parse(&targets, arg), 0);
	assert_int_equal(targets.nr, 2);
	assert_int_equal(targets.nr_alive, 2);
	assert_int_equal(targets.list[0].tgid, a.pid);
	assert_int_equal(targets.list[1].tgid, b.pid);
	assert_true(targets.list[0].pidfd >= 0);
	assert_string_equal(said, "");
	assert_int_equal(nr_open_fds(), fds + 2);
	targets__free(&targets);
	assert_int_equal(nr_open_fds(), fds);
	end(a);
	end(b);
}

/* Whoever gives a process its name must not be able to hide it, nor to write to our terminal. */
static void test_names_that_look_like_something_else(void **state)
{
	static const char *const names[] = {
		"a b", ") Z 1 (", "a) S 7", "((((", "))))", "new\nline", "\n", "\033[31mred\a", "\xff\xfe", " ", "",
		"%s%n", "0123456789abcde",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct targets targets = { 0 };
		struct child child;
		int result;

		child_name = names[i];
		child = start(be_named);
		result = parse_pid(&targets, child.pid);
		if (result)
			fail_msg("name %zu: %d, %s", i, result, said);
		assert_string_equal(targets.list[0].comm, names[i]);
		targets__check(&targets);
		assert_int_equal(targets.nr_alive, 1);
		end_unseen(child);
		assert_int_equal(parse_pid(&(struct targets){ 0 }, child.pid), -ESRCH);
		assert_said("zombie");
		assert_null(strchr(said, '\033'));
		assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
		end(child);
		targets__free(&targets);
	}
}

/* --- descendants, ends --- */

static void test_descendants(void **state)
{
	const struct child child = start(be_parent);
	struct targets targets = { 0 };

	(void)state;
	assert_int_equal(target__nr_children(child.pid), 1);
	assert_int_equal(parse_pid(&targets, child.pid), 0);
	assert_int_equal(targets__add_descendants(&targets), 0);
	assert_int_equal(targets.nr, 2);
	assert_non_null(targets__find(&targets, child.other));
	assert_int_equal(targets__find(&targets, child.other)->pidfd, -1);
	/* once more changes nothing */
	assert_int_equal(targets__add_descendants(&targets), 0);
	assert_int_equal(targets.nr, 2);
	assert_int_equal(target__nr_children(child.other), 0);
	targets__free(&targets);
	end(child);
}

static void test_generations(void **state)
{
	const struct child child = start(be_parent);
	struct targets targets = { 0 };

	(void)state;
	/* this process → child → its child */
	assert_int_equal(targets__add(&targets, getpid(), "test", -1), 0);
	assert_int_equal(targets__add_descendants(&targets), 0);
	assert_non_null(targets__find(&targets, child.pid));
	assert_non_null(targets__find(&targets, child.other));
	targets__free(&targets);
	end(child);
}

static void test_a_child_that_has_ended_is_none(void **state)
{
	const struct child child = start(be_parent_of_a_zombie);
	struct targets targets = { 0 };

	(void)state;
	assert_int_equal(target__nr_children(child.pid), 0);
	assert_int_equal(parse_pid(&targets, child.pid), 0);
	assert_int_equal(targets__add_descendants(&targets), 0);
	assert_int_equal(targets.nr, 1);
	targets__free(&targets);
	end(child);
}

static void test_ends(void **state)
{
	const struct child a = start(be_plain), b = start(be_plain);
	struct targets targets = { 0 };
	char arg[64];

	(void)state;
	snprintf(arg, sizeof(arg), "%d,%d", a.pid, b.pid);
	assert_int_equal(parse(&targets, arg), 0);
	targets__check(&targets);
	assert_int_equal(targets.nr_alive, 2);
	end_unseen(a);
	targets__check(&targets);
	assert_int_equal(targets.nr_alive, 1);
	assert_false(targets__find(&targets, a.pid)->alive);
	assert_int_equal(targets__find(&targets, a.pid)->pidfd, -1);
	end(a);
	/* told again, or of a stranger */
	targets__end(&targets, a.pid);
	targets__end(&targets, getpid());
	assert_int_equal(targets.nr_alive, 1);
	targets__forget_ended(&targets);
	assert_int_equal(targets.nr, 1);
	assert_int_equal(targets.list[0].tgid, b.pid);
	targets__end(&targets, b.pid);
	assert_int_equal(targets.nr_alive, 0);
	targets__free(&targets);
	end(b);
}

static void test_a_pid_that_is_used_again(void **state)
{
	struct targets targets = { 0 };

	(void)state;
	assert_int_equal(targets__add(&targets, 77, "old", -1), 0);
	targets__end(&targets, 77);
	assert_int_equal(targets__add(&targets, 77, "new", -1), 0);
	assert_int_equal(targets.nr, 1);
	assert_int_equal(targets.nr_alive, 1);
	assert_string_equal(targets.list[0].comm, "new");
	targets__free(&targets);
	assert_int_equal(targets.nr, 0);
}

/* A server that forks for each request. */
static void test_many_come_and_go(void **state)
{
	struct targets targets = { 0 };

	(void)state;
	for (uint32_t i = 1; i <= 10000; i++) {
		assert_int_equal(targets__add(&targets, i, "a-name-that-is-too-long", -1), 0);
		targets__end(&targets, i);
		if (i % 100 == 0)
			targets__forget_ended(&targets);
	}
	assert_int_equal(targets.nr, 0);
	assert_int_equal(targets.nr_alive, 0);
	assert_true(targets.capacity < 1000);
	targets__free(&targets);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_not_a_number),
		cmocka_unit_test(test_lists_with_holes),
		cmocka_unit_test(test_no_such_process),
		cmocka_unit_test(test_a_zombie),
		cmocka_unit_test(test_threadprof_itself),
		cmocka_unit_test(test_a_kernel_thread),
		cmocka_unit_test(test_a_thread_stands_for_its_process),
		cmocka_unit_test(test_a_process_without_its_first_thread),
		cmocka_unit_test(test_several_and_the_same_twice),
		cmocka_unit_test(test_names_that_look_like_something_else),
		cmocka_unit_test(test_descendants),
		cmocka_unit_test(test_generations),
		cmocka_unit_test(test_a_child_that_has_ended_is_none),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_a_pid_that_is_used_again),
		cmocka_unit_test(test_many_come_and_go),
	};

	return cmocka_run_group_tests_name("target", tests, NULL, NULL);
}
