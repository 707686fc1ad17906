// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/*
 * A server that is told, request by request, how long to be in which state, and that measures how
 * long it really was.
 *
 *   breakdown [--mode single|pool|handoff] [--script states|crowd|held|peers|files] [--dir DIR]
 *
 * single: one thread accepts and serves. pool: an acceptor and workers, each of which serves its
 * connection. handoff: a reader reads the requests, one worker serves and answers them.
 *
 * stdout: {"type":"ready",...}; a line on stdin starts the clients; then {"type":"truth",...} with
 * one entry per request; then end of file on stdin ends the program. Clients, upstreams and the
 * competitor for a CPU are processes of their own.
 *
 * A request is a list of steps, "s20" for 20 ms of sleep; run_step() names them all. What a step
 * that blocks took is its wall time less the CPU time used and the time spent runnable in it. "cpu"
 * is what is left of the request: a thread's CPU clock leaves out what the hypervisor took, the
 * scheduler's switches don't.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MS 1000000ull
#define MSG_SIZE 64
#define REPLY_BYTES (1u << 20)
/*
 * Few long waits: the CPU clock stops some microseconds before each switch, while the kernel looks for
 * other work, and of many short waits that would be a share to see.
 */
#define DISK_BYTES (4u << 20)
#define HUGE_PAGE (2u << 20)
#define MAX_CONNS 256
#define MAX_REQUESTS 512
#define NR_WORKERS 3
#define MAX_CLIENTS 4

enum state { CPU, RUNQ, LOCK, WAIT, DISK, NET, IDLE, SLEEP, OTHER, HANDOFF, NR_STATES };
static const char *const state_names[] = { "cpu", "runq", "lock",  "wait",  "disk",
					   "net", "idle", "sleep", "other", "handoff" };

/* Three clocks of one thread at one moment. */
struct span {
	uint64_t at_ns, cpu_ns, delay_ns;
};

struct conn {
	int fd;
	unsigned port, seq;
	struct request *request; /* read, and not yet answered */
};

struct request {
	unsigned port, seq;
	char steps[MSG_SIZE + 1];
	pid_t read_tid, write_tid;
	/* free_ns: for how long of the hand-off the thread that answers was free. */
	uint64_t read_ns, pushed_ns, free_ns, latency_ns, state_ns[NR_STATES];
	/*
	 * How long the first read (from 0 where it waited, and only its end counts) and the last write
	 * took, up to when all clocks were read: a thread that lost its CPU there does not know when the
	 * call was over, or which clock missed what.
	 */
	uint64_t read_took_ns, write_took_ns;
	uint64_t pushed_delay_ns; /* run_delay of the worker when it was woken */
};

/* Where a worker waits for somebody outside: kinds of descriptor, each with its process. */
enum upstream { UP_V4, UP_V6, UP_UNIX, UP_PIPE, NR_UPSTREAMS };

struct upstream_total {
	char addr[128];
	atomic_ullong wait_ns;
	atomic_uint waits;
};

struct worker {
	pthread_t thread, helper_thread;
	int cpu, schedstat_fd;
	pid_t tid;
	struct request *request;
	struct span begin; /* when this thread took up the request, or last became free */
	int up_out[NR_UPSTREAMS], up_in[NR_UPSTREAMS];

	/* The helper holds the mutex, or makes the condition true, after so many milliseconds. */
	sem_t wanted;
	char what;
	unsigned ms;
	atomic_bool held, tries;
	pthread_mutex_t mutex, cond_mutex;
	pthread_cond_t cond;
	bool ready;
	uint64_t cond_waits, cond_wait_ns;
};

struct competitor {
	atomic_int cpu;
	atomic_bool spins;
};

static const char *mode = "single", *script = "states", *data_dir;
static int listen_fd = -1, disk_fd = -1, competitor_pipe[2];
static char disk_name[64], unix_path[108];
static char *disk_data;
static struct sockaddr_in server_addr;
static struct competitor *competitor;
static struct upstream_total upstream_totals[NR_UPSTREAMS];
static atomic_ullong disk_ns;

static struct worker workers[NR_WORKERS], reader;
static unsigned nr_workers = 1;
static struct conn conns[MAX_CONNS];
static struct request requests[MAX_REQUESTS];
static atomic_uint nr_conns, nr_requests, nr_ended;
static unsigned nr_conns_expected;

