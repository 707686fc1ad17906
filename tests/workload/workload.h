/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * What the known-answer workloads share: clocks, how they begin and end, and a truth that knows how sure it is.
 *
 * No clock is read at the very moment that a profiler sees: a figure is a range, from the least to the most
 * that it can be by the clocks read before and after. Whoever takes the CPU meanwhile makes it wider.
 */
#ifndef WORKLOAD_H
#define WORKLOAD_H

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* A moment or a time. */
struct range {
	int64_t lo_ns, hi_ns;
};

/* A thread's own clocks, read after the one moment and before the other. */
struct span {
	uint64_t before_ns, after_ns, cpu_ns, delay_ns;
	long sleeps, preemptions;
};

__attribute__((noreturn, format(printf, 1, 2))) static inline void die(const char *format, ...)
{
	int saved = errno;
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, ": %s\n", strerror(saved));
	_exit(1);
}

/* A workload that has nothing else to say before it starts. */
static inline void say_ready(void)
{
	printf("{\"type\":\"ready\",\"pid\":%d}\n", (int)getpid());
	fflush(stdout);
}

/* A line starts it; where the input ends instead, that is its end. */
static inline void await_start(void)
{
	char line[64];

	if (!fgets(line, sizeof(line), stdin))
		exit(0);
}

/* Having told its truth it stays, to be looked at. */
static inline void await_end_of_input(void)
{
	char line[64];

	while (fgets(line, sizeof(line), stdin))
		;
}

static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static inline uint64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static inline void sleep_until(uint64_t at_ns)
{
	struct timespec ts = { at_ns / 1000000000ull, at_ns % 1000000000ull };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
}

static inline void sleep_ms(unsigned ms)
{
	sleep_until(now_ns() + ms * 1000000ull);
}

static inline void sleep_us(unsigned us)
{
	sleep_until(now_ns() + us * 1000ull);
}

static inline uint64_t read_run_delay(int fd)
{
	unsigned long long cpu, delay = 0;
	char text[96];
	ssize_t len = fd < 0 ? 0 : pread(fd, text, sizeof(text) - 1, 0);

	if (len <= 0)
		return 0;
	text[len] = '\0';
	return sscanf(text, "%llu %llu", &cpu, &delay) == 2 ? delay : 0;
}

/* How long this thread has been runnable without a CPU; 0 where the kernel does not count that. */
static inline uint64_t run_delay_ns(void)
{
	static __thread int fd = -1;

	if (fd < 0)
		fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
	return read_run_delay(fd);
}

/* The same of another thread of this process. */
static inline uint64_t run_delay_of(pid_t tid)
{
	char path[64];
	uint64_t delay_ns;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/schedstat", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	delay_ns = read_run_delay(fd);
	if (fd >= 0)
		close(fd);
	return delay_ns;
}

/* How often another thread of this process has gone to sleep. */
static inline uint64_t sleeps_of(pid_t tid)
{
	unsigned long long sleeps = 0;
	char path[64], line[128];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", tid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "voluntary_ctxt_switches: %llu", &sleeps) == 1)
			break;
	if (file)
		fclose(file);
	return sleeps;
}

/* A thread that loses its CPU between two of the clocks knows little: then again. */
static inline struct span snapshot(void)
{
	struct span span;
	struct rusage usage;

	for (unsigned tries = 0; tries < 20; tries++) {
		span.before_ns = now_ns();
		span.delay_ns = run_delay_ns();
		span.cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
		getrusage(RUSAGE_THREAD, &usage);
		span.after_ns = now_ns();
		if (span.after_ns - span.before_ns < 20000)
			break;
	}
	span.sleeps = usage.ru_nvcsw;
	span.preemptions = usage.ru_nivcsw;
	return span;
}

/* How long this thread was blocked between the two: neither on a CPU nor waiting for one. */
static inline struct range blocked_between(struct span begin, struct span end)
{
	int64_t used = end.cpu_ns - begin.cpu_ns + end.delay_ns - begin.delay_ns;
	int64_t least = end.before_ns - begin.after_ns - used;
	int64_t most = end.after_ns - begin.before_ns - used;

	return (struct range){ least > 0 ? least : 0, most > 0 ? most : 0 };
}

static inline void range__add(struct range *sum, struct range more)
{
	sum->lo_ns += more.lo_ns;
	sum->hi_ns += more.hi_ns;
}

static inline struct range range__minus(struct range from, struct range what)
{
	return (struct range){ from.lo_ns - what.hi_ns, from.hi_ns - what.lo_ns };
}

/* One member of a JSON object: [least, most]. */
static inline void print_range(const char *name, struct range range)
{
	printf("\"%s\":[%lld,%lld]", name, (long long)range.lo_ns, (long long)range.hi_ns);
}

#endif
