// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * What userspace reads by asking: iterators that write one record for each thread or socket of the target.
 * The task iterator also adopts the threads that existed before threadprof did. An iterator takes the kernel's own
 * BTF; without it userspace finds the threads in /proc, and has a program run for each (struct tp_found).
 */
#include "threadprof.bpf.h"
#include "syscalls.bpf.h"
#include "task_copy.bpf.h"

#define MAX_TRIES 4
#define PF_EXITING 0x4 /* include/linux/sched.h */

static __always_inline bool task__is_target(struct task_struct *task)
{
	__u32 tgid;

	/* In another namespace userspace can't fill in the filter: adopt_threads() does. */
	if (!is_in_pid_namespace && !task__may_be_target(task))
		return false;
	tgid = pidns__tgid(task);
	return bpf_map_lookup_elem(&targets, &tgid);
}

/*
 * Starts to account a thread as it is found. It may be switched or woken while we look; then the
 * scheduler's probe, which knows better, has begun it already or corrects it at its next event.
 * @itself: the task, of which @task may be a copy.
 */
static __always_inline void task__adopt(struct task_struct *task, struct task_struct *itself)
{
	struct thread *t;
	__u64 now;
	long task_state;
	__u32 state;

	target_filter[(__u16)task->tgid] = 1;
	t = thread__create(itself);
	if (!t) {
		loss__count(TP_LOSS_THREAD);
		return;
	}
	/* Looked at after the thread was made: one that ends later is forgotten by the probe of its end. */
	if (!has_task_storage && (BPF_CORE_READ(itself, flags) & PF_EXITING)) {
		thread__forget(itself);
		return;
	}
	if (t->since_ns || t->exited)
		return;
	now = bpf_ktime_get_ns();
	task_state = compat__task_state(itself);
	t->runq_cpu = RUNQ_NOWHERE;
	t->exec_ns = task->se.sum_exec_runtime;
	t->run_delay_ns = compat__run_delay(task);
	if (task->on_cpu)
		state = TP_CPU;
	else if (!task_state)
		state = TP_RUNQ;
	else
		state = block__classify(t, task, task_state, now, false);
	if (t->since_ns)
		return;
	t->birth_ns = now;
	t->state = state;
	t->since_ns = now;
}

SEC("iter/task")
int adopt_threads(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;

	pidns__note_viewer();
	/* Of any task, before a target's thread can be made that would have to be noted by them. */
	if (task)
		compat__learn_regs(task);
	if (task && task__is_target(task))
		task__adopt(task, task);
	return 0;
}

struct tp_found found;

/*
 * The thread that userspace asks for; NULL: there is none, or it is no target's. A program that userspace runs is not
 * preempted: what it copies is safe from programs that see switches.
 */
static __always_inline struct task_struct *found__begin(__u32 tid)
{
	struct task_struct *task = pidns__find((struct task_struct *)bpf_get_current_task(), tid);

	found.tgid = 0;
	found.has_thread = 0;
	found.nr_sockets = 0;
	found.next_fd = 0;
	if (!task)
		return NULL;
	pidns__note_viewer();
	found.tgid = pidns__tgid(task);
	bpf_probe_read_kernel_str(found.comm, sizeof(found.comm), task->comm);
	return bpf_map_lookup_elem(&targets, &found.tgid) ? task : NULL;
}

/* Userspace asks for itself as well, to see whether the types it was given are right. */
SEC("?raw_tp")
int adopt_thread(__u64 *ctx)
{
	struct task_struct *itself = found__begin(ctx[0]), *task;

	if (itself) {
		task = task__copy_found(itself, COPY_OF_LEAVING);
		if (task)
			task__adopt(task, itself);
	}
	return 0;
}

/* The sums agree with the clock: nobody was half-way through a change while we copied. */
static __always_inline bool thread__is_consistent(const struct tp_rec_thread *rec, __u64 since_ns)
{
	__u64 sum = 0;

#pragma unroll
	for (int i = 0; i < TP_NR_STATES; i++)
		sum += rec->state_ns[i];
	return rec->birth_ns + sum == since_ns;
}