static pthread_mutex_t queue_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t queue_cond = PTHREAD_COND_INITIALIZER;
static struct conn *queue[MAX_REQUESTS];
static unsigned queue_head, queue_tail;

static __thread int schedstat_fd = -1;

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
	int saved = errno;
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, ": %s\n", strerror(saved));
	_exit(1);
}

/* ---- clocks ---- */

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static uint64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static void sleep_ms(unsigned ms)
{
	uint64_t at_ns = now_ns() + ms * MS;
	struct timespec ts = { at_ns / 1000000000ull, at_ns % 1000000000ull };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
}

static uint64_t run_delay_in(int fd)
{
	unsigned long long cpu, delay = 0;
	char text[96];
	ssize_t len;

	len = fd < 0 ? 0 : pread(fd, text, sizeof(text) - 1, 0);
	if (len <= 0)
		return 0;
	text[len] = '\0';
	return sscanf(text, "%llu %llu", &cpu, &delay) == 2 ? delay : 0;
}

static uint64_t run_delay_ns(void)
{
	return run_delay_in(schedstat_fd);
}

/*
 * A thread that loses its CPU between two of the clocks would charge that to the wrong state.
 */
static struct span snapshot(void)
{
	struct span span;
	uint64_t before_ns;

	for (unsigned tries = 0; tries < 100; tries++) {
		before_ns = now_ns();
		span.delay_ns = run_delay_ns();
		span.cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
		span.at_ns = now_ns();
		if (span.at_ns - before_ns < 50000)
			break;
	}
	return span;
}

/* Returns the time blocked since @begin, and adds it to the request in hand. */
static uint64_t charge(struct worker *w, struct span begin, enum state state)
{
	struct span end = snapshot();
	uint64_t wall = end.at_ns - begin.at_ns;
	uint64_t used = end.cpu_ns - begin.cpu_ns + end.delay_ns - begin.delay_ns;
	uint64_t blocked = wall > used ? wall - used : 0;

	w->request->state_ns[state] += blocked;
	return blocked;
}

/* The CPUs that we may use, in turn. */
static int nth_cpu(unsigned n)
{
	cpu_set_t allowed;
	int cpu;

	sched_getaffinity(0, sizeof(allowed), &allowed);
	n %= CPU_COUNT(&allowed);
	for (cpu = 0; !CPU_ISSET(cpu, &allowed) || n; cpu++)
		n -= CPU_ISSET(cpu, &allowed) ? 1 : 0;
	return cpu;
}

static void pin_to(int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		die("sched_setaffinity");
}

/* ---- the steps ---- */

static void spin_step(unsigned ms)
{
	uint64_t end = clock_ns(CLOCK_THREAD_CPUTIME_ID) + ms * MS;

	while (clock_ns(CLOCK_THREAD_CPUTIME_ID) < end)
		;
}

/* This thread and the competitor share the CPU until this one has waited long enough for it. */
static void compete_step(struct worker *w, unsigned ms)
{
	uint64_t end = run_delay_ns() + ms * MS, limit = now_ns() + 2000 * MS;

	competitor->cpu = w->cpu;
	competitor->spins = true;
	if (write(competitor_pipe[1], "g", 1) != 1)
		die("competitor");
	while (run_delay_ns() < end && now_ns() < limit)
		;
	competitor->spins = false;
}

static void ask_helper(struct worker *w, char what, unsigned ms)
{
	w->what = what;
	w->ms = ms;
	sem_post(&w->wanted);
}

static void lock_step(struct worker *w, unsigned ms)
{
	struct span begin;

	ask_helper(w, 'l', ms);
	/* Not by waiting: that would be a wait for another thread, and not for the lock. */
	while (!w->held)
		;
	begin = snapshot();
	w->tries = true;
	pthread_mutex_lock(&w->mutex);
	charge(w, begin, LOCK);
	pthread_mutex_unlock(&w->mutex);
}

static void wait_step(struct worker *w, unsigned ms)
{
	struct span begin;

	ask_helper(w, 'w', ms);
	begin = snapshot();
	pthread_mutex_lock(&w->cond_mutex);
	while (!w->ready)
		pthread_cond_wait(&w->cond, &w->cond_mutex);
	w->ready = false;
	pthread_mutex_unlock(&w->cond_mutex);
	w->cond_wait_ns += charge(w, begin, WAIT);
	w->cond_waits++;
}

