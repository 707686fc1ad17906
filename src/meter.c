// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "meter.h"

#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "array.h"
#include "clock.h"
#include "report.h"
#include "rights.h"

/* A window lasts at least so long; one that the interval's end cuts too short tells nothing. */
#define WINDOW_NS (NS_PER_SEC / 25)
#define MIN_WINDOW_NS (NS_PER_SEC / 200)
#define CALIBRATION_RUNS 2000
#define CALIBRATION_ROUNDS 3

/* As the kernel counts them, since they were loaded. */
struct runs {
	uint64_t ns;
	uint64_t count;
};

struct meter {
	int *fds;
	size_t nr;
	size_t capacity;
	int error;
	int switch_fd; /* to the process that switches statistics */
	pid_t switch_pid;
	bool is_open; /* a window is */
	double run_ns; /* what the statistics see of an empty run */
	uint64_t opened_ns;
	struct runs at_open;
	uint64_t sampled_ns; /* length of this interval's windows, and the time of the programs in them */
	double used_ns;
	double ratio;
};

static struct runs runs_of(int fd)
{
	struct bpf_prog_info info = { 0 };
	__u32 size = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &size))
		return (struct runs){ 0 };
	return (struct runs){ .ns = info.run_time_ns, .count = info.run_cnt };
}

static struct runs runs_of_all(const struct meter *meter)
{
	struct runs sum = { 0 };

	for (size_t i = 0; i < meter->nr; i++) {
		struct runs runs = runs_of(meter->fds[i]);

		sum.ns += runs.ns;
		sum.count += runs.count;
	}
	return sum;
}

/* How long an empty program takes by the statistics: the least of a few tries. */
static double calibrate(void)
{
	/* r0 = 0; exit */
	const struct bpf_insn insns[] = { { .code = BPF_ALU64 | BPF_MOV | BPF_K }, { .code = BPF_JMP | BPF_EXIT } };
	char packet[64] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet),
		    .repeat = CALIBRATION_RUNS);
	int fd = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "empty", "Dual BSD/GPL", insns, 2, NULL);
	double least = 0;

	for (int i = 0; i < CALIBRATION_ROUNDS && fd >= 0; i++) {
		struct runs before = runs_of(fd), after;
		double ns;

		if (bpf_prog_test_run_opts(fd, &opts))
			break;
		after = runs_of(fd);
		if (after.count == before.count)
			break;
		ns = (double)(after.ns - before.ns) / (double)(after.count - before.count);
		if (!i || ns < least)
			least = ns;
	}
	if (fd >= 0)
		close(fd);
	return least;
}

/*
 * The one thing that takes CAP_SYS_ADMIN as long as threadprof runs is done by a process of its own, which reads one
 * byte at a time and knows nothing else. Ends with its parent.
 */
__attribute__((noreturn)) static void switch_statistics(int fd)
{
	int stats_fd = -1;
	char wanted;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	rights__drop_all_but(CAP_SYS_ADMIN);
	if (dup2(fd, STDIN_FILENO) < 0 || close_range(STDIN_FILENO + 1, ~0U, 0))
		_exit(1);
	while (read(STDIN_FILENO, &wanted, 1) == 1) {
		if (stats_fd >= 0)
			close(stats_fd);
		stats_fd = wanted ? bpf_enable_stats(BPF_STATS_RUN_TIME) : -1;
		if (write(STDIN_FILENO, &wanted, 1) != 1)
			break;
	}
	_exit(0);
}

static int start_switch(struct meter *meter)
{
	const struct timeval patience = { .tv_sec = 1 };
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
		return -errno;
	meter->switch_pid = fork();
	if (!meter->switch_pid)
		switch_statistics(fds[1]);
	close(fds[1]);
	if (meter->switch_pid < 0) {
		close(fds[0]);
		return -EAGAIN;
	}
	meter->switch_fd = fds[0];
	/* It answers at once, unless somebody has stopped it. */
	setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return 0;
}

static void set_statistics(struct meter *meter, char wanted)
{
	if (write(meter->switch_fd, &wanted, 1) != 1 || read(meter->switch_fd, &wanted, 1) != 1)
		meter->error = -EPIPE;
}

struct meter *meter__new(void)
{
	struct meter *meter = calloc(1, sizeof(*meter));
	int fd;

	if (!meter)
		return NULL;
	meter->switch_fd = -1;
	fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
	if (fd < 0) {
		meter->error = -errno;
		return meter;
	}
	meter->run_ns = calibrate();
	close(fd);
	meter->error = start_switch(meter);
	return meter;
}

void meter__free(struct meter *meter)
{
	if (!meter)
		return;
	if (meter->switch_fd >= 0) {
		close(meter->switch_fd);
		kill(meter->switch_pid, SIGKILL); /* somebody may have stopped it */
		waitpid(meter->switch_pid, NULL, 0);
	}
	free(meter->fds);
	free(meter);
}

int meter__error(const struct meter *meter)
{
	return meter->error;
}

int meter__add(struct meter *meter, int fd)
{
	int *grown = array__grow(meter->fds, meter->nr, &meter->capacity, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	meter->fds = grown;
	grown[meter->nr++] = fd;
	return 0;
}

static void open_window(struct meter *meter, uint64_t now_ns)
{
	meter->at_open = runs_of_all(meter);
	meter->opened_ns = now_ns;
	set_statistics(meter, 1);
	meter->is_open = true;
}

static void close_window(struct meter *meter, uint64_t now_ns)
{
	struct runs now = runs_of_all(meter);
	uint64_t length_ns = now_ns - meter->opened_ns;
	double used_ns = (double)(now.ns - meter->at_open.ns) -
			 meter->run_ns * (double)(now.count - meter->at_open.count);

	set_statistics(meter, 0);
	meter->is_open = false;
	if (length_ns < MIN_WINDOW_NS)
		return;
	if (used_ns < 0)
		used_ns = 0;
	meter->sampled_ns += length_ns;
	meter->used_ns += used_ns;
	meter->ratio = used_ns / (double)length_ns;
}

bool meter__tick(struct meter *meter, uint64_t now_ns, uint64_t period_ns)
{
	if (meter->error) {
		if (now_ns - meter->opened_ns < period_ns)
			return false;
		meter->opened_ns = now_ns;
		return true;
	}
	if (meter->is_open) {
		if (now_ns - meter->opened_ns < WINDOW_NS)
			return false;
		close_window(meter, now_ns);
		return true;
	}
	if (!meter->sampled_ns || now_ns - meter->opened_ns >= period_ns)
		open_window(meter, now_ns);
	return false;
}

double meter__ratio(const struct meter *meter)
{
	return meter->ratio;
}

uint64_t meter__take(struct meter *meter, uint64_t now_ns, uint64_t duration_ns)
{
	uint64_t sampled_ns;
	double used_ns;

	if (meter->is_open)
		close_window(meter, now_ns);
	sampled_ns = meter->sampled_ns;
	used_ns = meter->used_ns;
	meter->sampled_ns = 0;
	meter->used_ns = 0;
	if (!sampled_ns)
		return TP_UNKNOWN;
	return (uint64_t)(used_ns / (double)sampled_ns * (double)duration_ns);
}
