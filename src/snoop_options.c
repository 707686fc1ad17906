// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "snoop_options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "fallback.h"
#include "log.h"
#include "name_service.h"
#include "snoop_records.h"
#include "units.h"


enum {
	OPT_MAX_LIFE = 256,
	OPT_COMM,
	OPT_UID,
	OPT_CGROUP,
	OPT_FOLLOW,
	OPT_FAILED,
	OPT_EXEC,
	OPT_JSON,
	OPT_ARGS_BYTES,
	OPT_BURST_MIN,
	OPT_BURST_WINDOW,
	OPT_RING_BYTES,
	OPT_COLOR,
	OPT_FORCE_FALLBACK,
	OPT_BTF,
};

static const struct option long_options[] = {
	{ "max-life", required_argument, NULL, OPT_MAX_LIFE },
	{ "comm", required_argument, NULL, OPT_COMM },
	{ "uid", required_argument, NULL, OPT_UID },
	{ "cgroup", required_argument, NULL, OPT_CGROUP },
	{ "follow", required_argument, NULL, OPT_FOLLOW },
	{ "failed", no_argument, NULL, OPT_FAILED },
	{ "exec", no_argument, NULL, OPT_EXEC },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "duration", required_argument, NULL, 'd' },
	{ "args-bytes", required_argument, NULL, OPT_ARGS_BYTES },
	{ "burst-min", required_argument, NULL, OPT_BURST_MIN },
	{ "burst-window", required_argument, NULL, OPT_BURST_WINDOW },
	{ "ring-bytes", required_argument, NULL, OPT_RING_BYTES },
	{ "color", required_argument, NULL, OPT_COLOR },
	{ "force-fallback", required_argument, NULL, OPT_FORCE_FALLBACK },
	{ "btf", required_argument, NULL, OPT_BTF },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static const char help_text[] =
	"Usage: threadprof snoop [OPTION…]\n"
	"Show every process of the host when it ends, however short it lived, and bursts of them.\n"
	"\n"
	"      --max-life MS        only those that lived less than so long\n"
	"      --comm NAME          only those of this name\n"
	"      --uid USER           only those of this user, by name or number\n"
	"      --cgroup PATH        only those in this cgroup and below, as in /proc/PID/cgroup\n"
	"      --follow PID         only this process and its descendants\n"
	"      --exec               also a line for each program that is executed\n"
	"      --failed             also a line for each execution that fails\n"
	"  -d, --duration SECONDS   end after so many seconds\n"
	"      --json               one JSON object a line instead of text\n"
	"      --args-bytes N       keep so much of the arguments (256)\n"
	"      --burst-min N        so many starts of one program from one launcher … (10)\n"
	"      --burst-window S     … within so many seconds are a burst (2)\n"
	"      --color WHEN         auto, always or never (auto: on a terminal)\n"
	"      --btf FILE           where the kernel has no BTF: a file with its BTF\n"
	"  -v, --verbose            say more about what the kernel answers\n"
	"  -h, --help               print this\n"
	"\n"
	"Examples:\n"
	"  threadprof snoop                          until Ctrl-C, then a summary\n"
	"  threadprof snoop --max-life 1000 -d 60    what lives less than a second, for a minute\n"
	"  threadprof snoop --follow \"$(pgrep -o cron)\"\n"
	"\n"
	"Exit status: 0 done, also after Ctrl-C; 1 it could not run; 2 wrong usage. Needs root, or\n"
	"CAP_BPF and CAP_PERFMON. threadprof-snoop(8) says what each number means.\n";

static int usage(const char *option, const char *arg, const char *wanted)
{
	return log__fail(
		-EINVAL,
		"\"%s\" is not right for %s, which takes %s: see 'threadprof snoop --help'", arg,
		option, wanted);
}

static int parse_uid(struct snoop_options *options, const char *arg)
{
	uint64_t uid;

	options->by_uid = true;
	if (name_service__uid(arg, &options->uid))
		return 0;
	if (units__parse_u64(arg, 0, UINT32_MAX, &uid))
		return usage("--uid", arg, "the name or number of a user");
	options->uid = uid;
	return 0;
}

static int parse_color(struct snoop_options *options, const char *arg)
{
	if (!strcmp(arg, "auto"))
		options->color = SNOOP_COLOR_AUTO;
	else if (!strcmp(arg, "always"))
		options->color = SNOOP_COLOR_ALWAYS;
	else if (!strcmp(arg, "never"))
		options->color = SNOOP_COLOR_NEVER;
	else
		return usage("--color", arg, "auto, always or never");
	return 0;
}