static void *helper_main(void *arg)
{
	struct worker *w = arg;

	prctl(PR_SET_NAME, "helper");
	prctl(PR_SET_TIMERSLACK, 1);
	pin_to(nth_cpu(1));
	for (;;) {
		while (sem_wait(&w->wanted))
			;
		if (w->what == 'l') {
			pthread_mutex_lock(&w->mutex);
			w->held = true;
			/* On a busy CPU it may take the worker long to see it. */
			while (!w->tries)
				;
			w->held = w->tries = false;
			sleep_ms(w->ms);
			pthread_mutex_unlock(&w->mutex);
			continue;
		}
		sleep_ms(w->ms);
		pthread_mutex_lock(&w->cond_mutex);
		w->ready = true;
		pthread_mutex_unlock(&w->cond_mutex);
		/* After the unlock: the woken thread must not wait for a lock as well. */
		pthread_cond_signal(&w->cond);
	}
	return NULL;
}

/* How long a disk takes is its own affair: again until it was long enough. */
static void disk_step(struct worker *w, unsigned ms, bool reads)
{
	uint64_t blocked = 0, limit = now_ns() + 2000 * MS;

	while (blocked < ms * MS && now_ns() < limit) {
		struct span begin = snapshot();
		uint64_t ns;

		if (reads) {
			if (pread(disk_fd, disk_data, DISK_BYTES, 0) != DISK_BYTES)
				die("direct read");
		} else if (pwrite(disk_fd, disk_data, DISK_BYTES, 0) != DISK_BYTES ||
			   fdatasync(disk_fd)) {
			die("write or fdatasync");
		}
		ns = charge(w, begin, DISK);
		blocked += ns;
		atomic_fetch_add(&disk_ns, ns);
	}
}

static void upstream_step(struct worker *w, enum upstream kind, bool polls, unsigned ms)
{
	struct pollfd pollfd = { .fd = w->up_in[kind], .events = POLLIN };
	unsigned char byte = ms;
	struct span begin;
	uint64_t ns;

	if (write(w->up_out[kind], &byte, 1) != 1)
		die("upstream");
	begin = snapshot();
	if (polls && poll(&pollfd, 1, 5000) != 1)
		die("poll");
	if (read(w->up_in[kind], &byte, 1) != 1)
		die("upstream");
	ns = charge(w, begin, kind == UP_PIPE ? OTHER : NET);
	atomic_fetch_add(&upstream_totals[kind].wait_ns, ns);
	atomic_fetch_add(&upstream_totals[kind].waits, 1);
}

static void sleep_step(struct worker *w, unsigned ms)
{
	struct span begin = snapshot();

	sleep_ms(ms);
	charge(w, begin, SLEEP);
}

static void run_step(struct worker *w, char op, unsigned ms)
{
	switch (op) {
	case 'c': /* use the CPU */
		return spin_step(ms);
	case 'q': /* wait for the CPU */
		return compete_step(w, ms);
	case 'l': /* a mutex that another thread holds */
		return lock_step(w, ms);
	case 'w': /* a condition that another thread makes true */
		return wait_step(w, ms);
	case 'd': /* direct writes and fdatasync */
		return disk_step(w, ms, false);
	case 'r': /* direct reads */
		return disk_step(w, ms, true);
	case 't': /* an upstream: TCP, TCP over IPv6, unix; in capitals with poll() first */
	case 'T':
		return upstream_step(w, UP_V4, op == 'T', ms);
	case 'v':
	case 'V':
		return upstream_step(w, UP_V6, op == 'V', ms);
	case 'u':
	case 'U':
		return upstream_step(w, UP_UNIX, op == 'U', ms);
	case 'p': /* a pipe */
		return upstream_step(w, UP_PIPE, false, ms);
	case 's':
		return sleep_step(w, ms);
	}
	/* n: a long answer to a client that reads slowly. h: the reader keeps the request back. */
}

static bool has_step(const char *steps, char op)
{
	return strchr(steps, op) != NULL;
}

static unsigned step_ms(const char *steps, char op)
{
	const char *step = strchr(steps, op);

	return step ? atoi(step + 1) : 0;
}

