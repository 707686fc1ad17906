// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
#include "check.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cgroup.h"
#include "check_list.h"
#include "check_target.h"
#include "clock.h"
#include "fallback.h"
#include "feature.h"
#include "json.h"
#include "kernel_btf.h"
#include "log.h"
#include "meter.h"
#include "neighbours.h"
#include "pidns.h"
#include "probes.h"
#include "rights.h"
#include "session.h"
#include "try_uprobe.h"

#define NAME_COLUMNS 22
#define STATE_COLUMNS 10
#define MIN_COLUMNS 60

enum { OPT_JSON = 256, OPT_REFUSE, OPT_FORCE_FALLBACK, OPT_BTF };

static const struct option long_options[] = {
	{ "pid", required_argument, NULL, 'p' },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "refuse", required_argument, NULL, OPT_REFUSE },
	{ "force-fallback", required_argument, NULL, OPT_FORCE_FALLBACK },
	{ "btf", required_argument, NULL, OPT_BTF },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static const char help_text[] =
	"Usage: threadprof check [OPTION…]\n"
	"Find out by trying what this kernel, these rights and a process allow, and what to do\n"
	"about the rest.\n"
	"\n"
	"  -p, --pid PID[,PID…]     also what these processes allow\n"
	"      --btf FILE           where the kernel has no BTF: a file with its BTF\n"
	"      --json               one JSON object a line instead of text\n"
	"  -v, --verbose            say more about what the kernel answers\n"
	"  -h, --help               print this\n"
	"\n"
	"Exit status: 0 threads, requests and locks can be measured; 1 they can't; 2 wrong usage.\n";

int check__parse(struct check_options *options, int argc, char **argv)
{
	int option;

	*options = (struct check_options){ 0 };
	while ((option = getopt_long(argc, argv, "+p:vh", long_options, NULL)) != -1) {
		switch (option) {
		case 'p':
			if (options->pids)
				return log__fail(-EINVAL, "-p takes all processes at once, separated by commas");
			options->pids = optarg;
			break;
		case OPT_JSON:
			options->json = true;
			break;
		case OPT_BTF:
			options->btf = optarg;
			break;
		case OPT_REFUSE:
			options->refuse = optarg;
			break;
		case OPT_FORCE_FALLBACK:
			if (fallback__parse(optarg, &options->force_fallback))
				return -EINVAL;
			break;
		case 'v':
			options->verbose = true;
			break;
		case 'h':
			fputs(help_text, stdout);
			return 1;
		default:
			return log__fail(-EINVAL, "see 'threadprof check --help' for what it takes");
		}
	}
	if (optind < argc)
		return log__fail(-EINVAL, "\"%s\" is one argument too many: see 'threadprof check --help'", argv[optind]);
	return 0;
}

/* --- findings --- */

static void add_all(struct check *check, const struct report_feature *features, size_t count)
{
	for (size_t i = 0; i < count; i++)
		check__add(check, features[i].name, features[i].state, features[i].reason, features[i].remedy);
}

/* --- the kernel --- */

/* Loads and attaches what a report needs, and lets go of it again. */
static void try_session(struct check *check, const char *refuse)
{
	const struct session_config config = { .switch_probe = SWITCH_PROBE_AUTO, .refuse = refuse };
	struct report_feature features[NR_FEATURES];
	struct neighbours *neighbours = NULL;
	struct session *session = NULL;
	struct meter *meter = meter__new();
	char said[256];
	int err, bursts_error;

	log__divert(said, sizeof(said));
	err = session__open(&config, &session);
	if (!err)
		err = session__attach(session);
	bursts_error = err ? 0 : neighbours__new(&neighbours);
	log__divert(NULL, 0);
	if (err) {
		check__add(check, "thread_states", "off", said, "a newer kernel, or one with fewer restrictions");
		check->fails = true;
	} else {
		features__read(session, bursts_error, meter ? meter__error(meter) : -ENOMEM, features);
		add_all(check, features, NR_FEATURES);
		add_all(check, feature__locks(LOCKS_SCHEDULER), 1);
		check->fails = !session__has(session, SESSION_REQUESTS);
	}
	meter__free(meter);
	neighbours__free(neighbours);
	session__free(session);
}

static void try_switch_function(struct check *check)
{
	const struct session_config config = { .switch_probe = SWITCH_PROBE_FUNCTION };
	struct session *session = NULL;
	char said[256];
	int err;

	log__divert(said, sizeof(said));
	err = session__open(&config, &session);
	log__divert(NULL, 0);
	session__free(session);
	if (err)
		check__add(check, "finish_task_switch", "off", said, "none is needed where thread_states is on");
	else
		check__add(check, "finish_task_switch", "on", NULL, NULL);
}

