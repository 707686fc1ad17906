// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/*
 * A server that knows the right answer: one acceptor, a queue, N workers, and a scripted client in
 * a process of its own. It reads CLOCK_MONOTONIC before and after the very calls a profiler would watch,
 * so that the profiler's figures must lie between its own.
 *
 *   known [--script plain|odd|calls|hold|backlog] [--workers N] [--idle-threads N] [--backlog N]
 *
 * stdout: {"type":"ready",...} once every thread is up; then a line on stdin starts the traffic;
 * then {"type":"truth",...}; then end of file on stdin ends it. Exit code 1 when server and client
 * disagree about what happened.
 */
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "known_calls.h"
#include "known_client.h"
#include "loopback.h"
#include "workload.h"

#define MAX_ITEMS 1024
#define MAX_IDLE 16

struct conn {
	int fd;
	unsigned id;
	/* is_read: it began to be, first_read: when. */
	struct range accepted, first_read, end;
	bool is_read;
	unsigned requests;
};

struct worker {
	pthread_t thread;
	pid_t tid;
	unsigned requests;
	struct range busy, sleep, lock;
};

struct named_lock {
	const char *name;
	pthread_mutex_t *mutex;
	struct range waits[MAX_ITEMS];
	atomic_uint nr_waits;
};

/* External linkage: a profiler that names lock addresses by symbol has a name to find. */
pthread_mutex_t big_lock = PTHREAD_MUTEX_INITIALIZER;
pthread_mutex_t small_lock = PTHREAD_MUTEX_INITIALIZER;

static struct named_lock locks[] = {
	{ .name = "big_lock", .mutex = &big_lock },
	{ .name = "small_lock", .mutex = &small_lock },
};

static unsigned nr_idle = 2;
static int backlog = 64;

static int listen_fd = -1;

static struct conn conns[MAX_ITEMS];
static atomic_uint nr_conns, nr_ended;
static struct range latencies[MAX_ITEMS];
static atomic_uint nr_requests, nr_unanswered;
static struct worker workers[MAX_WORKERS];
static pid_t acceptor_tid;
static atomic_bool stopping;

static pthread_mutex_t queue_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t queue_cond = PTHREAD_COND_INITIALIZER;
static struct conn *queue[MAX_ITEMS];
static unsigned queue_head, queue_tail;
static pthread_mutex_t idle_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t idle_cond = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t all_up;

static pid_t name_thread(const char *name)
{
	prctl(PR_SET_NAME, name);
	/* The default slack of 50 us would make every scripted sleep longer than asked. */
	prctl(PR_SET_TIMERSLACK, 1);
	return syscall(SYS_gettid);
}

static void pause_ms(struct worker *w, unsigned ms)
{
	struct span begin = snapshot();

	sleep_ms(ms);
	range__add(&w->sleep, blocked_between(begin, snapshot()));
}

static void spin_ms(unsigned ms)
{
	uint64_t end = now_ns() + ms * 1000000ull;

	while (now_ns() < end)
		;
}

static void hold_lock(struct worker *w, struct named_lock *lock, unsigned ms)
{
	struct span begin = snapshot();
	struct range waited;

	if (pthread_mutex_trylock(lock->mutex)) {
		pthread_mutex_lock(lock->mutex);
		waited = blocked_between(begin, snapshot());
		lock->waits[atomic_fetch_add(&lock->nr_waits, 1)] = waited;
		range__add(&w->lock, waited);
	}
	pause_ms(w, ms);
	pthread_mutex_unlock(lock->mutex);
}

/* ---- the server ---- */

/* The script "calls" meets every pair once; the others keep to the two plainest calls of each side. */
static unsigned variant(const struct conn *c, unsigned all)
{
	return c->id % (strcmp(script, "calls") ? 2 : all);
}

/*
 * The connection leaves the queue when its first read begins to block, or ends. That call took what the
 * thread did in it and for what it waited for a CPU.
 */
static void note_first_read(struct conn *c, struct span begin)
{
	struct span end = snapshot();
	uint64_t blocked_ns = blocked_between(begin, end).lo_ns;

	c->is_read = true;
	c->first_read = (struct range){ begin.after_ns, end.after_ns - blocked_ns };
}