static void run_steps(struct worker *w)
{
	const char *at = w->request->steps;

	for (; *at && *at != ' '; at++) {
		if ((*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z'))
			run_step(w, *at, atoi(at + 1));
	}
}

/* ---- requests ---- */

static bool read_request(struct worker *w, struct conn *c)
{
	char msg[MSG_SIZE];
	struct request *r;
	struct pollfd pollfd = { .fd = c->fd, .events = POLLIN };
	bool polls = strcmp(mode, "single") != 0;
	struct span begin;
	uint64_t asked_ns, read_ns, begin_ns;
	ssize_t got;

	/* A thread alone on its CPU may wait in the read itself. */
	if (polls && poll(&pollfd, 1, -1) != 1)
		die("poll");
	asked_ns = now_ns();
	got = recv(c->fd, msg, MSG_SIZE, MSG_WAITALL);
	read_ns = now_ns();
	if (got != MSG_SIZE)
		return false;
	begin = snapshot();
	begin_ns = begin.at_ns;
	begin.at_ns = read_ns;
	r = &requests[atomic_fetch_add(&nr_requests, 1)];
	if (r == &requests[MAX_REQUESTS])
		die("more than %d requests", MAX_REQUESTS);
	memcpy(r->steps, msg, MSG_SIZE);
	r->port = c->port;
	r->seq = ++c->seq;
	r->read_tid = w->tid;
	r->read_ns = read_ns;
	r->read_took_ns = begin_ns - (polls ? asked_ns : read_ns);
	c->request = r;
	w->request = r;
	w->begin = begin;
	return true;
}

/* Returns when the last write was over; that one never blocks, so that its end is known. */
static uint64_t send_answer(struct worker *w, struct conn *c)
{
	static const char data[REPLY_BYTES];
	struct span begin = snapshot();
	uint64_t asked_ns, end_ns;

	if (has_step(w->request->steps, 'n')) {
		if (send(c->fd, data, REPLY_BYTES - 1, MSG_NOSIGNAL) != REPLY_BYTES - 1)
			die("send of an answer");
		charge(w, begin, NET);
	}
	asked_ns = now_ns();
	if (send(c->fd, data, 1, MSG_NOSIGNAL) != 1)
		die("send of an answer");
	end_ns = now_ns();
	w->request->write_took_ns = end_ns - asked_ns;
	return end_ns;
}

/*
 * The rest of the request, from when this thread took it up, and what is not blocked or runnable of
 * that was CPU time.
 */
static void answer(struct worker *w, struct conn *c)
{
	struct request *r = w->request;
	struct span end;
	uint64_t end_ns, blocked = 0;

	run_steps(w);
	c->request = NULL;
	end_ns = send_answer(w, c);
	end = snapshot();
	r->write_took_ns += end.at_ns - end_ns;
	for (unsigned i = LOCK; i < HANDOFF; i++)
		blocked += r->state_ns[i];
	r->write_tid = w->tid;
	r->latency_ns = end_ns - r->read_ns;
	r->state_ns[HANDOFF] = w->begin.at_ns - r->read_ns;
	r->state_ns[RUNQ] = end.delay_ns - w->begin.delay_ns;
	r->state_ns[CPU] = end_ns - w->begin.at_ns - r->state_ns[RUNQ] - blocked;
	w->begin = end;
	w->begin.at_ns = end_ns;
}

static struct conn *accept_conn(void)
{
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);
	int fd = accept4(listen_fd, (struct sockaddr *)&peer, &len, SOCK_CLOEXEC);
	int size = 65536, one = 1;
	struct conn *c;

	if (fd < 0)
		die("accept4");
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &one, sizeof(one));
	c = &conns[atomic_fetch_add(&nr_conns, 1)];
	*c = (struct conn){ .fd = fd, .port = ntohs(peer.sin_port) };
	return c;
}

static void end_conn(struct conn *c)
{
	close(c->fd);
	atomic_fetch_add(&nr_ended, 1);
}

/* ---- threads ---- */

static void begin_thread(struct worker *w, const char *name)
{
	prctl(PR_SET_NAME, name);
	prctl(PR_SET_TIMERSLACK, 1);
	pin_to(w->cpu);
	w->tid = syscall(SYS_gettid);
	schedstat_fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
	w->schedstat_fd = schedstat_fd;
}

static void *single_main(void *arg)
{
	struct worker *w = arg;

	begin_thread(w, "single");
	for (;;) {
		struct conn *c = accept_conn();

		while (read_request(w, c))
			answer(w, c);
		end_conn(c);
	}
	return NULL;
}

