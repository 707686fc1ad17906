// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/*
 * One thread state at a time, and how long each thread really was in it.
 *
 *   states [--early] [--dir DIR] NAME      (states --list names them)
 *
 * stdout: {"type":"ready",...}; a line on stdin starts the script; then {"type":"truth",...} with
 * one entry per thread; then end of file on stdin ends the program. Clients, upstreams and whoever
 * sends signals are processes of their own, so that the target's threads are only the ones listed
 * and the main thread.
 *
 * Without --early the threads are born after the start, so that their whole life is known. With it
 * they exist before, blocked in a pipe read, and that stretch is in their "other": their life begins
 * with it, for what came before nobody can have watched, the wait for their first CPU among it.
 *
 * What a blocking call took is its wall time less the CPU time used and the time spent runnable in
 * it; the kernel's schedstat knows the latter. "cpu" is the rest of the thread's wall time: a
 * thread's CPU clock leaves out what the hypervisor and interrupts took, the scheduler's switches
 * don't.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "loopback.h"
#include "states_others.h"
#include "workload.h"

#define MS 1000000ull
#define SEND_BYTES (2u << 20)

enum state { CPU, RUNQ, LOCK, WAIT, DISK, NET, IDLE, SLEEP, OTHER, NR_STATES };
static const char *const state_names[] = { "cpu", "runq", "lock",  "wait", "disk",
					   "net", "idle", "sleep", "other" };

struct self {
	const char *name;
	void (*script)(struct self *self);
	pthread_t thread;
	pid_t tid;
	uint64_t start_ns, birth_delay_ns, wall_ns, cpu_clock_ns, delay_ns, state_ns[NR_STATES];
	uint64_t unwatched_delay_ns; /* --early: until it slept at the gate */
	uint64_t sleeps_before_gate;
	volatile bool is_at_gate;
	uint64_t taken_off_ns[NR_STATES]; /* run delay of the calls that count as a state */
};

static bool early;
static const char *data_dir;
static int gate[2];
static uint64_t epoch_ns;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_mutex_t cond_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static unsigned tickets;
static sem_t semaphore;

/* ---- measuring ---- */

static void charge(struct self *self, struct span begin, struct span end, enum state state)
{
	uint64_t wall = end.after_ns - begin.after_ns,
		 used = end.cpu_ns - begin.cpu_ns + end.delay_ns - begin.delay_ns;

	if (wall > used)
		self->state_ns[state] += wall - used;
	self->taken_off_ns[state] += end.delay_ns - begin.delay_ns;
}

static void span_end(struct self *self, struct span begin, enum state state)
{
	charge(self, begin, snapshot(), state);
}

static void pause_until(struct self *self, uint64_t at_ns)
{
	struct span span = snapshot();

	sleep_until(at_ns);
	span_end(self, span, SLEEP);
}

static void begin_life(struct self *self)
{
	struct span span;
	char byte;

	prctl(PR_SET_NAME, self->name);
	prctl(PR_SET_TIMERSLACK, 1);
	self->tid = syscall(SYS_gettid);
	self->start_ns = now_ns();
	self->birth_delay_ns = run_delay_ns();
	if (!early)
		return;
	span = snapshot();
	self->start_ns = span.after_ns;
	self->birth_delay_ns = span.delay_ns;
	self->sleeps_before_gate = span.sleeps;
	self->is_at_gate = true;
	if (read(gate[0], &byte, 1) != 1)
		die("gate");
	span_end(self, span, OTHER);
}

/* A thread that says that it goes to sleep may wait for its CPU before it does. */
static void await_sleep_at_gate(struct self *self)
{
	while (!self->is_at_gate || sleeps_of(self->tid) <= self->sleeps_before_gate)
		usleep(1000);
	self->unwatched_delay_ns = run_delay_of(self->tid);
}

