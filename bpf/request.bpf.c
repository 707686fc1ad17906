// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * Connections and requests, from the exits of system calls alone: the saved registers still hold the
 * arguments there, and the moment a blocking read began is the moment the thread was switched out in it
 * (sched.bpf.c), so no enter probe is needed.
 */
#include "threadprof.bpf.h"
#include "conn.bpf.h"
#include "request.bpf.h"
#include "syscalls.bpf.h"
#include "task_copy.bpf.h"

#define SHUT_RD 0
#define EAGAIN 11
#define EINPROGRESS 115
/* No socket's buffer is smaller: a response below this does not fill it, unless earlier ones have. */
#define FILLING_BYTES 16384
#define F_DUPFD 0
#define F_DUPFD_CLOEXEC 1030

void request__read_begins(struct tp_conn *conn, __u64 now)
{
	if (conn->phase != TP_CONN_QUEUED)
		return;
	conn->phase = TP_CONN_IDLE;
	conn->dequeue_ns = now;
	queue__leave(now);
}

static __noinline void process__ask_for_sweep(const struct call *c)
{
	struct tp_rec_process *rec = rec__reserve(struct tp_rec_process, TP_REC_PROCESS, c->now);

	if (!rec)
		return;
	rec->what = TP_PROCESS_SWEEP;
	rec->tgid = c->tgid;
	rec->ppid = 0;
	rec->pad = 0;
	__builtin_memset(rec->comm, 0, sizeof(rec->comm));
	rec__submit(rec);
}

/* --- the probe --- */

/* A call that carries data: most of all that there are. splice(2) reads from one descriptor, writes to another. */
struct transfer {
	struct end from;
	struct end to;
	__u64 bytes;
	bool has_data;
	bool may_be_full;
};

/* False: it concerns no connection. */
static __always_inline bool transfer__find(struct transfer *tr, struct files_struct *files, struct pt_regs *regs,
					   enum syscall_class class, long ret)
{
	bool reads = class == SC_READ || class == SC_READ_MSGS || class == SC_SPLICE;

	tr->has_data = ret > 0;
	tr->bytes = class == SC_READ_MSGS || class == SC_WRITE_MSGS ? 0 : ret;
	tr->may_be_full = class == SC_WRITE && (ret == -EAGAIN || ret >= FILLING_BYTES);
	/* An empty-handed read matters only as the first one of a connection. */
	if (reads && (ret > 0 || queue.accepted != queue.dequeued))
		end__find(&tr->from, files, regs__arg0(regs));
	if ((!reads && (ret > 0 || tr->may_be_full)) || (class == SC_SPLICE && ret > 0))
		end__find(&tr->to, files, class == SC_SPLICE ? regs__arg2(regs) : regs__arg0(regs));
	if (ret > 0 && tr->from.file && !tr->from.conn && any_questions)
		peer__on_data((__u64)tr->from.file);
	if (ret > 0 && tr->to.file && !tr->to.conn)
		peer__on_send((__u64)tr->to.file);
	return tr->from.conn || tr->to.conn;
}

static __always_inline void on_transfer(const struct call *c, const struct transfer *tr)
{
	if (tr->from.conn && tr->has_data && tr->from.conn->tgid != c->tgid)
		conn__move(c, &tr->from);
	if (tr->from.conn)
		request__on_read(c, &tr->from, tr->bytes, tr->has_data);
	if (!tr->to.conn)
		return;
	if (tr->has_data)
		request__on_write(c, &tr->to, tr->bytes);
	if (tr->may_be_full)
		conn__on_full(c, &tr->to, !tr->has_data);
}

static __always_inline void on_descriptor(const struct call *c, struct pt_regs *regs, enum syscall_class class,
					  long ret)
{
	__s32 fd = regs__arg0(regs);

	switch (class) {
	case SC_ACCEPT:
		if (ret >= 0)
			conn__on_accept(c, fd, ret);
		break;
	case SC_SHUTDOWN:
		if (ret == 0 && regs__arg1(regs) != SHUT_RD)
			conn__on_shutdown(c, fd);
		break;
	case SC_CLOSE:
		/* Whatever else close(2) returns, the descriptor is gone. */
		if (ret != -9 /* EBADF */)
			conn__on_close(c, fd);
		break;
	case SC_CLOSE_RANGE:
		process__ask_for_sweep(c);
		break;
	case SC_FCNTL:
		if (regs__arg1(regs) != F_DUPFD && regs__arg1(regs) != F_DUPFD_CLOEXEC)
			break;
		/* fall through */
	case SC_DUP:
		if (ret >= 0)
			conn__on_dup(c, ret);
		break;
	default:
		break;
	}
}

