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
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "workload.h"

#define MS 1000000ull
#define STEPS_SIZE 56
/* Few long waits here too: the kernel wakes a writer when a third of its buffer is free. */
#define REPLY_BYTES (1u << 20)
#define SEND_BUFFER (1u << 18)
#define READ_BYTES (1u << 18)
/*
 * Few long waits: the CPU clock stops some microseconds before each switch, while the kernel looks for
 * other work, and of many short waits that would be a share to see.
 */
#define DISK_BYTES (4u << 20)
#define HUGE_PAGE (2u << 20)
#define PREEMPTION_NS 10000
#define MAX_CONNS 256
#define MAX_REQUESTS 512
#define NR_WORKERS 3
#define MAX_CLIENTS 4

enum state { CPU, RUNQ, LOCK, WAIT, DISK, NET, IDLE, SLEEP, OTHER, HANDOFF, NR_STATES };
static const char *const state_names[] = { "cpu", "runq", "lock",  "wait",  "disk",
					   "net", "idle", "sleep", "other", "handoff" };

/* What a client sends. */
struct message {
	char steps[STEPS_SIZE];
	uint64_t sent_ns; /* before it was */
};

struct conn {
	int fd;
	unsigned port, seq;
	struct request *request; /* read, and not yet answered */
	/* Until the last write has returned. The client may have its answer before. */
	atomic_bool is_served;
};

struct request {
	unsigned port, seq;
	char steps[STEPS_SIZE];
	pid_t read_tid, write_tid;
	struct range read_at, pushed_at;
	struct range latency, state[NR_STATES];
	struct range ready;	 /* cpu and runq */
	struct range not_asleep; /* and hand-off */
	/* free_ns: for how long of the hand-off the thread that answers was free. */
	int64_t free_ns;
	/* Whether the one that answers was woken for it, or had another request before. */
	bool is_taking_up_known;
};

/* Where a worker waits for somebody outside: kinds of descriptor, each with its process. */
enum upstream { UP_V4, UP_V6, UP_UNIX, UP_PIPE, NR_UPSTREAMS };

struct upstream_total {
	char addr[128];
	struct range wait;
	unsigned waits;
};

struct worker {
	pthread_t thread, helper_thread;
	int cpu;
	pid_t tid;
	struct request *request;
	struct range taken_at; /* when this thread took up the request, or last became free */
	struct span taken;     /* its clocks then */
	int up_out[NR_UPSTREAMS], up_in[NR_UPSTREAMS];

	/* The helper holds the mutex, or makes the condition true, after so many milliseconds. */
	sem_t wanted;
	char what;
	unsigned ms;
	atomic_bool held, tries;
	pthread_mutex_t mutex, cond_mutex;
	pthread_cond_t cond;
	bool ready;
	unsigned cond_waits;
	struct range cond_wait;
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
static struct range disk_wait;
static pthread_mutex_t totals_mutex = PTHREAD_MUTEX_INITIALIZER;

static struct worker workers[NR_WORKERS], reader;
static unsigned nr_workers = 1;
static struct conn conns[MAX_CONNS];
static struct request requests[MAX_REQUESTS];
static atomic_uint nr_conns, nr_requests, nr_ended;
static unsigned nr_conns_expected;

/* One pushes. No lock: a worker that waited for one would be woken before its request is there. */
static struct conn *queue[MAX_REQUESTS];
static unsigned queue_tail;
static atomic_uint queue_head;
static sem_t queue_sem;

/* ---- clocks ---- */

/* Returns the time blocked since @begin, and adds it to the request in hand. */
static struct range charge(struct worker *w, struct span begin, enum state state)
{
	struct range blocked = blocked_between(begin, snapshot());

	range__add(&w->request->state[state], blocked);
	return blocked;
}

/* As charge(); many workers add to @total. */
static struct range charge_total(struct worker *w, struct span begin, enum state state, struct range *total)
{
	struct range blocked = charge(w, begin, state);

	pthread_mutex_lock(&totals_mutex);
	range__add(total, blocked);
	pthread_mutex_unlock(&totals_mutex);
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
	range__add(&w->cond_wait, charge(w, begin, WAIT));
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

		if (reads) {
			if (pread(disk_fd, disk_data, DISK_BYTES, 0) != DISK_BYTES)
				die("direct read");
		} else if (pwrite(disk_fd, disk_data, DISK_BYTES, 0) != DISK_BYTES ||
			   fdatasync(disk_fd)) {
			die("write or fdatasync");
		}
		blocked += charge_total(w, begin, DISK, &disk_wait).lo_ns;
	}
}