static void queue_push(struct conn *c)
{
	pthread_mutex_lock(&queue_mutex);
	queue[queue_tail++ % MAX_REQUESTS] = c;
	pthread_mutex_unlock(&queue_mutex);
	if (c->request) {
		/* There is one worker then, and it sleeps, unless it was about to. */
		c->request->pushed_delay_ns = run_delay_in(workers[0].schedstat_fd);
		c->request->pushed_ns = now_ns();
	}
	pthread_cond_signal(&queue_cond);
}

static long nr_sleeps(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw;
}

/* @begin: set to the clocks before this thread fell asleep, if it had to. */
static struct conn *queue_pop(struct span *begin, bool *slept)
{
	struct conn *c;
	long before;

	*slept = false;
	pthread_mutex_lock(&queue_mutex);
	while (queue_head == queue_tail) {
		*begin = snapshot();
		before = nr_sleeps();
		pthread_cond_wait(&queue_cond, &queue_mutex);
		/* Signalled before it could fall asleep, it was not woken. */
		*slept = nr_sleeps() > before;
	}
	c = queue[queue_head++ % MAX_REQUESTS];
	pthread_mutex_unlock(&queue_mutex);
	return c;
}

static void *pool_main(void *arg)
{
	struct worker *w = arg;
	struct span begin;
	bool slept;

	begin_thread(w, "worker");
	for (;;) {
		struct conn *c = queue_pop(&begin, &slept);

		while (read_request(w, c))
			answer(w, c);
		end_conn(c);
	}
	return NULL;
}

static void *acceptor_main(void *arg)
{
	begin_thread(&reader, "acceptor");
	for (;;)
		queue_push(accept_conn());
	return arg;
}

/* Serves what the reader has read: from the moment it was woken for it, or had done the last. */
static void *served_main(void *arg)
{
	struct worker *w = arg;
	struct span begin;
	bool slept;

	begin_thread(w, "worker");
	for (;;) {
		struct conn *c = queue_pop(&begin, &slept);

		w->request = c->request;
		if (slept) {
			/* It answered another one after this one was read. */
			if (w->begin.at_ns > w->request->read_ns)
				w->request->free_ns = w->request->pushed_ns - w->begin.at_ns;
			w->begin = begin;
			w->begin.at_ns = w->request->pushed_ns;
			w->begin.delay_ns = w->request->pushed_delay_ns;
		}
		answer(w, c);
	}
	return NULL;
}

/* One more byte than a conn has can't come: a client waits for its answer. */
static void read_and_push(struct conn *c)
{
	if (!read_request(&reader, c)) {
		end_conn(c);
		c->fd = -1;
		return;
	}
	sleep_ms(step_ms(c->request->steps, 'h'));
	queue_push(c);
}

static void *reader_main(void *arg)
{
	struct pollfd fds[MAX_CONNS + 1];

	begin_thread(&reader, "reader");
	for (;;) {
		unsigned n = nr_conns;

		fds[0] = (struct pollfd){ .fd = listen_fd, .events = POLLIN };
		for (unsigned i = 0; i < n; i++)
			fds[i + 1] = (struct pollfd){ .fd = conns[i].fd, .events = POLLIN };
		if (poll(fds, n + 1, 10000) < 0)
			die("poll");
		for (unsigned i = 0; i < n; i++)
			if (fds[i + 1].revents)
				read_and_push(&conns[i]);
		if (fds[0].revents)
			accept_conn();
	}
	return arg;
}

/* ---- the clients, processes of their own ---- */

static int dial(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int size = 65536;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (fd < 0 || connect(fd, (struct sockaddr *)&server_addr, sizeof(server_addr)))
		die("connect");
	return fd;
}

static void ask(int fd, const char *steps)
{
	static char data[65536];
	size_t left = has_step(steps, 'n') ? REPLY_BYTES : 1;
	char msg[MSG_SIZE];

	memset(msg, ' ', MSG_SIZE);
	memcpy(msg, steps, strlen(steps));
	if (send(fd, msg, MSG_SIZE, MSG_NOSIGNAL) != MSG_SIZE)
		die("send of a request");
	while (left) {
		ssize_t got = recv(fd, data, left < sizeof(data) ? left : sizeof(data),
				   MSG_WAITALL);

		if (got <= 0)
			die("no answer");
		left -= got;
		if (left)
			sleep_ms(4);
	}
}