/* Adds the stretch that is still open. */
static __always_inline void snapshot__close(struct tp_rec_thread *rec, const struct thread *t, __u32 tid,
					    __u64 since_ns)
{
	__u64 now = rec->h.ts_ns, answered_ns = now;
	__u32 state = rec->state, debt_count;
	__s32 in_hand = thread__peek_in_hand(t, tid, &answered_ns, &debt_count);

	if (!in_hand && t->not_in_hand < TP_NR_STATES && state != TP_CPU && state != TP_RUNQ)
		state = t->not_in_hand;
	/* By comparing: the verifiers before 6.2 lose track of an index into the stack. */
#pragma unroll
	for (__u32 i = 0; i < TP_NR_STATES; i++) {
		if (i == state)
			rec->state_ns[i] += now - since_ns;
	}
	rec->state = state;
	rec->in_hand = in_hand;
	if (t->in_hand > 0) {
		__u64 busy_end = in_hand ? now : answered_ns;

		if (busy_end > t->busy_since)
			rec->busy_ns += busy_end - t->busy_since;
	}
	if (t->block_what == BLOCK_LOCK && (state == TP_LOCK || state == TP_WAIT)) {
		rec->lock_addr = t->lock_addr;
		rec->lock_kind = t->lock_kind;
		rec->lock_owner = t->lock_owner;
		rec->lock_since = since_ns;
	}
	if (state == TP_NET && (t->block_what == BLOCK_CLIENT_SEND || t->block_what == BLOCK_CLIENT_READ)) {
		rec->client_wait = t->block_what == BLOCK_CLIENT_SEND ? TP_CLIENT_SEND : TP_CLIENT_READ;
		rec->client_since = since_ns;
	}
}

/* False: nothing is known of that thread. @itself: the task, of which @task may be the copy @which. */
static __always_inline bool snapshot__fill(struct tp_rec_thread *rec, struct task_struct *task,
					   struct task_struct *itself, enum task_copy_of which)
{
	struct thread *t;
	__u64 since_ns = 0;

	if (!task__may_be_target(task))
		return false;
	t = thread__get(task);
	if (!t || t->exited || !t->since_ns)
		return false;
	for (int i = 0; i < MAX_TRIES; i++) {
		thread__fill(rec, t, itself, task->start_time);
		since_ns = t->since_ns;
		if (thread__is_consistent(rec, since_ns))
			break;
	}
	rec__head(&rec->h, TP_REC_THREAD, sizeof(*rec), bpf_ktime_get_ns());
	if (rec->h.ts_ns < since_ns)
		rec->h.ts_ns = since_ns;
	rec->user_sp = regs__sp(compat__task_regs(task, which));
	snapshot__close(rec, t, t->tid, since_ns);
	return true;
}

SEC("iter/task")
int snapshot_threads(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct seq_file *seq = ctx->meta->seq;
	struct tp_rec_thread rec;

	if (task && snapshot__fill(&rec, task, task, COPY_OF_OTHER))
		bpf_seq_write(seq, &rec, sizeof(rec));
	return 0;
}

SEC("?raw_tp")
int snapshot_thread(__u64 *ctx)
{
	struct task_struct *itself = found__begin(ctx[0]), *task;

	if (itself) {
		task = task__copy_found(itself, COPY_OF_LEAVING);
		found.has_thread = task && snapshot__fill(&found.thread, task, itself, COPY_OF_LEAVING);
	}
	return 0;
}

/* --- sockets --- */

static __always_inline void socket__fill_queue(struct tp_rec_socket *rec, struct sock *sk)
{
	rec->backlog_limit = BPF_CORE_READ(sk, sk_max_ack_backlog);
	if (rec->family == AF_UNIX)
		rec->backlog = BPF_CORE_READ(sk, sk_receive_queue.qlen);
	else
		rec->backlog = BPF_CORE_READ(sk, sk_ack_backlog);
	rec->drops = BPF_CORE_READ(sk, sk_drops.counter);
}

static __always_inline void socket__fill_path(struct tp_rec_socket *rec, struct sock *sk)
{
	struct unix_address *name = BPF_CORE_READ((struct unix_sock *)sk, addr);

	if (name)
		bpf_core_read_str(rec->path, sizeof(rec->path), &name->name[0].sun_path);
	else if (rec->asked_ns)
		sock__peer_path(rec->path, sk);
}

#define ANON_INODE_FS_MAGIC 0x09041934