static void upstream_step(struct worker *w, enum upstream kind, bool polls, unsigned ms)
{
	struct pollfd pollfd = { .fd = w->up_in[kind], .events = POLLIN };
	unsigned char byte = ms;
	struct span begin;

	if (write(w->up_out[kind], &byte, 1) != 1)
		die("upstream");
	begin = snapshot();
	if (polls && poll(&pollfd, 1, 5000) != 1)
		die("poll");
	if (read(w->up_in[kind], &byte, 1) != 1)
		die("upstream");
	charge_total(w, begin, kind == UP_PIPE ? OTHER : NET, &upstream_totals[kind].wait);
	__atomic_fetch_add(&upstream_totals[kind].waits, 1, __ATOMIC_RELAXED);
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

	for (; *at; at++) {
		if ((*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z'))
			run_step(w, *at, atoi(at + 1));
	}
}

/* ---- requests ---- */

static bool read_request(struct worker *w, struct conn *c)
{
	struct message msg;
	struct request *r;
	struct pollfd pollfd = { .fd = c->fd, .events = POLLIN };
	uint64_t asked_ns, read_ns;
	ssize_t got;

	/* A thread alone on its CPU may wait in the read itself. */
	if ((c->seq || strcmp(mode, "single")) && poll(&pollfd, 1, -1) != 1)
		die("poll");
	asked_ns = now_ns();
	got = recv(c->fd, &msg, sizeof(msg), MSG_WAITALL);
	read_ns = now_ns();
	if (got != sizeof(msg))
		return false;
	r = &requests[atomic_fetch_add(&nr_requests, 1)];
	if (r == &requests[MAX_REQUESTS])
		die("more than %d requests", MAX_REQUESTS);
	memcpy(r->steps, msg.steps, sizeof(r->steps));
	r->port = c->port;
	r->seq = ++c->seq;
	r->read_tid = w->tid;
	r->read_at.lo_ns = msg.sent_ns > asked_ns ? msg.sent_ns : asked_ns;
	r->read_at.hi_ns = read_ns;
	r->is_taking_up_known = true;
	c->request = r;
	c->is_served = true;
	w->request = r;
	w->taken = snapshot();
	w->taken_at = r->read_at;
	return true;
}

/* Returns when the last write was over. */
static struct range send_answer(struct worker *w, struct conn *c)
{
	static const char data[REPLY_BYTES];
	struct span begin = snapshot();
	struct range end_at;

	if (has_step(w->request->steps, 'n')) {
		if (send(c->fd, data, REPLY_BYTES - 1, MSG_NOSIGNAL) != REPLY_BYTES - 1)
			die("send of an answer");
		charge(w, begin, NET);
	}
	end_at.lo_ns = now_ns();
	if (send(c->fd, data, 1, MSG_NOSIGNAL) != 1)
		die("send of an answer");
	end_at.hi_ns = now_ns();
	return end_at;
}

/*
 * The time spent runnable: the clocks were read after the begin, and are read after the end. To the kernel
 * a preempted thread waits since the other one was woken; to threadprof since the switch, some microseconds
 * later: after the interrupt that woke it.
 */
static struct range waited_for_cpu(const struct worker *w, struct span end, struct range end_at)
{
	int64_t delay = end.delay_ns - w->taken.delay_ns;
	int64_t late = PREEMPTION_NS * (end.preemptions - w->taken.preemptions);
	int64_t least = delay - late - (int64_t)(end.after_ns - end_at.lo_ns);
	int64_t most = delay + (int64_t)(w->taken.after_ns - w->taken_at.lo_ns);

	return (struct range){ least > 0 ? least : 0, most };
}

/*
 * The rest of the request, from when this thread took it up, and what is not blocked or runnable of
 * that was CPU time.
 */
static void answer(struct worker *w, struct conn *c)
{
	struct request *r = w->request;
	struct range end_at, blocked = {};
	struct span end;

	run_steps(w);
	c->request = NULL;
	end_at = send_answer(w, c);
	c->is_served = false;
	end = snapshot();
	for (unsigned i = LOCK; i < HANDOFF; i++)
		range__add(&blocked, r->state[i]);
	r->write_tid = w->tid;
	r->latency = range__minus(end_at, r->read_at);
	if (r->read_tid != r->write_tid)
		r->state[HANDOFF] = range__minus(w->taken_at, r->read_at);
	r->not_asleep = range__minus(r->latency, blocked);
	r->ready = range__minus(range__minus(end_at, w->taken_at), blocked);
	r->state[RUNQ] = waited_for_cpu(w, end, end_at);
	r->state[CPU] = range__minus(r->ready, r->state[RUNQ]);
	w->taken = end;
	w->taken_at = end_at;
}

static struct conn *accept_conn(void)
{
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);
	int fd = accept4(listen_fd, (struct sockaddr *)&peer, &len, SOCK_CLOEXEC);
	int size = SEND_BUFFER, one = 1;
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
	run_delay_ns();
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
	queue[queue_tail++ % MAX_REQUESTS] = c;
	if (c->request)
		c->request->pushed_at.lo_ns = now_ns();
	sem_post(&queue_sem);
}

/* @slept: posted before it could fall asleep, it was not woken. */
static struct conn *queue_pop(bool *slept)
{
	long before = snapshot().sleeps;

	while (sem_wait(&queue_sem))
		;
	*slept = snapshot().sleeps > before;
	return queue[atomic_fetch_add(&queue_head, 1) % MAX_REQUESTS];
}

static void *pool_main(void *arg)
{
	struct worker *w = arg;
	bool slept;

	begin_thread(w, "worker");
	for (;;) {
		struct conn *c = queue_pop(&slept);

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

/*
 * When this worker took up what the reader has read: when it was woken for it, or had done the last. If it
 * had done that before, and was not asleep yet, nobody can see it take up anything.
 */
static void take_up(struct worker *w, struct request *r, bool slept)
{
	struct span now = snapshot();

	r->pushed_at.hi_ns = now.before_ns;
	if (!slept) {
		r->is_taking_up_known = w->taken_at.lo_ns > r->read_at.hi_ns;
		return;
	}
	if (w->taken_at.lo_ns > r->read_at.hi_ns)
		r->free_ns = range__minus(r->pushed_at, w->taken_at).lo_ns;
	w->taken = now;
	w->taken_at = r->pushed_at;
}

static void *served_main(void *arg)
{
	struct worker *w = arg;
	bool slept;

	begin_thread(w, "worker");
	for (;;) {
		struct conn *c = queue_pop(&slept);

		w->request = c->request;
		take_up(w, c->request, slept);
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
			if (fds[i + 1].revents && !conns[i].is_served)
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
	static char data[READ_BYTES];
	size_t left = has_step(steps, 'n') ? REPLY_BYTES : 1;
	struct message msg = {};

	memcpy(msg.steps, steps, strlen(steps));
	msg.sent_ns = now_ns();
	if (send(fd, &msg, sizeof(msg), MSG_NOSIGNAL) != sizeof(msg))
		die("send of a request");
	while (left) {
		ssize_t got = recv(fd, data, left < sizeof(data) ? left : sizeof(data),
				   MSG_WAITALL);

		if (got <= 0)
			die("no answer");
		left -= got;
		if (left)
			sleep_ms(20);
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
	printf("%s{\"client\":\"127.0.0.1:%u\",\"seq\":%u,\"steps\":\"%s\",\"tid\":%d,\"write_tid\":%d,"
	       "\"free_ns\":%lld,\"is_taking_up_known\":%s,", first ? "" : ",", r->port, r->seq, r->steps,
	       r->read_tid, r->write_tid, (long long)r->free_ns,
	       r->is_taking_up_known ? "true" : "false");
	print_range("latency_ns", r->latency);
	printf(",");
	print_range("ready_ns", r->ready);
	printf(",");
	print_range("not_asleep_ns", r->not_asleep);
	printf(",\"parts_ns\":{");
	for (unsigned i = 0; i < NR_STATES; i++) {
		printf(i ? "," : "");
		print_range(state_names[i], r->state[i]);
	}
	printf("}}");
}

static void print_truth(void)
{
	printf("{\"type\":\"truth\",\"connections\":%u,\"file\":\"%s\",", nr_conns, disk_name);
	print_range("disk_ns", disk_wait);
	printf(",\"peers\":[");
	for (unsigned i = 0; i < UP_PIPE; i++) {
		printf("%s{\"addr\":\"%s\",\"waits\":%u,", i ? "," : "", upstream_totals[i].addr,
		       upstream_totals[i].waits);
		print_range("wait_ns", upstream_totals[i].wait);
		printf("}");
	}
	printf("],\"conds\":[");
	for (unsigned i = 0; i < nr_workers; i++) {
		printf("%s{\"addr\":\"%p\",\"size\":%zu,\"waits\":%u,", i ? "," : "",
		       (void *)&workers[i].cond, sizeof(workers[i].cond), workers[i].cond_waits);
		print_range("wait_ns", workers[i].cond_wait);
		printf("}");
	}
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
	sem_init(&queue_sem, 0, 0);
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