static void end_life(struct self *self)
{
	uint64_t blocked = 0, rest;
	unsigned i;

	/* A thread waits for its first CPU before it can read a clock. */
	self->wall_ns = now_ns() - self->start_ns + self->birth_delay_ns - self->unwatched_delay_ns;
	self->cpu_clock_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	self->delay_ns = run_delay_ns() - self->unwatched_delay_ns;
	for (i = LOCK; i < NR_STATES; i++)
		blocked += self->state_ns[i];
	rest = self->wall_ns > blocked ? self->wall_ns - blocked : 0;
	self->state_ns[RUNQ] = self->delay_ns;
	/*
	 * A kernel without schedstat says 0 for every delay: then the CPU clock is the best there
	 * is.
	 */
	if (!self->delay_ns && rest > self->cpu_clock_ns)
		self->state_ns[RUNQ] = rest - self->cpu_clock_ns;
	self->state_ns[CPU] = rest > self->state_ns[RUNQ] ? rest - self->state_ns[RUNQ] : 0;
}

static void *thread_main(void *arg)
{
	struct self *self = arg;

	begin_life(self);
	self->script(self);
	end_life(self);
	return NULL;
}

/* ---- connections ---- */

static int timed_accept(struct self *self)
{
	struct span span = snapshot();
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);

	span_end(self, span, IDLE);
	if (fd < 0)
		die("accept4");
	return fd;
}

static bool timed_read(struct self *self, int fd, enum state state)
{
	struct span span = snapshot();
	char byte;
	ssize_t got = recv(fd, &byte, 1, 0);

	span_end(self, span, state);
	return got == 1;
}

/*
 * Everything that is blocking between take_request() and answer() happens with a request in hand.
 */
static int take_request(struct self *self)
{
	int fd = timed_accept(self);

	if (!timed_read(self, fd, IDLE))
		die("no request");
	return fd;
}

static void answer(int fd)
{
	put_byte(fd);
	close(fd);
}

/* ---- the scripts of the target's threads ---- */

static void spin(struct self *self)
{
	(void)self;
	while (now_ns() < epoch_ns + 600 * MS)
		;
}

static void spin_on_one_cpu(struct self *self)
{
	cpu_set_t allowed, one;
	int cpu = 0;

	(void)self;
	sched_getaffinity(0, sizeof(allowed), &allowed);
	while (!CPU_ISSET(cpu, &allowed))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (pthread_setaffinity_np(pthread_self(), sizeof(one), &one))
		die("pthread_setaffinity_np");
	while (now_ns() < epoch_ns + 800 * MS)
		;
}

static uint64_t round_ns(unsigned i, unsigned ms)
{
	return epoch_ns + (10 + i * ROUND_MS + ms) * MS;
}

static void lock_holder(struct self *self)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		pause_until(self, round_ns(i, 0));
		pthread_mutex_lock(&mutex);
		pause_until(self, round_ns(i, 25));
		pthread_mutex_unlock(&mutex);
	}
}

static void lock_waiter(struct self *self)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct span span;

		pause_until(self, round_ns(i, 5));
		span = snapshot();
		pthread_mutex_lock(&mutex);
		span_end(self, span, LOCK);
		pthread_mutex_unlock(&mutex);
	}
}

static void rwlock_holder(struct self *self)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		pause_until(self, round_ns(i, 0));
		pthread_rwlock_wrlock(&rwlock);
		pause_until(self, round_ns(i, 25));
		pthread_rwlock_unlock(&rwlock);
	}
}

static void rwlock_waiter(struct self *self)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct span span;

		pause_until(self, round_ns(i, 5));
		span = snapshot();
		if (i % 2)
			pthread_rwlock_rdlock(&rwlock);
		else
			pthread_rwlock_wrlock(&rwlock);
		span_end(self, span, LOCK);
		pthread_rwlock_unlock(&rwlock);
	}
}

static void take_ticket(struct self *self, enum state state)
{
	struct span span = snapshot();

	pthread_mutex_lock(&cond_mutex);
	while (!tickets)
		pthread_cond_wait(&cond, &cond_mutex);
	tickets--;
	pthread_mutex_unlock(&cond_mutex);
	span_end(self, span, state);
}