static void check_uprobes(struct check *check)
{
	char text[128];
	int err = try_uprobe();

	if (!err) {
		check__add(check, "uprobes", "on", NULL, NULL);
		return;
	}
	snprintf(text, sizeof(text), "no function of a program can be probed: %s", strerror(-err));
	check__add(check, "uprobes", "off", text,
		   err == -EPERM || err == -EACCES ? "add CAP_SYS_ADMIN, which perf_event_open(2) asks for" :
						     "a kernel built with CONFIG_UPROBE_EVENTS");
}

static void check_cgroups(struct check *check)
{
	struct cgroups *cgroups = cgroups__new();
	const char *why = cgroups ? cgroups__why_unknown(cgroups) : "there is no memory left";
	char text[256];

	cgroups__free(cgroups);
	snprintf(text, sizeof(text), "'threadprof snoop' can't tell in which cgroup a process was: %s", why ? why : "");
	if (why)
		check__add(check, "cgroup_names", "off", text, "add CAP_DAC_READ_SEARCH; mount cgroup version 2");
	else
		check__add(check, "cgroup_names", "on", NULL, NULL);
}

static void check_kernel(struct check *check, const struct targets *targets, const char *refuse)
{
	struct report_feature features[RIGHTS_NR_FEATURES];
	struct host_lack lack;

	if (probes__find_lack(&lack)) {
		check__add(check, "tracing", "off", lack.reason, lack.remedy);
		check->fails = true;
		return;
	}
	if (kernel_btf__file())
		check__add(check, "tracing", "fallback",
			   "the kernel's types are taken from a file, and nothing is used that takes its own BTF",
			   "a kernel built with CONFIG_DEBUG_INFO_BTF=y, without --btf");
	else
		check__add(check, "tracing", "on", NULL, NULL);
	try_session(check, refuse);
	try_switch_function(check);
	check_uprobes(check);
	check_cgroups(check);
	rights__features(targets, features);
	for (int i = 0; i < RIGHTS_NR_FEATURES; i++) {
		if (i != RIGHTS_SYMBOLS || targets->nr)
			add_all(check, &features[i], 1);
	}
}

/* --- output --- */

static int terminal_columns(void)
{
	struct winsize size;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || size.ws_col < MIN_COLUMNS ? 80 : size.ws_col;
}

/* Prints @text from the third column on, in lines that end between words; what is before it, is printed. */
static void print_wrapped(const char *text, int columns)
{
	int room = columns - NAME_COLUMNS - STATE_COLUMNS;

	while ((int)strlen(text) > room) {
		int cut = room;

		while (cut && text[cut] != ' ')
			cut--;
		if (!cut)
			break;
		printf("%.*s\n%*s", cut, text, NAME_COLUMNS + STATE_COLUMNS, "");
		text += cut + 1;
	}
	printf("%s\n", text);
}

static void print_text(const struct check *check)
{
	int columns = terminal_columns();

	for (size_t i = 0; i < check->nr; i++) {
		const struct report_feature *f = &check->list[i];
		char remedy[256];

		if (!f->reason) {
			printf("%-*s%s\n", NAME_COLUMNS, f->name, f->state);
			continue;
		}
		printf("%-*s%-*s", NAME_COLUMNS, f->name, STATE_COLUMNS, f->state);
		print_wrapped(f->reason, columns);
		if (!f->remedy)
			continue;
		snprintf(remedy, sizeof(remedy), "remedy: %s", f->remedy);
		printf("%*s", NAME_COLUMNS + STATE_COLUMNS, "");
		print_wrapped(remedy, columns);
	}
}

static int print_json(const struct check *check)
{
	struct timespec now;
	int err = 0;

	clock_gettime(CLOCK_REALTIME, &now);
	for (size_t i = 0; i < check->nr && !err; i++)
		err = json__write_feature(stdout, &check->list[i], &now, clock__now_ns());
	return err;
}

int check__run(const struct check_options *options)
{
	struct check check = { 0 };
	struct targets targets = { 0 };
	char said[256];
	int err = pidns__check_proc();

	if (err)
		return err;
	probes__force(options->force_fallback, options->btf);
	log__divert(said, sizeof(said));
	err = options->pids ? targets__parse(&targets, options->pids) : 0;
	log__divert(NULL, 0);
	check_kernel(&check, &targets, options->refuse);
	for (size_t i = 0; i < targets.nr && !err; i++)
		check__target(&check, &targets.list[i]);
	if (err) {
		check__add(&check, "target", "off", said, "another process");
		check.fails = true;
	}
	targets__free(&targets);
	err = 0;
	if (options->json)
		err = print_json(&check);
	else
		print_text(&check);
	if (err || fflush(stdout))
		return log__fail(err ?: -errno, "cannot write to standard output");
	return check.fails ? -EOPNOTSUPP : 0;
}