/* @begin: when the first byte had been read. */
static bool read_request(struct conn *c, char *msg, struct range *begin)
{
	struct span span = {};
	uint64_t asked_ns, read_ns, sent_ns;
	size_t have = 0;
	ssize_t got;

	while (have < MSG_SIZE) {
		if (!c->is_read)
			span = snapshot();
		asked_ns = now_ns();
		got = readers[variant(c, NR_READERS)](c->fd, msg + have, MSG_SIZE - have);
		read_ns = now_ns();
		if (!c->is_read)
			note_first_read(c, span);
		if (got <= 0)
			return false;
		if (!have)
			*begin = (struct range){ asked_ns, read_ns };
		have += got;
	}
	/* It may have waited for the client in the read. */
	memcpy(&sent_ns, msg + TEXT_SIZE, sizeof(sent_ns));
	if ((int64_t)sent_ns > begin->lo_ns)
		begin->lo_ns = sent_ns;
	return true;
}

/* Returns when that was over. */
static struct range respond(struct conn *c, size_t len)
{
	static const char reply[MSG_SIZE] = "answer.........";
	struct range end;

	end.lo_ns = now_ns();
	if (writers[variant(c, NR_WRITERS)](c->fd, reply, len) != (ssize_t)len)
		die("write of a response");
	end.hi_ns = now_ns();
	return end;
}

static void do_work(struct worker *w, char op, unsigned ms)
{
	switch (op) {
	case 'S':
		pause_ms(w, ms);
		break;
	case 'C':
		spin_ms(ms);
		break;
	case 'L':
		hold_lock(w, &locks[0], ms);
		break;
	case 'M':
		hold_lock(w, &locks[1], ms);
		break;
	}
}

static void count_request(struct worker *w, struct conn *c, struct range latency)
{
	latencies[atomic_fetch_add(&nr_requests, 1)] = latency;
	range__add(&w->busy, latency);
	w->requests++;
	c->requests++;
}

/* Returns whether the connection goes on. */
static bool serve_one(struct worker *w, struct conn *c)
{
	char msg[MSG_SIZE + 1] = "";
	struct range begin, end;
	unsigned ms;

	if (!read_request(c, msg, &begin))
		return false;
	ms = atoi(msg + 2);
	do_work(w, msg[0], ms);
	if (msg[0] == 'N') {
		atomic_fetch_add(&nr_unanswered, 1);
		return false;
	}
	if (msg[0] == 'W') {
		respond(c, MSG_SIZE / 2);
		pause_ms(w, ms);
		end = respond(c, MSG_SIZE / 2);
	} else {
		end = respond(c, MSG_SIZE);
	}
	count_request(w, c, range__minus(end, begin));
	if (msg[0] == 'G')
		pause_ms(w, ms);
	return msg[1] == 'k';
}

static void end_connection(struct conn *c)
{
	unsigned way = c->id % 3;

	c->end.lo_ns = now_ns();
	if (way == 1)
		shutdown(c->fd, SHUT_WR);
	if (way == 2)
		shutdown(c->fd, SHUT_RDWR);
	if (way)
		c->end.hi_ns = now_ns();
	close(c->fd);
	if (!way)
		c->end.hi_ns = now_ns();
	atomic_fetch_add(&nr_ended, 1);
}

static struct conn *queue_pop(void)
{
	struct conn *c = NULL;

	pthread_mutex_lock(&queue_mutex);
	while (queue_head == queue_tail && !stopping)
		pthread_cond_wait(&queue_cond, &queue_mutex);
	if (queue_head != queue_tail)
		c = queue[queue_head++];
	pthread_mutex_unlock(&queue_mutex);
	return c;
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct conn *c;

	w->tid = name_thread("worker");
	run_delay_ns();
	pthread_barrier_wait(&all_up);
	while ((c = queue_pop())) {
		while (serve_one(w, c))
			;
		end_connection(c);
	}
	return NULL;
}

static void *idle_main(void *arg)
{
	name_thread("spare");
	pthread_barrier_wait(&all_up);
	pthread_mutex_lock(&idle_mutex);
	while (!stopping)
		pthread_cond_wait(&idle_cond, &idle_mutex);
	pthread_mutex_unlock(&idle_mutex);
	return arg;
}

static void queue_push(struct conn *c)
{
	pthread_mutex_lock(&queue_mutex);
	queue[queue_tail++] = c;
	pthread_mutex_unlock(&queue_mutex);
	pthread_cond_signal(&queue_cond);
}

static void *acceptor_main(void *arg)
{
	struct pollfd ready = { .fd = listen_fd, .events = POLLIN };
	struct range accepted;
	struct conn *c;
	unsigned id;
	int fd;

	acceptor_tid = name_thread("acceptor");
	pthread_barrier_wait(&all_up);
	for (;;) {
		id = nr_conns;
		/* In the call itself it would not know since when there was a connection. */
		if (poll(&ready, 1, -1) != 1)
			die("poll");
		accepted.lo_ns = now_ns();
		fd = id % 2 ? accept(listen_fd, NULL, NULL)
			    : accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
		accepted.hi_ns = now_ns();
		if (fd < 0)
			return arg;
		if (id == MAX_ITEMS)
			die("more than %d connections", MAX_ITEMS);
		c = &conns[id];
		*c = (struct conn){ .fd = fd, .id = id, .accepted = accepted };
		atomic_store(&nr_conns, id + 1);
		queue_push(c);
		/* The rest of the clients has to wait in the kernel's queue. */
		if (!strcmp(script, "backlog") && id == 0)
			sleep_ms(HOLD_MS);
	}
}