/* Descriptors of io_uring instances, found since userspace set it to 0. */
__u64 nr_io_urings;

/* Named so by anon_inode_getfile() in io_uring/io_uring.c. */
static __always_inline bool file__is_io_uring(struct file *file)
{
	static const char wanted[] = "[io_uring]";
	char name[sizeof(wanted)] = {};

	if (BPF_CORE_READ(file, f_inode, i_sb, s_magic) != ANON_INODE_FS_MAGIC)
		return false;
	bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(file, f_path.dentry, d_name.name));
#pragma unroll
	for (__u32 i = 0; i < sizeof(name); i++) {
		if (name[i] != wanted[i])
			return false;
	}
	return true;
}

/* The record of descriptor @fd, which is @file; false: it is no socket. */
static __always_inline bool socket__fill(struct tp_rec_socket *rec, struct file *file, __u32 tgid, __s32 fd)
{
	struct sock *sk;

	if (file__is_io_uring(file))
		nr_io_urings++;
	if ((BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return false;
	sk = file__sock(file);
	if (!sk)
		return false;
	__builtin_memset(rec, 0, sizeof(*rec));
	rec__head(&rec->h, TP_REC_SOCKET, sizeof(*rec), bpf_ktime_get_ns());
	rec->file = (__u64)file;
	rec->tgid = tgid;
	rec->fd = fd;
	rec->inode = BPF_CORE_READ(file, f_inode, i_ino);
	rec->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	rec->type = BPF_CORE_READ(sk, sk_type);
	rec->state = BPF_CORE_READ(sk, __sk_common.skc_state);
	rec->port = BPF_CORE_READ(sk, __sk_common.skc_num);
	rec->asked_ns = peer__asked_ns(file);
	socket__fill_queue(rec, sk);
	if (rec->family == AF_UNIX)
		socket__fill_path(rec, sk);
	sock__peer(&rec->peer, sk);
	return true;
}

SEC("iter/task_file")
int snapshot_sockets(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct seq_file *seq = ctx->meta->seq;
	struct tp_rec_socket rec;

	if (task && file && task__is_target(task) && socket__fill(&rec, file, pidns__tgid(task), ctx->fd))
		bpf_seq_write(seq, &rec, sizeof(rec));
	return 0;
}

#define FDS_AT_ONCE 64

/* Of descriptor @fd of the thread that is looked at, which is at @slot. A global function: see threadprof.bpf.h. */
int found__add_socket(__u64 slot, __u32 fd)
{
	struct tp_rec_socket *rec = &found.sockets[found.nr_sockets & (TP_MAX_FOUND - 1)];
	struct file *file = NULL, *again = NULL;

	bpf_probe_read_kernel(&file, sizeof(file), (void *)slot);
	if (!file || !socket__fill(rec, file, found.tgid, fd))
		return 0;
	/* Nobody holds it meanwhile: if it was closed, it may have been another's by now. */
	bpf_probe_read_kernel(&again, sizeof(again), (void *)slot);
	if (again == file)
		found.nr_sockets++;
	return 0;
}

/* Descriptors that threads share are those of the first one, as for the iterator. */
static __always_inline struct files_struct *task__own_files(struct task_struct *task)
{
	struct files_struct *files = BPF_CORE_READ(task, files);
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);

	return leader != task && BPF_CORE_READ(leader, files) == files ? NULL : files;
}

SEC("?raw_tp")
int snapshot_thread_sockets(__u64 *ctx)
{
	struct task_struct *task = found__begin(ctx[0]);
	struct files_struct *files = task ? task__own_files(task) : NULL;
	struct fdtable *fdt = files ? BPF_CORE_READ(files, fdt) : NULL;
	__u32 first = ctx[1], max_fds;
	__u64 slots;
	__u32 i;

	if (!fdt)
		return 0;
	max_fds = BPF_CORE_READ(fdt, max_fds);
	slots = (__u64)BPF_CORE_READ(fdt, fd);
	for (i = 0; i < FDS_AT_ONCE && first + i < max_fds && found.nr_sockets < TP_MAX_FOUND; i++)
		found__add_socket(slots + (__u64)(first + i) * sizeof(void *), first + i);
	found.next_fd = first + i < max_fds ? first + i : 0;
	return 0;
}
