// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/*
 * The load for `make demo`: keep-alive and closing clients on loopback, each with a steady rate,
 * so that the server is busy but not overrun. On SIGTERM it says what it measured itself.
 *
 * usage: client PORT
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define KEEPALIVE_CLIENTS 8
#define CLOSING_CLIENTS 4
#define PERIOD_NS 24000000
#define ORDER_EVERY 5

static struct sockaddr_in server;
static uint64_t started_ns;
static struct {
	pthread_mutex_t lock;
	uint64_t count, errors, sum_ns, max_ns;
} total = { .lock = PTHREAD_MUTEX_INITIALIZER };

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void sleep_until(uint64_t ns)
{
	struct timespec ts = { .tv_sec = (time_t)(ns / 1000000000),
			       .tv_nsec = (long)(ns % 1000000000) };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
}

static int connect_server(void)
{
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&server, sizeof(server))) {
		close(fd);
		return -1;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

/* The server answers in one piece, so one read is the whole answer. */
static bool ask(int fd, bool order, bool closing)
{
	char text[256];
	int len = snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: demo\r\n%s\r\n",
			   order ? "POST /order" : "GET /", closing ? "Connection: close\r\n" : "");

	return send(fd, text, (size_t)len, MSG_NOSIGNAL) == len &&
	       recv(fd, text, sizeof(text), 0) > 0;
}

static void account(bool ok, uint64_t ns)
{
	pthread_mutex_lock(&total.lock);
	if (ok) {
		total.count++;
		total.sum_ns += ns;
		if (ns > total.max_ns)
			total.max_ns = ns;
	} else {
		total.errors++;
	}
	pthread_mutex_unlock(&total.lock);
}

/* Between half and one and a half periods: all at the same pace would never meet in a queue. */
static uint64_t next_time(uint64_t from, unsigned int *seed)
{
	return from + PERIOD_NS / 2 + (uint64_t)rand_r(seed) % PERIOD_NS;
}

static void *client(void *arg)
{
	unsigned int id = (unsigned int)(uintptr_t)arg, seed = id + 1;
	bool closing = id >= KEEPALIVE_CLIENTS;
	uint64_t due = next_time(now_ns(), &seed);
	int fd = -1;

	for (unsigned int i = id;; i++) {
		uint64_t begin;
		bool ok;

		sleep_until(due);
		due = next_time(due, &seed);
		begin = now_ns();
		if (fd < 0)
			fd = connect_server();
		ok = fd >= 0 && ask(fd, i % ORDER_EVERY == 0, closing);
		account(ok, now_ns() - begin);
		if (fd >= 0 && (closing || !ok)) {
			close(fd);
			fd = -1;
		}
	}
	return NULL;
}

static void print_total(void)
{
	double seconds = (double)(now_ns() - started_ns) / 1e9;
	double count = total.count ? (double)total.count : 1;

	pthread_mutex_lock(&total.lock);
	printf("the clients measured: %llu requests (%.0f/s), %llu errors, mean %.2f ms, max %.2f ms\n",
	       (unsigned long long)total.count, (double)total.count / seconds,
	       (unsigned long long)total.errors, (double)total.sum_ns / count / 1e6,
	       (double)total.max_ns / 1e6);
	pthread_mutex_unlock(&total.lock);
}

int main(int argc, char **argv)
{
	pthread_t thread;
	sigset_t end;
	int sig;

	if (argc != 2) {
		fprintf(stderr, "usage: %s PORT\n", argv[0]);
		return 2;
	}
	server = (struct sockaddr_in){ .sin_family = AF_INET,
				       .sin_port = htons((uint16_t)atoi(argv[1])),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	sigemptyset(&end);
	sigaddset(&end, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &end, NULL);
	started_ns = now_ns();
	for (uintptr_t i = 0; i < KEEPALIVE_CLIENTS + CLOSING_CLIENTS; i++) {
		if (pthread_create(&thread, NULL, client, (void *)i)) {
			perror("pthread_create");
			return 1;
		}
	}
	sigwait(&end, &sig);
	print_total();
	return 0;
}