/* ---- the truth ---- */

static int compare_i64(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

/* Of the least and of the most that each value can be: what lies between, at any rank, is in that range. */
static void print_distribution(const char *name, const struct range *values, unsigned nr)
{
	static const struct {
		const char *name;
		unsigned percent;
	} ranks[] = { { "p50", 50 }, { "p90", 90 }, { "p99", 99 }, { "max", 100 } };
	int64_t lo[MAX_ITEMS], hi[MAX_ITEMS];
	struct range sum = {}, rank = {};

	for (unsigned i = 0; i < nr; i++) {
		range__add(&sum, values[i]);
		lo[i] = values[i].lo_ns;
		hi[i] = values[i].hi_ns;
	}
	qsort(lo, nr, sizeof(*lo), compare_i64);
	qsort(hi, nr, sizeof(*hi), compare_i64);
	printf("\"%s\":{\"count\":%u,", name, nr);
	print_range("sum", sum);
	for (unsigned i = 0; i < sizeof(ranks) / sizeof(ranks[0]); i++) {
		unsigned at = (nr * ranks[i].percent + 99) / 100;

		if (nr)
			rank = (struct range){ lo[at - 1], hi[at - 1] };
		printf(",");
		print_range(ranks[i].name, rank);
	}
	printf("}");
}

static struct range queue_end(const struct conn *c)
{
	return c->is_read ? c->first_read : c->end;
}

static void print_connections(void)
{
	struct range values[MAX_ITEMS];
	unsigned i;

	for (i = 0; i < nr_conns; i++)
		values[i] = range__minus(conns[i].end, conns[i].accepted);
	printf("\"connections\":{\"accepted\":%u,\"closed\":%u,\"open\":%u,", nr_conns, nr_ended,
	       nr_conns - nr_ended);
	print_distribution("latency_ns", values, nr_conns);
	printf("},");
}

static void print_requests(void)
{
	struct range waits[MAX_ITEMS];
	unsigned i, nr = 0;

	for (i = 0; i < nr_conns; i++)
		if (conns[i].requests)
			waits[nr++] = range__minus(queue_end(&conns[i]), conns[i].accepted);
	printf("\"requests\":{\"count\":%u,\"unanswered\":%u,", nr_requests, nr_unanswered);
	print_distribution("latency_ns", latencies, nr_requests);
	printf(",");
	print_distribution("queue_wait_ns", waits, nr);
	printf("},");
}

/*
 * Depth changes only where a connection is accepted, so its maximum is found at one of those
 * moments.
 */
static unsigned queue_max(void)
{
	unsigned i, j, depth, max = 0;

	for (i = 0; i < nr_conns; i++) {
		for (depth = 0, j = 0; j < nr_conns; j++)
			depth += conns[j].accepted.hi_ns <= conns[i].accepted.hi_ns &&
				 queue_end(&conns[j]).hi_ns > conns[i].accepted.hi_ns;
		if (depth > max)
			max = depth;
	}
	return max;
}

static void print_queue(void)
{
	struct range integral = {};
	unsigned i;

	for (i = 0; i < nr_conns; i++)
		range__add(&integral, range__minus(queue_end(&conns[i]), conns[i].accepted));
	printf("\"queue\":{\"max\":%u,\"backlog\":%d,", queue_max(), backlog);
	print_range("integral_ns", integral);
	printf("},");
}

static void print_locks(void)
{
	unsigned i;

	printf("\"locks\":[");
	for (i = 0; i < sizeof(locks) / sizeof(locks[0]); i++) {
		printf("%s{\"name\":\"%s\",\"addr\":\"%p\",", i ? "," : "", locks[i].name,
		       (void *)locks[i].mutex);
		print_distribution("wait_ns", locks[i].waits, locks[i].nr_waits);
		printf("}");
	}
	printf("],");
}

static void print_threads(void)
{
	unsigned i, active = 0;

	printf("\"threads\":[");
	for (i = 0; i < nr_workers; i++) {
		active += workers[i].requests > 0;
		printf("%s{\"tid\":%d,\"requests\":%u,", i ? "," : "", workers[i].tid, workers[i].requests);
		print_range("busy_ns", workers[i].busy);
		printf(",");
		print_range("sleep_ns", workers[i].sleep);
		printf(",");
		print_range("lock_ns", workers[i].lock);
		printf("}");
	}
	printf("],\"acceptor_tid\":%d,\"utilization\":{\"active\":%u,\"threads\":%u}", acceptor_tid,
	       active, nr_workers + nr_idle + 2);
}

static void print_truth(void)
{
	printf("{\"type\":\"truth\",\"script\":\"%s\",", script);
	print_connections();
	print_requests();
	print_queue();
	print_locks();
	print_threads();
	printf("}\n");
	fflush(stdout);
}

/* ---- main ---- */

static pid_t fork_client(int *go_fd)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) || (pid = fork()) < 0)
		die("fork");
	if (!pid) {
		close(fds[1]);
		close(listen_fd);
		client_main(fds[0]);
	}
	close(fds[0]);
	*go_fd = fds[1];
	return pid;
}

