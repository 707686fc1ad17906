// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "fallback.h"
#include "log.h"
#include "units.h"
#include "version.h"


enum {
	OPT_JSON = 256,
	OPT_SLOW,
	OPT_TOP,
	OPT_COLOR,
	OPT_RESOLVE,
	OPT_RING_BYTES,
	OPT_MAX_CONNECTIONS,
	OPT_REFUSE,
	OPT_FORCE_FALLBACK,
	OPT_SWITCH_PROBE,
	OPT_MAX_OVERHEAD,
	OPT_CGROUP,
	OPT_CONTAINER,
	OPT_FOLDED,
	OPT_BASELINE,
	OPT_LOCKS,
	OPT_BTF,
};

static const struct option long_options[] = {
	{ "pid", required_argument, NULL, 'p' },
	{ "follow", no_argument, NULL, 'f' },
	{ "interval", required_argument, NULL, 'i' },
	{ "count", required_argument, NULL, 'n' },
	{ "duration", required_argument, NULL, 'd' },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "slow", required_argument, NULL, OPT_SLOW },
	{ "top", required_argument, NULL, OPT_TOP },
	{ "resolve", no_argument, NULL, OPT_RESOLVE },
	{ "color", required_argument, NULL, OPT_COLOR },
	{ "ring-bytes", required_argument, NULL, OPT_RING_BYTES },
	{ "max-connections", required_argument, NULL, OPT_MAX_CONNECTIONS },
	{ "refuse", required_argument, NULL, OPT_REFUSE },
	{ "force-fallback", required_argument, NULL, OPT_FORCE_FALLBACK },
	{ "switch-probe", required_argument, NULL, OPT_SWITCH_PROBE },
	{ "locks", required_argument, NULL, OPT_LOCKS },
	{ "max-overhead", required_argument, NULL, OPT_MAX_OVERHEAD },
	{ "cgroup", required_argument, NULL, OPT_CGROUP },
	{ "container", required_argument, NULL, OPT_CONTAINER },
	{ "folded", required_argument, NULL, OPT_FOLDED },
	{ "baseline", required_argument, NULL, OPT_BASELINE },
	{ "btf", required_argument, NULL, OPT_BTF },
	{ "verbose", no_argument, NULL, 'v' },
	{ "version", no_argument, NULL, 'V' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static const char help_text[] =
	"Usage: threadprof [OPTION…] -p PID[,PID…]\n"
	"       threadprof [OPTION…] --cgroup PATH | --container ID\n"
	"       threadprof [OPTION…] -- COMMAND [ARG…]\n"
	"Tell what a server's threads are doing and where its requests' time goes.\n"
	"\n"
	"  -p, --pid PID[,PID…]    the processes to profile\n"
	"  -f, --follow            also their child processes, those they have and those to come\n"
	"      --cgroup PATH       all processes in a cgroup and below it\n"
	"      --container ID      all processes of a container; ID may be cut\n"
	"  -i, --interval SECONDS  report every so many seconds (10)\n"
	"  -n, --count COUNT       end after so many reports\n"
	"  -d, --duration SECONDS  end after so many seconds\n"
	"      --json              one JSON object a line instead of text\n"
	"      --slow MS           list every request that took at least so long, not only the\n"
	"                          slowest five\n"
	"      --top N             show so many threads one by one (10)\n"
	"      --resolve           host and service names for the addresses of peers\n"
	"      --folded FILE       at the end, write where threads waited, by state, one stack a line\n"
	"                          for flame graph tools\n"
	"      --baseline FILE     say what changed since FILE, the --json output of a good time\n"
	"      --color WHEN        auto, always or never (auto: on a terminal)\n"
	"      --switch-probe PROBE\n"
	"                          see thread switches by sched_switch or by finish_task_switch\n"
	"                          (auto: what the kernel offers, in this order)\n"
	"      --locks SOURCE      scheduler: waits, at no cost; uprobe: every call of a lock function,\n"
	"                          at a cost, see --max-overhead; off (scheduler)\n"
	"      --max-overhead PERCENT\n"
	"                          of one CPU that measuring may take from the target (5)\n"
	"      --btf FILE          where the kernel has no BTF: a file with its BTF\n"
	"  -v, --verbose           say more about what the kernel answers\n"
	"  -V, --version           print the version\n"
	"  -h, --help              print this\n"
	"\n"
	"Examples:\n"
	"  threadprof -p 1234                        a report every 10 s until Ctrl-C\n"
	"  threadprof -f -p \"$(pgrep -o nginx)\"      a pre-fork server, from its master\n"
	"  threadprof -p 1234 -i 1 -n 30 --json      30 s for a program to read\n"
	"  threadprof -d 60 -- python3 server.py     start a server and watch it for a minute\n"
	"\n"
	"Also: threadprof snoop --help    every process of the host when it ends\n"
	"      threadprof check --help    what this kernel, your rights and a process allow\n"
	"\n"
	"Exit status: 0 done, also after Ctrl-C or the target's end; 1 it could not run; 2 wrong\n"
	"usage. Needs root, or CAP_BPF and CAP_PERFMON. threadprof(8) says what each number means.\n";

static int usage(const char *option, const char *arg, const char *wanted)
{
	return log__fail(-EINVAL, "\"%s\" is not right for %s, which takes %s: see 'threadprof --help'", arg, option,
			 wanted);
}

static int parse_color(struct options *options, const char *arg)
{
	if (!strcmp(arg, "auto"))
		options->color = COLOR_AUTO;
	else if (!strcmp(arg, "always"))
		options->color = COLOR_ALWAYS;
	else if (!strcmp(arg, "never"))
		options->color = COLOR_NEVER;
	else
		return usage("--color", arg, "auto, always or never");
	return 0;
}

static int parse_locks(struct options *options, const char *arg)
{
	if (!strcmp(arg, "scheduler"))
		options->locks = LOCKS_SCHEDULER;
	else if (!strcmp(arg, "uprobe"))
		options->locks = LOCKS_UPROBE;
	else if (!strcmp(arg, "off"))
		options->locks = LOCKS_OFF;
	else
		return usage("--locks", arg, "scheduler, uprobe or off");
	return 0;
}

static int parse_switch_probe(struct options *options, const char *arg)
{
	if (!strcmp(arg, "auto"))
		options->switch_probe = SWITCH_PROBE_AUTO;
	else if (!strcmp(arg, "sched_switch"))
		options->switch_probe = SWITCH_PROBE_TRACEPOINT;
	else if (!strcmp(arg, "finish_task_switch"))
		options->switch_probe = SWITCH_PROBE_FUNCTION;
	else
		return usage("--switch-probe", arg, "auto, sched_switch or finish_task_switch");
	return 0;
}

static int parse_ring_bytes(struct options *options, const char *arg)
{
	uint64_t bytes;

	if (units__parse_u64(arg, 4096, 1 << 30, &bytes) || (bytes & (bytes - 1)))
		return usage("--ring-bytes", arg, "a power of two from 4096 to 1073741824");
	options->ring_bytes = bytes;
	return 0;
}

static int parse_number(struct options *options, int option, const char *arg)
{
	switch (option) {
	case 'i':
		if (units__parse_seconds(arg, NS_PER_SEC / 100, 86400 * NS_PER_SEC, &options->interval_ns))
			return usage("-i", arg, "seconds from 0.01 to 86400");
		return 0;
	case 'n':
		if (units__parse_u64(arg, 1, UINT32_MAX, &options->count))
			return usage("-n", arg, "a whole number from 1 up");
		return 0;
	case 'd':
		if (units__parse_seconds(arg, NS_PER_SEC / 100, 365 * 86400 * NS_PER_SEC, &options->duration_ns))
			return usage("-d", arg, "seconds from 0.01 up");
		return 0;
	case OPT_SLOW:
		if (units__parse_u64(arg, 1, 86400000, &options->slow_ns))
			return usage("--slow", arg, "whole milliseconds from 1 up");
		options->slow_ns *= NS_PER_MS;
		return 0;
	case OPT_TOP:
		if (units__parse_u64(arg, 0, 1024, &options->top_threads))
			return usage("--top", arg, "a whole number from 0 to 1024");
		return 0;
	case OPT_MAX_CONNECTIONS:
		if (units__parse_u64(arg, 1, 1 << 24, &options->max_conns))
			return usage("--max-connections", arg, "a whole number from 1 to 16777216");
		return 0;
	case OPT_MAX_OVERHEAD:
		if (units__parse_percent(arg, 0.1, 100, &options->max_overhead_ratio))
			return usage("--max-overhead", arg, "a percentage of one CPU, from 0.1 to 100");
		return 0;
	default:
		/* getopt has named the culprit. */
		return log__fail(-EINVAL, "see 'threadprof --help' for what it takes");
	}
}

static int parse_one(struct options *options, int option, const char *arg)
{
	switch (option) {
	case 'p':
		if (options->pids)
			return usage("-p", arg, "all processes at once, separated by commas");
		options->pids = arg;
		return 0;
	case OPT_CGROUP:
		options->cgroup = arg;
		return 0;
	case OPT_CONTAINER:
		options->container = arg;
		return 0;
	case 'f':
		options->follow = true;
		return 0;
	case OPT_JSON:
		options->json = true;
		return 0;
	case OPT_RESOLVE:
		options->resolve = true;
		return 0;
	case OPT_FOLDED:
		options->folded = arg;
		return *arg ? 0 : usage("--folded", arg, "the name of a file");
	case OPT_COLOR:
		return parse_color(options, arg);
	case OPT_RING_BYTES:
		return parse_ring_bytes(options, arg);
	case OPT_SWITCH_PROBE:
		return parse_switch_probe(options, arg);
	case OPT_LOCKS:
		return parse_locks(options, arg);
	case OPT_BASELINE:
		options->baseline = arg;
		return 0;
	case OPT_BTF:
		options->btf = arg;
		return *arg ? 0 : usage("--btf", arg, "the name of a file");
	case OPT_REFUSE:
		options->refuse = arg;
		return 0;
	case OPT_FORCE_FALLBACK:
		return fallback__parse(arg, &options->force_fallback);
	case 'v':
		options->verbose = true;
		return 0;
	case 'V':
		puts("threadprof " THREADPROF_VERSION);
		return 1;
	case 'h':
		fputs(help_text, stdout);
		return 1;
	default:
		return parse_number(options, option, arg);
	}
}

static int check_target(struct options *options)
{
	int given = !!options->pids + !!options->cgroup + !!options->container + !!options->command;

	/* Who forks in a cgroup has its children there. */
	if (options->cgroup || options->container)
		options->follow = true;
	if (given > 1 && options->command)
		return log__fail(-EINVAL, "either -p or a command, not both: \"%s\" is one argument too many",
				 options->command[0]);
	if (given > 1)
		return log__fail(-EINVAL, "only one of -p, --cgroup and --container: see 'threadprof --help'");
	if (!given)
		return log__fail(-EINVAL, "which process? Give -p PID, or a command after --: see 'threadprof --help'");
	return 0;
}

int options__parse(struct options *options, int argc, char **argv)
{
	int option, done;

	*options = (struct options){ .interval_ns = 10 * NS_PER_SEC, .top_threads = 10, .max_overhead_ratio = 0.05 };
	while ((option = getopt_long(argc, argv, "+p:fi:n:d:vVh", long_options, NULL)) != -1) {
		done = parse_one(options, option, optarg);
		if (done)
			return done;
	}
	if (optind < argc)
		options->command = argv + optind;
	return check_target(options);
}