static const char *const all_states[] = {
	"c20", "q20", "l20", "w25", "d20", "r20", "n", "t20",
	"v20", "u20", "T20", "s20", "p20", "l20,s15,c20,w20,d15,u20,p15,n", NULL,
};
/*
 * For several clients at a time. Not the disk: where a worker is woken while another one submits its I/O
 * on the same CPU, and that one blocks next, the kernel's switch does not read its clock again (from
 * rq_clock_skip_update()): what the one has run since the wake-up is charged to the other, up to half a
 * millisecond, and the CPU clock is no truth.
 */
static const char *const all_but_runq[] = {
	"c20", "l20", "w25", "s20", "t20", "p20", "n", "c15,l20,w15,T20,s20,u15", NULL,
};
/* What a thread without a request of its own can be seen to do for one that another has read. */
static const char *const handed_over[] = {
	"c20", "s20", "l20", "q20", "d20", "p20", "n", "t20", "w20", "h20,s20", "h25,c20,l20,n", NULL,
};
static const char *const handed_over_to_busy[] = {
	"c20", "s20", "l20", "q20", "d20", "p20", "n", "t20", "w20", "c15,l20,n", NULL,
};
/*
 * For several clients at a time: the worker answers one of them, and becomes free, while the reader still
 * keeps another one's request back.
 */
static const char *const held_back[] = {
	"s20", "h30,s20", "h30,t20", "t20,w15", "h30,w20", "u20", "h25,u15,w15", "h30,c5", NULL,
};
static const char *const peers[] = {
	"t20", "v25", "u30", "T20", "V25", "U30", "t10,v10,u10", NULL,
};
static const char *const files[] = { "d60", "r60", NULL };

/* Each request on a connection of its own, and then all on one, with and without a pause. */
static void client_in_a_row(const char *const *list)
{
	int fd;

	for (unsigned i = 0; list[i]; i++) {
		fd = dial();
		ask(fd, list[i]);
		close(fd);
	}
	fd = dial();
	for (unsigned i = 0; list[i]; i++) {
		if (i % 2)
			sleep_ms(15);
		ask(fd, list[i]);
	}
	close(fd);
}

static unsigned count(const char *const *list)
{
	unsigned n = 0;

	while (list[n])
		n++;
	return n;
}

struct traffic {
	const char *mode, *script;
	unsigned clients;
	const char *const *list;
};

static const struct traffic traffics[] = {
	{ "single", "states", 1, all_states },
	{ "pool", "states", 3, all_but_runq },
	{ "handoff", "states", 1, handed_over },
	{ "handoff", "crowd", 3, handed_over_to_busy },
	{ "handoff", "held", 2, held_back },
	{ "single", "peers", 1, peers },
	{ "single", "files", 1, files },
};
#define NR_TRAFFICS (sizeof(traffics) / sizeof(traffics[0]))

static const struct traffic *find_traffic(void)
{
	for (unsigned i = 0; i < NR_TRAFFICS; i++)
		if (!strcmp(traffics[i].mode, mode) && !strcmp(traffics[i].script, script))
			return &traffics[i];
	fprintf(stderr, "breakdown: no script '%s' for '%s'\n", script, mode);
	exit(2);
}

/* ---- the other processes ---- */

static pid_t fork_process(const char *name)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, name);
		prctl(PR_SET_TIMERSLACK, 1);
	}
	return pid;
}