static int parse_ring_bytes(struct snoop_options *options, const char *arg)
{
	uint64_t bytes;

	if (units__parse_u64(arg, 4096, 1 << 30, &bytes) || (bytes & (bytes - 1)))
		return usage("--ring-bytes", arg, "a power of two from 4096 to 1073741824");
	options->ring_bytes = bytes;
	return 0;
}

/* What to look for. 1: it is another kind of option. */
static int parse_filter(struct snoop_options *options, int option, const char *arg)
{
	uint64_t pid;

	switch (option) {
	case OPT_MAX_LIFE:
		if (units__parse_u64(arg, 1, 365 * 86400000ULL, &options->max_life_ns))
			return usage("--max-life", arg, "whole milliseconds from 1 up");
		options->max_life_ns *= NS_PER_MS;
		return 0;
	case OPT_COMM:
		if (!arg[0] || strlen(arg) >= TP_COMM_LEN)
			return usage("--comm", arg,
				     "a name of 1 to 15 bytes, as ps -o comm shows it");
		options->comm = arg;
		return 0;
	case OPT_UID:
		return parse_uid(options, arg);
	case OPT_CGROUP:
		if (arg[0] != '/')
			return usage("--cgroup", arg,
				     "a path that begins with /, as in /proc/PID/cgroup");
		options->cgroup = arg;
		return 0;
	case OPT_FOLLOW:
		if (units__parse_u64(arg, 1, INT32_MAX, &pid))
			return usage("--follow", arg, "the pid of a process");
		options->follow = pid;
		return 0;
	case OPT_FAILED:
		options->failed = true;
		return 0;
	case OPT_EXEC:
		options->exec = true;
		return 0;
	default:
		return 1;
	}
}

static int parse_one(struct snoop_options *options, int option, const char *arg)
{
	int done = parse_filter(options, option, arg);

	if (done <= 0)
		return done;
	switch (option) {
	case 'd':
		if (units__parse_seconds(arg, NS_PER_SEC / 10, 365 * 86400 * NS_PER_SEC,
					 &options->duration_ns))
			return usage("-d", arg, "seconds from 0.1 up");
		return 0;
	case OPT_JSON:
		options->json = true;
		return 0;
	case OPT_ARGS_BYTES:
		if (units__parse_u64(arg, 1, SNOOP_MAX_ARGS_BYTES, &options->args_bytes))
			return usage("--args-bytes", arg, "a whole number from 1 to 16384");
		return 0;
	case OPT_BURST_MIN:
		if (units__parse_u64(arg, 2, 60000, &options->burst_min))
			return usage("--burst-min", arg, "a whole number from 2 to 60000");
		return 0;
	case OPT_BURST_WINDOW:
		if (units__parse_seconds(arg, NS_PER_MS, 60 * NS_PER_SEC,
					 &options->burst_window_ns))
			return usage("--burst-window", arg, "seconds from 0.001 to 60");
		return 0;
	case OPT_RING_BYTES:
		return parse_ring_bytes(options, arg);
	case OPT_BTF:
		options->btf = arg;
		return *arg ? 0 : usage("--btf", arg, "the name of a file");
	case OPT_FORCE_FALLBACK:
		return fallback__parse(arg, &options->force_fallback);
	case OPT_COLOR:
		return parse_color(options, arg);
	case 'v':
		options->verbose = true;
		return 0;
	case 'h':
		fputs(help_text, stdout);
		return 1;
	default:
		/* getopt has named the culprit. */
		return log__fail(-EINVAL, "see 'threadprof snoop --help' for what it takes");
	}
}

int snoop_options__parse(struct snoop_options *options, int argc, char **argv)
{
	int option, done;

	*options = (struct snoop_options){
		.args_bytes = 256,
		.burst_min = 10,
		.burst_window_ns = 2 * NS_PER_SEC,
	};
	while ((option = getopt_long(argc, argv, "+d:vh", long_options, NULL)) != -1) {
		done = parse_one(options, option, optarg);
		if (done)
			return done;
	}
	if (optind < argc)
		return log__fail(-EINVAL,
				 "\"%s\" is one argument too many: see 'threadprof snoop --help'",
				 argv[optind]);
	return 0;
}
