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
 * A request is a list of steps, see breakdown_client.h. "cpu" is what no step blocked of it: a thread's
 * CPU clock leaves out what the hypervisor took, the scheduler's switches don't.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
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
#include <time.h>
#include <unistd.h>

#include "breakdown_client.h"
#include "breakdown_others.h"
#include "breakdown_steps.h"
#include "loopback.h"
#include "workload.h"

#define SEND_BUFFER (1u << 18)
#define HUGE_PAGE (2u << 20)
#define PREEMPTION_NS 10000
#define MAX_CONNS 256
#define MAX_REQUESTS 512
#define NR_WORKERS 3

struct conn {
	int fd;
	unsigned port, seq;
	struct request *request; /* read, and not yet answered */
	/* Until the last write has returned. The client may have its answer before. */
	atomic_bool is_served;
};

static const char *data_dir;
static int listen_fd = -1;
static char disk_name[64];

static struct worker workers[NR_WORKERS], reader;
static struct upstream_fds upstreams[NR_WORKERS];
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
		w->upstreams = &upstreams[i];
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
	int start;

	parse_arguments(argc, argv);
	traffic = find_traffic();
	nr_workers = !strcmp(mode, "pool") ? NR_WORKERS : 1;
	nr_conns_expected = traffic->clients * (count(traffic->list) + 1);
	snprintf(unix_path, sizeof(unix_path), "%s/threadprof-up.%d", data_dir, getpid());
	signal(SIGPIPE, SIG_IGN);
	sem_init(&queue_sem, 0, 0);
	listen_fd = listen_on_loopback(&server_addr, 16);
	open_data();
	start_competitor();
	start_upstreams(upstreams, nr_workers);
	start = start_clients(traffic);
	unlink(unix_path);
	start_threads();
	sleep_ms(50);
	say_ready_at(&server_addr);
	await_start();
	if (write(start, "gggg", traffic->clients) != (ssize_t)traffic->clients)
		die("start");
	while (nr_ended < nr_conns_expected)
		sleep_ms(10);
	print_truth();
	await_end_of_input();
	return 0;
}