static void start_competitor(void)
{
	char byte;

	competitor = mmap(NULL, sizeof(*competitor), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (competitor == MAP_FAILED || pipe2(competitor_pipe, O_CLOEXEC))
		die("competitor");
	if (fork_process("competitor"))
		return;
	close(competitor_pipe[1]);
	while (read(competitor_pipe[0], &byte, 1) == 1) {
		pin_to(competitor->cpu);
		while (competitor->spins)
			;
	}
	_exit(0);
}

/* Answers every byte, a number of milliseconds, after so long. */
static void serve_upstream(int in, int out)
{
	unsigned char byte;

	while (read(in, &byte, 1) == 1) {
		sleep_ms(byte);
		if (write(out, &byte, 1) != 1)
			break;
	}
	_exit(0);
}

/* Connects every worker through one listener, each with a process of its own behind it. */
static void connect_upstreams(enum upstream kind, struct sockaddr *addr, socklen_t len)
{
	int listener = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (listener < 0 || bind(listener, addr, len) || listen(listener, 16))
		die("upstream's listener");
	if (kind != UP_UNIX)
		getsockname(listener, addr, &len);
	for (unsigned i = 0; i < nr_workers; i++) {
		int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (fd < 0 || connect(fd, addr, len))
			die("upstream");
		if (!fork_process("upstream")) {
			int in = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

			close(fd);
			serve_upstream(in, in);
		}
		workers[i].up_in[kind] = fd;
		workers[i].up_out[kind] = fd;
	}
	close(listener);
}

static void start_upstreams(void)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	memcpy(un.sun_path, unix_path, sizeof(un.sun_path));
	connect_upstreams(UP_V4, (struct sockaddr *)&v4, sizeof(v4));
	connect_upstreams(UP_V6, (struct sockaddr *)&v6, sizeof(v6));
	connect_upstreams(UP_UNIX, (struct sockaddr *)&un, sizeof(un));
	snprintf(upstream_totals[UP_V4].addr, sizeof(upstream_totals[0].addr), "127.0.0.1:%u",
		 ntohs(v4.sin_port));
	snprintf(upstream_totals[UP_V6].addr, sizeof(upstream_totals[0].addr), "[::1]:%u",
		 ntohs(v6.sin6_port));
	snprintf(upstream_totals[UP_UNIX].addr, sizeof(upstream_totals[0].addr), "unix:%s",
		 unix_path);
	for (unsigned i = 0; i < nr_workers; i++) {
		int to[2], from[2];

		if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC))
			die("pipe2");
		if (!fork_process("piper"))
			serve_upstream(to[0], from[1]);
		close(to[0]);
		close(from[1]);
		workers[i].up_out[UP_PIPE] = to[1];
		workers[i].up_in[UP_PIPE] = from[0];
	}
}

/*
 * Returns the descriptor whose bytes start the clients, one each. They stay off the workers' CPU:
 * one that preempted the worker in its last write would come between that write and the clock.
 */
static int start_clients(const struct traffic *traffic)
{
	int start[2];
	char byte;

	if (pipe2(start, O_CLOEXEC))
		die("pipe2");
	for (unsigned i = 0; i < traffic->clients; i++) {
		if (fork_process("client"))
			continue;
		close(start[1]);
		close(listen_fd);
		pin_to(nth_cpu(1));
		if (read(start[0], &byte, 1) == 1)
			client_in_a_row(traffic->list);
		_exit(0);
	}
	close(start[0]);
	return start[1];
}

/* ---- set-up and the truth ---- */

static void open_listener(void)
{
	socklen_t len = sizeof(server_addr);

	server_addr = (struct sockaddr_in){ .sin_family = AF_INET,
					    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listen_fd < 0 || bind(listen_fd, (struct sockaddr *)&server_addr, len) ||
	    listen(listen_fd, 16))
		die("listen");
	getsockname(listen_fd, (struct sockaddr *)&server_addr, &len);
}

static void open_data(void)
{
	char path[4096];

	snprintf(disk_name, sizeof(disk_name), "threadprof-breakdown.%d", getpid());
	snprintf(path, sizeof(path), "%s/%s", data_dir, disk_name);
	disk_fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_DIRECT | O_CLOEXEC, 0600);
	if (disk_fd < 0)
		die("O_DIRECT file in %s", data_dir);
	unlink(path);
	if (posix_memalign((void **)&disk_data, HUGE_PAGE, DISK_BYTES))
		die("posix_memalign");
	madvise(disk_data, DISK_BYTES, MADV_HUGEPAGE);
	memset(disk_data, 'x', DISK_BYTES);
	if (pwrite(disk_fd, disk_data, DISK_BYTES, 0) != DISK_BYTES)
		die("direct write");
}