static void give_ticket(void)
{
	pthread_mutex_lock(&cond_mutex);
	tickets++;
	pthread_mutex_unlock(&cond_mutex);
	/* After the unlock: the woken thread must not find the mutex taken and wait for a lock. */
	pthread_cond_signal(&cond);
}

static void ticket_giver(struct self *self)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		pause_until(self, round_ns(i, ROUND_MS));
		give_ticket();
	}
}

static void ticket_taker_idle(struct self *self)
{
	for (unsigned i = 0; i < ROUNDS; i++)
		take_ticket(self, IDLE);
}

static void ticket_taker_serving(struct self *self)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		int fd = take_request(self);

		take_ticket(self, WAIT);
		answer(fd);
	}
}

static void poster(struct self *self)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		pause_until(self, round_ns(i, ROUND_MS));
		sem_post(&semaphore);
	}
}

static void semaphore_taker_serving(struct self *self)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		int fd = take_request(self);
		struct span span = snapshot();

		sem_wait(&semaphore);
		span_end(self, span, WAIT);
		answer(fd);
	}
}

static int open_data(void)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/threadprof-states.XXXXXX", data_dir);
	fd = mkostemp(path, O_DIRECT | O_CLOEXEC);
	if (fd < 0)
		die("O_DIRECT file in %s", data_dir);
	unlink(path);
	return fd;
}

static void write_and_read(struct self *self)
{
	uint64_t end_ns = now_ns() + 6000 * MS;
	size_t size = 1 << 20;
	int fd = open_data();
	char *data = NULL;

	if (posix_memalign((void **)&data, 4096, size))
		die("posix_memalign");
	memset(data, 'x', size);
	while (self->state_ns[DISK] < 300 * MS && now_ns() < end_ns) {
		struct span span = snapshot();

		if (pwrite(fd, data, size, 0) != (ssize_t)size || fdatasync(fd))
			die("write or fdatasync");
		if (pread(fd, data, size, 0) != (ssize_t)size)
			die("direct read");
		span_end(self, span, DISK);
	}
	close(fd);
	free(data);
}

static void send_to_slow_reader(struct self *self)
{
	int size = 65536;
	char *data = calloc(1, SEND_BYTES);

	if (!data)
		die("calloc");
	for (unsigned i = 0; i < SEND_REQUESTS; i++) {
		int fd = take_request(self);
		struct span span;

		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
		span = snapshot();
		if (send(fd, data, SEND_BYTES, MSG_NOSIGNAL) != SEND_BYTES)
			die("send");
		span_end(self, span, NET);
		close(fd);
	}
	free(data);
}

static void read_from_upstream(struct self *self)
{
	int upstream = connect_to(&upstream_addr);

	for (unsigned i = 0; i < ROUNDS; i++) {
		int fd = take_request(self);

		put_byte(upstream);
		if (!timed_read(self, upstream, NET))
			die("upstream");
		answer(fd);
	}
	close(upstream);
}

static void poll_upstream(struct self *self)
{
	int upstream = connect_to(&upstream_addr);

	for (unsigned i = 0; i < ROUNDS; i++) {
		int fd = take_request(self);
		struct pollfd pollfd = { .fd = upstream, .events = POLLIN };
		struct span span;

		put_byte(upstream);
		span = snapshot();
		if (poll(&pollfd, 1, 5000) != 1)
			die("poll");
		span_end(self, span, NET);
		if (!timed_read(self, upstream, NET))
			die("upstream");
		answer(fd);
	}
	close(upstream);
}

static void epoll_loop(struct self *self)
{
	struct epoll_event event = { .events = EPOLLIN };
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	unsigned served = 0;

	if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &event))
		die("epoll");
	while (served < ROUNDS) {
		struct span span = snapshot();
		int got = epoll_wait(epoll_fd, &event, 1, 17);

		span_end(self, span, IDLE);
		if (got < 1)
			continue;
		answer(take_request(self));
		served++;
	}
	close(epoll_fd);
}

