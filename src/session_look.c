// SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause)
/*
 * The part of session.h that looks at threads and sockets as they are: by iterators, or, where switches are seen in a
 * way that does without the kernel's BTF, by a program that is run for each thread that /proc has.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "each_entry.h"
#include "proc_walk.h"
#include "session_impl.h"
#include "test_run.h"

/* --- iterators --- */

/* Splits what an iterator wrote into records; a record may lie across two reads. */
static int read_records(int fd, session_record_fn fn, void *context)
{
	_Alignas(8) char buffer[64 * 1024];
	size_t used = 0, at;
	ssize_t got;

	while ((got = read(fd, buffer + used, sizeof(buffer) - used)) != 0) {
		if (got < 0) {
			if (errno == EINTR || errno == EAGAIN)
				continue;
			return -errno;
		}
		used += got;
		for (at = 0; used - at >= sizeof(struct tp_rec);) {
			const struct tp_rec *rec = (const struct tp_rec *)(buffer + at);

			if (rec->size < sizeof(*rec) || rec->size > used - at)
				break;
			if (fn)
				fn(context, rec);
			at += rec->size;
		}
		memmove(buffer, buffer + at, used - at);
		used -= at;
	}
	return used ? -EPROTO : 0;
}

static int iterate(struct bpf_link *link, session_record_fn fn, void *context)
{
	int fd, err;

	if (!link)
		return -EOPNOTSUPP;
	fd = bpf_iter_create(bpf_link__fd(link));
	if (fd < 0)
		return -errno;
	err = read_records(fd, fn, context);
	close(fd);
	return err;
}

/* --- programs that are run --- */

static bool has_iterators(const struct session *session)
{
	return bpf_program__autoload(session->skel->progs.adopt_threads);
}

struct thread_walk {
	struct session *session;
	const struct bpf_program *program;
	session_record_fn fn; /* NULL: the program delivers nothing */
	void *context;
	int err;
};

static void deliver(const struct thread_walk *walk)
{
	const struct tp_found *found = &walk->session->skel->bss->found;

	if (found->has_thread)
		walk->fn(walk->context, &found->thread.h);
	for (size_t i = 0; i < found->nr_sockets && i < TP_MAX_FOUND; i++)
		walk->fn(walk->context, &found->sockets[i].h);
}

static int run_for_thread(void *context, uint32_t tid)
{
	const struct thread_walk *walk = context;
	const struct tp_found *found = &walk->session->skel->bss->found;
	uint32_t fd = 0;
	int err;

	/* It ends: each run begins above the one before. */
	do {
		err = test_run(walk->program, tid, fd);
		if (!err && walk->fn)
			deliver(walk);
		fd = found->next_fd;
	} while (!err && fd);
	return err;
}

static bool run_for_target(void *context, const void *key, const void *value)
{
	struct thread_walk *walk = context;
	uint32_t tgid;

	(void)value;
	memcpy(&tgid, key, sizeof(tgid));
	if (!walk->err)
		walk->err = proc_walk__threads(tgid, run_for_thread, walk);
	return false;
}

static int run_for_targets(struct session *session, const struct bpf_program *program, session_record_fn fn,
			   void *context)
{
	struct thread_walk walk = { .session = session, .program = program, .fn = fn, .context = context };
	int err = each_entry(session->skel->maps.targets, session->reads_alone, run_for_target, &walk);

	return err ?: walk.err;
}

int session__check_types(struct session *session)
{
	const struct tp_found *found = &session->skel->bss->found;
	int err;

	if (has_iterators(session))
		return 0;
	err = test_run(session->skel->progs.adopt_thread, getpid(), 0);
	return test_run__check_self(err, found->tgid, found->comm);
}

/* --- either way --- */

int session__adopt(struct session *session)
{
	if (has_iterators(session))
		return iterate(session->skel->links.adopt_threads, NULL, NULL);
	return run_for_targets(session, session->skel->progs.adopt_thread, NULL, NULL);
}

int session__snapshot_threads(struct session *session, session_record_fn fn, void *context)
{
	if (has_iterators(session))
		return iterate(session->skel->links.snapshot_threads, fn, context);
	return run_for_targets(session, session->skel->progs.snapshot_thread, fn, context);
}

int session__snapshot_sockets(struct session *session, session_record_fn fn, void *context)
{
	session->skel->bss->nr_io_urings = 0;
	if (has_iterators(session))
		return iterate(session->skel->links.snapshot_sockets, fn, context);
	return run_for_targets(session, session->skel->progs.snapshot_thread_sockets, fn, context);
}