static __always_inline bool class__is_futex(enum syscall_class class)
{
	return class >= SC_FUTEX && class <= SC_FUTEX_WAITV;
}

/* What a wait was for, and where the program was, is told when the call that waited ends. */
static __always_inline void on_wait_end(const struct call *c, enum syscall_class class, long ret)
{
	if (class__is_futex(class))
		lock__on_exit(c->t, ret);
	if (stack__is_wanted(c->t))
		stack__on_exit();
}

/* The call in which the task has slept for a file is over. */
static __always_inline void task__end_read(struct task_struct *task)
{
	struct thread *t = thread__get(task);

	if (!t || !t->read_file)
		return;
	t->read_file = 0;
	__sync_fetch_and_add(&nr_read_files, -1);
}

/* A call of a target's that may mean something to us. */
static __always_inline void on_call(struct call *c, struct pt_regs *regs, enum syscall_class class, long ret)
{
	bool waits = class__is_futex(class) || stacks_of_all;
	struct transfer tr = {};

	task__copy_current_accounts(c->task);
	c->files = c->task->files;
	if (class >= SC_READ && class <= SC_SPLICE && !transfer__find(&tr, c->files, regs, class, ret) && !waits)
		return;
	if (class == SC_CONNECT && (!ret || ret == -EINPROGRESS))
		peer__on_send((__u64)files__file(c->files, regs__arg0(regs)));
	if (class == SC_CONNECT && !waits)
		return;
	if (!call__begin(c))
		return;
	if (waits)
		on_wait_end(c, class, ret);
	if (class <= SC_SPLICE)
		on_transfer(c, &tr);
	else if (class <= SC_FCNTL)
		on_descriptor(c, regs, class, ret);
}

/* Does the end of such a call tell anything? Asked before whose it is, which takes longer. */
static __always_inline bool class__is_traced(enum syscall_class class)
{
	return (class != SC_NONE && class <= SC_LAST_TRACED) || stacks_of_all;
}

static __always_inline void on_sys_exit(struct task_struct *task, struct pt_regs *regs, enum syscall_class class,
					long ret)
{
	struct call c = { .task = task };

	if (!task || !task__may_be_target(task) || !active)
		return;
	if (nr_read_files)
		task__end_read(c.task);
	on_call(&c, regs, class, ret);
}

static __always_inline void on_tracepoint(struct pt_regs *regs, long ret)
{
	enum syscall_class class;

	if (!stack__may_be_targets(regs))
		return;
	class = regs__class(regs);
	if (class__is_traced(class))
		on_sys_exit(task__current(COPY_OF_CALLER), regs, class, ret);
}

SEC("?tp_btf/sys_exit")
int BPF_PROG(request_sys_exit, struct pt_regs *regs, long ret)
{
	on_tracepoint(regs, ret);
	return 0;
}

/* The same where tp_btf is refused. */
SEC("?raw_tp/sys_exit")
int request_sys_exit_raw(__u64 *ctx)
{
	enum syscall_class class;
	struct pt_regs *regs;

	if (!active || !caller__may_be_target())
		return 0;
	regs = compat__copied_regs((const void *)ctx[0], COPY_OF_CALLER);
	class = regs__class(regs);
	if (class__is_traced(class))
		on_sys_exit(task__current(COPY_OF_CALLER), regs, class, ctx[1]);
	return 0;
}

/*
 * The same where the kernel would let the one above be preempted (compat.bpf.h): the tracepoint's perf event, whose
 * programs it does not.
 */
SEC("?tp/raw_syscalls/sys_exit")
int request_sys_exit_perf(struct trace_event_raw_sys_exit *ctx)
{
	struct task_struct *task = task__current(COPY_OF_CALLER);
	enum syscall_class class;
	struct pt_regs *regs;

	if (!task || !task__may_be_target(task))
		return 1;
	task__copy_current_rest(task, COPY_OF_CALLER);
	regs = compat__task_regs(task, COPY_OF_CALLER);
	class = regs__class(regs);
	if (class__is_traced(class))
		on_sys_exit(task, regs, class, ctx->ret);
	return 1;
}

/* … where there is no such event: what it does to a thread is done whole, and the kernel counts whom it skips. */
SEC("?tp_btf/sys_exit")
int BPF_PROG(request_sys_exit_guarded, struct pt_regs *regs, long ret)
{
	bpf_preempt_disable();
	on_tracepoint(regs, ret);
	bpf_preempt_enable();
	return 0;
}