/*
 * All on one keep-alive connection: the wait for its first byte, and the waits between its
 * requests.
 */
static void read_next_request(struct self *self)
{
	int fd = timed_accept(self);

	while (timed_read(self, fd, IDLE))
		put_byte(fd);
	close(fd);
}

static void sleep_only(struct self *self)
{
	for (unsigned i = 0; i < ROUNDS; i++)
		pause_until(self, round_ns(i, ROUND_MS));
}

static void read_pipe(struct self *self)
{
	int fds[2];
	pid_t pid;

	/*
	 * A child that only writes: a thread of ours that did it would be one more to account for.
	 */
	if (pipe2(fds, O_CLOEXEC) || (pid = fork()) < 0)
		die("fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (unsigned i = 0; i < ROUNDS; i++) {
			sleep_ms(ROUND_MS);
			if (write(fds[1], "x", 1) != 1)
				break;
		}
		_exit(0);
	}
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct span span = snapshot();
		char byte;

		if (read(fds[0], &byte, 1) != 1)
			die("pipe");
		span_end(self, span, OTHER);
	}
	close(fds[0]);
	close(fds[1]);
}

/*
 * A spinner finds itself stopped as a hole in its own clock that neither its CPU clock nor the run
 * queue explains. Each stretch starts where the last one ended: a stop between two stretches would
 * be missed.
 */
static void spin_while_stopped(struct self *self)
{
	struct span last = snapshot(), next;

	while (last.after_ns < epoch_ns + 900 * MS) {
		next = snapshot();
		if (next.after_ns - last.after_ns >= 2 * MS)
			charge(self, last, next, OTHER);
		last = next;
	}
}

/* ---- which is which ---- */

struct workload {
	const char *name;
	struct self threads[2];
	void (*client)(void);
	bool upstream;
};

#define THREAD(thread_name, thread_script)                   \
	{                                                    \
		.name = thread_name, .script = thread_script \
	}
#define ONE(name, script)            \
	{                            \
		THREAD(name, script) \
	}
#define TWO(name, script, name2, script2)                    \
	{                                                    \
		THREAD(name, script), THREAD(name2, script2) \
	}

static struct workload workloads[] = {
	{ "cpu", ONE("spinner", spin), NULL, false },
	{ "runq", TWO("spinner-a", spin_on_one_cpu, "spinner-b", spin_on_one_cpu), NULL, false },
	{ "lock", TWO("holder", lock_holder, "waiter", lock_waiter), NULL, false },
	{ "rwlock", TWO("holder", rwlock_holder, "waiter", rwlock_waiter), NULL, false },
	{ "cond-idle", TWO("taker", ticket_taker_idle, "giver", ticket_giver), NULL, false },
	{ "cond-serving", TWO("taker", ticket_taker_serving, "giver", ticket_giver),
	  clients_in_a_row, false },
	{ "sem-serving", TWO("taker", semaphore_taker_serving, "poster", poster), clients_in_a_row,
	  false },
	{ "disk", ONE("disk", write_and_read), NULL, false },
	{ "net-send", ONE("sender", send_to_slow_reader), clients_that_read_slowly, false },
	{ "net-read", ONE("reader", read_from_upstream), clients_in_a_row, true },
	{ "net-poll", ONE("poller", poll_upstream), clients_in_a_row, true },
	{ "epoll", ONE("loop", epoll_loop), clients_now_and_then, false },
	{ "read-idle", ONE("reader", read_next_request), client_that_thinks, false },
	{ "sleep", ONE("sleeper", sleep_only), NULL, false },
	{ "pipe", ONE("reader", read_pipe), NULL, false },
	{ "stop", ONE("stopped", spin_while_stopped), stop_and_go, false },
};
#define NR_WORKLOADS (sizeof(workloads) / sizeof(workloads[0]))