static void start_threads(void)
{
	void *(*serve)(void *) = !strcmp(mode, "single") ? single_main
				 : !strcmp(mode, "pool") ? pool_main
							 : served_main;

	/* The competitor must know where to find a worker, and nobody else may be there. */
	reader.cpu = nth_cpu(1);
	for (unsigned i = 0; i < nr_workers; i++) {
		struct worker *w = &workers[i];

		w->cpu = nth_cpu(0);
		sem_init(&w->wanted, 0, 0);
		pthread_mutex_init(&w->mutex, NULL);
		pthread_mutex_init(&w->cond_mutex, NULL);
		pthread_cond_init(&w->cond, NULL);
		if (pthread_create(&w->helper_thread, NULL, helper_main, w) ||
		    pthread_create(&w->thread, NULL, serve, w))
			die("pthread_create");
	}
	if (strcmp(mode, "single") &&
	    pthread_create(&reader.thread, NULL,
			   !strcmp(mode, "pool") ? acceptor_main : reader_main, NULL))
		die("pthread_create");
}

static void print_request(const struct request *r, bool first)
{
	printf("%s{\"client\":\"127.0.0.1:%u\",\"seq\":%u,\"steps\":\"%.*s\",\"tid\":%d,"
	       "\"write_tid\":%d,\"latency_ns\":%llu,\"free_ns\":%llu,\"read_took_ns\":%llu,"
	       "\"write_took_ns\":%llu,\"parts_ns\":{",
	       first ? "" : ",", r->port, r->seq, (int)strcspn(r->steps, " "), r->steps,
	       r->read_tid, r->write_tid, (unsigned long long)r->latency_ns, (unsigned long long)r->free_ns,
	       (unsigned long long)r->read_took_ns, (unsigned long long)r->write_took_ns);
	for (unsigned i = 0; i < NR_STATES; i++)
		printf("%s\"%s\":%lld", i ? "," : "", state_names[i], (long long)r->state_ns[i]);
	printf("}}");
}

static void print_truth(void)
{
	printf("{\"type\":\"truth\",\"connections\":%u,\"file\":\"%s\",\"disk_ns\":%llu,"
	       "\"peers\":[",
	       nr_conns, disk_name, (unsigned long long)disk_ns);
	for (unsigned i = 0; i < UP_PIPE; i++)
		printf("%s{\"addr\":\"%s\",\"waits\":%u,\"wait_ns\":%llu}", i ? "," : "",
		       upstream_totals[i].addr, upstream_totals[i].waits,
		       (unsigned long long)upstream_totals[i].wait_ns);
	printf("],\"conds\":[");
	for (unsigned i = 0; i < nr_workers; i++)
		printf("%s{\"addr\":\"%p\",\"size\":%zu,\"waits\":%llu,\"wait_ns\":%llu}", i ? "," : "",
		       (void *)&workers[i].cond, sizeof(workers[i].cond),
		       (unsigned long long)workers[i].cond_waits,
		       (unsigned long long)workers[i].cond_wait_ns);
	printf("],\"requests\":[");
	for (unsigned i = 0; i < nr_requests; i++)
		print_request(&requests[i], !i);
	printf("]}\n");
	fflush(stdout);
}

static void parse_arguments(int argc, char **argv)
{
	data_dir = getenv("TMPDIR") ? getenv("TMPDIR") : "/var/tmp";
	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--mode"))
			mode = argv[i + 1];
		else if (!strcmp(argv[i], "--script"))
			script = argv[i + 1];
		else if (!strcmp(argv[i], "--dir"))
			data_dir = argv[i + 1];
	}
}

int main(int argc, char **argv)
{
	const struct traffic *traffic;
	char line[64];
	int start;

	parse_arguments(argc, argv);
	traffic = find_traffic();
	nr_workers = !strcmp(mode, "pool") ? NR_WORKERS : 1;
	nr_conns_expected = traffic->clients * (count(traffic->list) + 1);
	snprintf(unix_path, sizeof(unix_path), "%s/threadprof-up.%d", data_dir, getpid());
	signal(SIGPIPE, SIG_IGN);
	open_listener();
	open_data();
	start_competitor();
	start_upstreams();
	start = start_clients(traffic);
	unlink(unix_path);
	start_threads();
	sleep_ms(50);
	printf("{\"type\":\"ready\",\"pid\":%d,\"port\":%d}\n", getpid(),
	       ntohs(server_addr.sin_port));
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return 0;
	if (write(start, "gggg", traffic->clients) != (ssize_t)traffic->clients)
		die("start");
	while (nr_ended < nr_conns_expected)
		sleep_ms(10);
	print_truth();
	while (fgets(line, sizeof(line), stdin))
		;
	return 0;
}