static void start_threads(pthread_t *acceptor, pthread_t *idle)
{
	unsigned i;

	pthread_barrier_init(&all_up, NULL, nr_workers + nr_idle + 2);
	for (i = 0; i < nr_workers; i++)
		if (pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]))
			die("pthread_create");
	for (i = 0; i < nr_idle; i++)
		if (pthread_create(&idle[i], NULL, idle_main, NULL))
			die("pthread_create");
	if (pthread_create(acceptor, NULL, acceptor_main, NULL))
		die("pthread_create");
	pthread_barrier_wait(&all_up);
}

static void stop_threads(pthread_t acceptor, pthread_t *idle)
{
	unsigned i;

	stopping = true;
	shutdown(listen_fd, SHUT_RDWR);
	pthread_join(acceptor, NULL);
	pthread_mutex_lock(&queue_mutex);
	pthread_cond_broadcast(&queue_cond);
	pthread_mutex_unlock(&queue_mutex);
	pthread_mutex_lock(&idle_mutex);
	pthread_cond_broadcast(&idle_cond);
	pthread_mutex_unlock(&idle_mutex);
	for (i = 0; i < nr_workers; i++)
		pthread_join(workers[i].thread, NULL);
	for (i = 0; i < nr_idle; i++)
		pthread_join(idle[i], NULL);
}

static bool run_traffic(pid_t client, int go_fd)
{
	unsigned tries;
	int status;

	if (write(go_fd, "g", 1) != 1 || waitpid(client, &status, 0) != client)
		die("client");
	for (tries = 0; tries < 5000 && nr_ended < client_count->connections; tries++)
		sleep_ms(1);
	if (status || nr_conns != client_count->connections || nr_ended != nr_conns ||
	    nr_requests != client_count->answered || nr_unanswered != client_count->unanswered) {
		fprintf(stderr,
			"server: %u connections, %u ended, %u answered; "
			"client: %u, %u answered, status %d\n",
			nr_conns, nr_ended, nr_requests, client_count->connections,
			client_count->answered, status);
		return false;
	}
	return true;
}

static unsigned parse_count(const char *text, unsigned min, unsigned max)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (!*text || *end || value < min || value > max) {
		fprintf(stderr, "known: '%s' is not a number from %u to %u\n", text, min, max);
		exit(2);
	}
	return value;
}

static void parse_script(const char *name)
{
	unsigned i;

	for (i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++)
		if (!strcmp(name, scripts[i].name)) {
			script = name;
			return;
		}
	fprintf(stderr, "known: no script '%s'\n", name);
	exit(2);
}

static void parse_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "script", required_argument, NULL, 's' },
		{ "workers", required_argument, NULL, 'w' },
		{ "idle-threads", required_argument, NULL, 'i' },
		{ "backlog", required_argument, NULL, 'b' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "s:w:i:b:", options, NULL)) != -1) {
		switch (c) {
		case 's':
			parse_script(optarg);
			break;
		case 'w':
			nr_workers = parse_count(optarg, 1, MAX_WORKERS);
			break;
		case 'i':
			nr_idle = parse_count(optarg, 0, MAX_IDLE);
			break;
		case 'b':
			backlog = parse_count(optarg, 1, 4096);
			break;
		default:
			exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	pthread_t acceptor, idle[MAX_IDLE];
	pid_t client;
	bool agreed;
	int go_fd;

	parse_options(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	listen_fd = listen_on_loopback(&server_addr, backlog);
	open_file();
	count_client();
	client = fork_client(&go_fd);
	start_threads(&acceptor, idle);
	say_ready_at(&server_addr);
	await_start();
	agreed = run_traffic(client, go_fd);
	print_truth();
	await_end_of_input();
	stop_threads(acceptor, idle);
	return agreed ? 0 : 1;
}