static void start_thread(struct self *self)
{
	if (self->script && pthread_create(&self->thread, NULL, thread_main, self))
		die("pthread_create");
}

static void run_workload(struct workload *w, const int *helpers)
{
	unsigned i;

	for (i = 0; early && i < 2; i++)
		start_thread(&w->threads[i]);
	for (i = 0; early && i < 2; i++)
		if (w->threads[i].script)
			await_sleep_at_gate(&w->threads[i]);
	say_ready_at(&server_addr);
	await_start();
	epoch_ns = now_ns();
	for (i = 0; i < 2; i++)
		if (helpers[i] >= 0 && write(helpers[i], "g", 1) != 1)
			die("helper");
	for (i = 0; !early && i < 2; i++)
		start_thread(&w->threads[i]);
	if (early && write(gate[1], "gg", 2) != 2)
		die("gate");
	for (i = 0; i < 2; i++)
		if (w->threads[i].script)
			pthread_join(w->threads[i].thread, NULL);
}

static void print_thread(const struct self *self)
{
	unsigned i;

	printf("{\"tid\":%d,\"name\":\"%s\",\"wall_ns\":%llu,\"cpu_clock_ns\":%llu,"
	       "\"run_delay_ns\":%llu,\"state_ns\":{",
	       self->tid, self->name, (unsigned long long)self->wall_ns,
	       (unsigned long long)self->cpu_clock_ns, (unsigned long long)self->delay_ns);
	for (i = 0; i < NR_STATES; i++)
		printf("%s\"%s\":%llu", i ? "," : "", state_names[i],
		       (unsigned long long)self->state_ns[i]);
	printf("},\"taken_off_ns\":{");
	for (i = 0; i < NR_STATES; i++)
		printf("%s\"%s\":%llu", i ? "," : "", state_names[i],
		       (unsigned long long)self->taken_off_ns[i]);
	printf("}}");
}

static void print_truth(const struct workload *w)
{
	printf("{\"type\":\"truth\",\"workload\":\"%s\",\"threads\":[", w->name);
	print_thread(&w->threads[0]);
	if (w->threads[1].script) {
		printf(",");
		print_thread(&w->threads[1]);
	}
	printf("]}\n");
	fflush(stdout);
}

static struct workload *find_workload(const char *name)
{
	for (unsigned i = 0; i < NR_WORKLOADS; i++)
		if (!strcmp(workloads[i].name, name))
			return &workloads[i];
	fprintf(stderr, "states: no workload '%s'\n", name);
	exit(2);
}

static struct workload *parse_arguments(int argc, char **argv)
{
	struct workload *w = NULL;

	data_dir = getenv("TMPDIR") ? getenv("TMPDIR") : "/var/tmp";
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--early")) {
			early = true;
		} else if (!strcmp(argv[i], "--dir") && i + 1 < argc) {
			data_dir = argv[++i];
		} else if (!strcmp(argv[i], "--list")) {
			for (unsigned k = 0; k < NR_WORKLOADS; k++)
				printf("%s\n", workloads[k].name);
			exit(0);
		} else {
			w = find_workload(argv[i]);
		}
	}
	if (!w) {
		fprintf(stderr, "usage: states [--early] [--dir DIR] NAME | --list\n");
		exit(2);
	}
	return w;
}

int main(int argc, char **argv)
{
	struct workload *w = parse_arguments(argc, argv);
	int helpers[2] = { -1, -1 };

	signal(SIGPIPE, SIG_IGN);
	sem_init(&semaphore, 0, 0);
	listen_fd = listen_on_loopback(&server_addr, 16);
	upstream_fd = listen_on_loopback(&upstream_addr, 16);
	if (pipe2(gate, O_CLOEXEC))
		die("pipe2");
	if (w->upstream)
		helpers[0] = fork_helper(upstream_main, "upstream");
	if (w->client)
		helpers[1] = fork_helper(w->client, "client");
	run_workload(w, helpers);
	print_truth(w);
	await_end_of_input();
	return 0;
}
