// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * Every process of the host: its begin, its executions, its end. An object of its own, so that
 * `threadprof snoop` runs without the programs that watch threads and requests.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "compat.bpf.h"
#include "pidns.bpf.h"
#include "snoop_records.h"

#define PF_KTHREAD 0x00200000
#define SIGNAL_GROUP_EXIT 0x00000004
#define MAX_THREADS 512 /* that are still to be reaped when their process ends */
#define FILLING_BYTES (1024 * 1024)

const volatile bool has_group_dead = true;
const volatile __u32 max_args_bytes = 256;
/* The verifier walks each round of a loop: who needs less of it starts sooner. */
const volatile __u32 max_exe_parts = SNOOP_EXE_PARTS;
const volatile __u32 max_threads = MAX_THREADS;

const volatile bool is_in_pid_namespace = false;
__u32 viewer_level;
__u64 viewer_ns;

bool active; /* userspace sets it when all is attached */
__u64 losses[SNOOP_NR_LOSSES];

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 16 * 1024 * 1024);
} events SEC(".maps");

/*
 * From the scheduler's clock to ours, for each CPU. The kernel's own account of a running thread
 * is as old as the last tick, and its begin is in that clock: a process that lives less than a
 * tick would have used no CPU time at all.
 */
struct clock_offset {
	__u64 ns;
	__u64 task; /* address of the thread that then began to run */
	__u64 least_ns; /* for one that began unseen */
};

/*
 * A single offset is too large by what came between the scheduler's look at its clock and ours: an idle CPU's
 * waking up may take milliseconds. The true one grows when a hypervisor takes the CPU away; so does the least.
 */
#define OFFSET_GROWTH_NS 10000

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct clock_offset);
} clock_offsets SEC(".maps");

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline void loss__count(enum snoop_loss which)
{
	__sync_fetch_and_add(&losses[which], 1);
}

static __always_inline void rec__head(struct tp_rec *h, __u16 kind, __u16 size)
{
	h->kind = kind;
	h->size = size;
	h->cpu = bpf_get_smp_processor_id();
	h->ts_ns = bpf_ktime_get_ns();
}

/*
 * The reader comes by itself many times a second; it is called only where that is not often
 * enough.
 */
static __always_inline void rec__submit(void *rec)
{
	bool filling = bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) > FILLING_BYTES;

	bpf_ringbuf_submit(rec, filling ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
}

/*
 * Under ptrace, task->parent is the debugger; real_parent is who made the process. Here and below tasks are read by
 * address: that is all that a raw tracepoint knows of them, and any program of the current task before 5.11.
 */
static __always_inline void process__fill(struct snoop_process *p, struct task_struct *task)
{
	struct task_struct *parent = BPF_CORE_READ(task, real_parent, group_leader);

	p->tgid = pidns__tgid(task);
	p->uid = (__u32)bpf_get_current_uid_gid();
	p->start_ns = BPF_CORE_READ(task, group_leader, start_time);
	p->cgroup_id = bpf_get_current_cgroup_id();
	p->ppid = pidns__tgid(parent);
	p->pad = 0;
	p->parent_start_ns = BPF_CORE_READ(parent, start_time);
	bpf_probe_read_kernel(p->comm, sizeof(p->comm), task->comm);
	bpf_probe_read_kernel(p->parent_comm, sizeof(p->parent_comm), parent->comm);
}

/* The calling thread has made @child, a thread of its own process or another process. */
static __always_inline void on_fork(struct task_struct *child)
{
	struct snoop_rec *rec;

	if (!active || BPF_CORE_READ(child, tgid) == (pid_t)(bpf_get_current_pid_tgid() >> 32) ||
	    BPF_CORE_READ(child, flags) & PF_KTHREAD || !pidns__tgid(child))
		return;
	rec = bpf_ringbuf_reserve(&events, sizeof(*rec), 0);
	if (!rec) {
		loss__count(SNOOP_LOSS_FORK);
		return;
	}
	rec__head(&rec->h, SNOOP_REC_FORK, sizeof(*rec));
	process__fill(&rec->p, child);
	rec__submit(rec);
}

SEC("?tp_btf/sched_process_fork")
int BPF_PROG(snoop_fork, struct task_struct *parent, struct task_struct *child)
{
	on_fork(child);
	return 0;
}

/* The ..._raw programs take the place of the others where tp_btf is refused. */
SEC("?raw_tp/sched_process_fork")
int snoop_fork_raw(__u64 *ctx)
{
	on_fork((struct task_struct *)ctx[1]);
	return 0;
}

/* The same where the kernel would let these be preempted; compat.bpf.h says why this and the like below. */
SEC("?tp_btf/sched_wakeup_new")
int BPF_PROG(snoop_fork_new, struct task_struct *child)
{
	on_fork(child);
	return 0;
}

SEC("?raw_tp/sched_wakeup_new")
int snoop_fork_new_raw(__u64 *ctx)
{
	on_fork((struct task_struct *)ctx[0]);
	return 0;
}

/* --- exec --- */

/*
 * Walks from the file to the root of its mount namespace and copies the names on the way. The root
 * of a mounted tree is called by the place where it is mounted. A file that is in no directory
 * (memfd) has only its name.
 */
static __always_inline void exec__fill_exe(struct snoop_rec_exec *rec, struct file *file)
{
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	struct vfsmount *vfs = BPF_CORE_READ(file, f_path.mnt);
	struct mount *mount = (void *)vfs - bpf_core_field_offset(struct mount, mnt);
	__u64 used = 0;

	for (__u32 i = 0; i < SNOOP_EXE_PARTS && i < max_exe_parts; i++) {
		struct dentry *parent = BPF_CORE_READ(dentry, d_parent);
		const unsigned char *name;
		long bytes;

		if (dentry == BPF_CORE_READ(mount, mnt.mnt_root)) {
			struct mount *mount_parent = BPF_CORE_READ(mount, mnt_parent);

			if (mount == mount_parent)
				goto done;
			dentry = BPF_CORE_READ(mount, mnt_mountpoint);
			mount = mount_parent;
			continue;
		}
		name = BPF_CORE_READ(dentry, d_name.name);
		/* 6.1's verifier forgets the bound of a value that the compiler has copied meanwhile. */
		barrier_var(used);
		if (used >= SNOOP_EXE_BYTES)
			break;
		bytes = bpf_probe_read_kernel_str(&rec->exe[used], SNOOP_NAME_BYTES, name);
		if (bytes <= 0)
			break;
		used += bytes;
		if (dentry == parent) {
			rec->flags |= SNOOP_EXE_LOOSE;
			goto done;
		}
		dentry = parent;
	}
	rec->flags |= SNOOP_EXE_CUT;
done:
	rec->exe_bytes = used;
}

static __always_inline void exec__fill_args(struct snoop_rec_exec *rec, __u64 start, __u64 end)
{
	__u64 total = end > start ? end - start : 0;
	__u32 bytes = total < max_args_bytes ? total : max_args_bytes;

	rec->args_total = total > 0xffffffff ? 0xffffffff : total;
	if (bytes > max_args_bytes || bpf_probe_read_user(rec->args, bytes, (void *)start)) {
		rec->flags |= SNOOP_ARGS_UNREAD;
		bytes = 0;
	}
	rec->args_bytes = bytes;
}

/*
 * The new image is in place: its arguments are in memory, and the task is the leader of its group.
 */
static __always_inline void on_exec(struct task_struct *task)
{
	struct snoop_rec_exec *rec;
	struct mm_struct *mm;

	if (!active || !pidns__tgid(task))
		return;
	rec = bpf_ringbuf_reserve(&events, sizeof(*rec) + max_args_bytes, 0);
	if (!rec) {
		loss__count(SNOOP_LOSS_EXEC);
		return;
	}
	rec__head(&rec->h, SNOOP_REC_EXEC, sizeof(*rec) + max_args_bytes);
	process__fill(&rec->p, task);
	rec->flags = 0;
	rec->exe_bytes = 0;
	rec->args_bytes = 0;
	rec->args_total = 0;
	mm = BPF_CORE_READ(task, mm);
	if (mm) {
		/* Before the walk: the verifier follows what comes after it once for each of its ends. */
		__u64 start = BPF_CORE_READ(mm, arg_start), end = BPF_CORE_READ(mm, arg_end);

		exec__fill_exe(rec, BPF_CORE_READ(mm, exe_file));
		exec__fill_args(rec, start, end);
	}
	rec__submit(rec);
}

SEC("?tp_btf/sched_process_exec")
int BPF_PROG(snoop_exec, struct task_struct *task)
{
	on_exec(task);
	return 0;
}

SEC("?raw_tp/sched_process_exec")
int snoop_exec_raw(__u64 *ctx)
{
	on_exec((struct task_struct *)ctx[0]);
	return 0;
}

SEC("?tp/sched/sched_process_exec")
int snoop_exec_perf(void *ctx)
{
	on_exec((struct task_struct *)bpf_get_current_task());
	return 1;
}

/* Was the system call to execute something? The path is an address of the process. */
#if defined(__TARGET_ARCH_x86)
#define TS_COMPAT 0x2 /* arch/x86/include/asm/thread_info.h: a call of the 32-bit interface */
#define X32_BIT 0x40000000

struct thread_info___status {
	__u32 status;
} __attribute__((preserve_access_index));

static __always_inline bool is_exec(struct task_struct *task, struct pt_regs *regs, const char **path)
{
	const struct thread_info___status *info = (const void *)&task->thread_info;
	int nr = (int)BPF_CORE_READ(regs, orig_ax);

	/* Numbers: asm/unistd_32.h, unistd_64.h, unistd_x32.h. */
	if (BPF_CORE_READ(info, status) & TS_COMPAT) {
		*path = (const char *)(nr == 11 ? BPF_CORE_READ(regs, bx) : BPF_CORE_READ(regs, cx));
		return nr == 11 || nr == 358;
	}
	nr &= ~X32_BIT;
	*path = (const char *)(nr == 59 || nr == 520 ? BPF_CORE_READ(regs, di) : BPF_CORE_READ(regs, si));
	return nr == 59 || nr == 322 || nr == 520 || nr == 545;
}
#else
#define TIF_32BIT 22 /* arch/arm64/include/asm/thread_info.h */

struct thread_info___flags {
	unsigned long flags;
} __attribute__((preserve_access_index));

static __always_inline bool is_exec(struct task_struct *task, struct pt_regs *regs, const char **path)
{
	const struct thread_info___flags *info = (const void *)&task->thread_info;
	bool is_32_bit = BPF_CORE_READ(info, flags) & (1UL << TIF_32BIT);
	/* Numbers: asm-generic/unistd.h, and arm's asm/unistd.h. */
	int nr = BPF_CORE_READ(regs, syscallno), execve = is_32_bit ? 11 : 221, execveat = is_32_bit ? 387 : 281;

	*path = (const char *)(nr == execve ? BPF_CORE_READ(regs, orig_x0) : BPF_CORE_READ(regs, regs[1]));
	return nr == execve || nr == execveat;
}
#endif

/* Runs at the end of every system call of the host: loaded only for --failed. */
static __always_inline void on_sys_exit(struct pt_regs *regs, long ret)
{
	struct snoop_rec_failed *rec;
	struct task_struct *task;
	const char *path;
	long bytes;

	if (ret >= 0 || !active)
		return;
	task = (struct task_struct *)bpf_get_current_task();
	if (!is_exec(task, regs, &path) || !pidns__tgid(task))
		return;
	rec = bpf_ringbuf_reserve(&events, sizeof(*rec), 0);
	if (!rec) {
		loss__count(SNOOP_LOSS_FAILED);
		return;
	}
	rec__head(&rec->h, SNOOP_REC_FAILED, sizeof(*rec));
	process__fill(&rec->p, task);
	rec->error = -ret;
	bytes = bpf_probe_read_user_str(rec->path, sizeof(rec->path), path);
	rec->path_bytes = bytes > 0 ? bytes : 0;
	rec__submit(rec);
}

SEC("?tp_btf/sys_exit")
int BPF_PROG(snoop_failed, struct pt_regs *regs, long ret)
{
	on_sys_exit(regs, ret);
	return 0;
}

SEC("?raw_tp/sys_exit")
int snoop_failed_raw(__u64 *ctx)
{
	on_sys_exit((struct pt_regs *)ctx[0], ctx[1]);
	return 0;
}

SEC("?tp/raw_syscalls/sys_exit")
int snoop_failed_perf(struct trace_event_raw_sys_exit *ctx)
{
	if (ctx->ret < 0)
		on_sys_exit((struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf()), ctx->ret);
	return 1;
}

/* --- exit --- */

/*
 * CPU time of the current thread until @now. A kernel may not tell us of a switch: 6.18 doesn't while a thread
 * of pid 1 is current.
 */
static __always_inline __u64 thread__runtime(struct task_struct *task, __u64 now, __u32 *flags)
{
	__u64 runtime = BPF_CORE_READ(task, se.sum_exec_runtime), age = now - BPF_CORE_READ(task, start_time);
	struct clock_offset *offset;
	__u32 zero = 0;
	__s64 ns;

	offset = bpf_map_lookup_elem(&clock_offsets, &zero);
	if (!offset || !offset->least_ns) {
		if (!runtime)
			*flags |= SNOOP_CPU_UNSEEN;
		return runtime;
	}
	ns = now - (offset->task == (__u64)task ? offset->ns : offset->least_ns) -
	     BPF_CORE_READ(task, se.exec_start);
	if (ns > 0)
		runtime += ns;
	if (!runtime)
		*flags |= SNOOP_CPU_UNSEEN; /* it has run to come here */
	/* What a hypervisor has just taken the scheduler's clock leaves out; but nobody outruns his life. */
	return runtime < age ? runtime : age;
}

/* Threads that were reaped are in the group's sum; the others are still on its list. */
static __always_inline __u64 process__runtime(struct task_struct *task, __u64 now, __u32 *flags)
{
	struct signal_struct *signal = BPF_CORE_READ(task, signal);
	__u64 runtime = BPF_CORE_READ(signal, sum_sched_runtime) + thread__runtime(task, now, flags);
	unsigned long node_offset = bpf_core_field_offset(struct task_struct, thread_node);
	void *end = (void *)signal + bpf_core_field_offset(struct signal_struct, thread_head);
	void *node = BPF_CORE_READ(signal, thread_head.next);

	for (__u32 i = 0; i < MAX_THREADS && i < max_threads; i++) {
		struct task_struct *other = node - node_offset;

		if (!node || node == end)
			return runtime;
		if (other != task)
			runtime += BPF_CORE_READ(other, se.sum_exec_runtime);
		node = BPF_CORE_READ(other, thread_node.next);
	}
	*flags |= SNOOP_CPU_CUT;
	return runtime;
}

/*
 * Without group_dead: the count of live threads is zero for the last one, and for those before it that had left
 * the count and were not here yet; they all end at once. The first of them to come tells it.
 */
struct dead_process {
	__u64 start_ns;
	__u32 tgid;
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct dead_process);
	__type(value, __u8);
} dead SEC(".maps");

static __always_inline bool process__is_first_to_tell(struct task_struct *task)
{
	struct dead_process key = { .start_ns = BPF_CORE_READ(task, group_leader, start_time),
				    .tgid = BPF_CORE_READ(task, tgid) };
	__u8 yes = 1;

	return !BPF_CORE_READ(task, signal, live.counter) && !bpf_map_update_elem(&dead, &key, &yes, BPF_NOEXIST);
}

static __always_inline void on_exit(struct task_struct *task, bool group_dead)
{
	struct task_struct *leader;
	struct signal_struct *signal;
	struct snoop_rec_exit *rec;

	if (!active || BPF_CORE_READ(task, flags) & PF_KTHREAD || !pidns__tgid(task))
		return;
	if (!(has_group_dead ? group_dead : process__is_first_to_tell(task)))
		return;
	rec = bpf_ringbuf_reserve(&events, sizeof(*rec), 0);
	if (!rec) {
		loss__count(SNOOP_LOSS_EXIT);
		return;
	}
	rec__head(&rec->h, SNOOP_REC_EXIT, sizeof(*rec));
	process__fill(&rec->p, task);
	leader = BPF_CORE_READ(task, group_leader);
	signal = BPF_CORE_READ(task, signal);
	bpf_probe_read_kernel(rec->p.comm, sizeof(rec->p.comm), leader->comm);
	rec->flags = 0;
	rec->cpu_ns = process__runtime(task, rec->h.ts_ns, &rec->flags);
	if (BPF_CORE_READ(signal, flags) & SIGNAL_GROUP_EXIT)
		rec->status = BPF_CORE_READ(signal, group_exit_code);
	else
		rec->status = BPF_CORE_READ(leader, exit_code);
	rec__submit(rec);
}

SEC("?tp_btf/sched_process_exit")
int snoop_exit(__u64 *ctx)
{
	on_exit((struct task_struct *)ctx[0], has_group_dead && ctx[1] & 1);
	return 0;
}

SEC("?raw_tp/sched_process_exit")
int snoop_exit_raw(__u64 *ctx)
{
	on_exit((struct task_struct *)ctx[0], has_group_dead && ctx[1] & 1);
	return 0;
}

SEC("?tp/sched/sched_process_exit")
int snoop_exit_perf(struct trace_event_raw_sched_process_exit *ctx)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	on_exit(task, has_group_dead && compat__event_is_group_dead(ctx, task));
	return 1;
}

/* The scheduler has just noted by its clock when thread @next, no CPU's idle task, begins to run: at @exec_start. */
static __always_inline void clock_offset__note(__u64 next, __u64 exec_start)
{
	struct clock_offset *offset;
	__u32 zero = 0;

	offset = bpf_map_lookup_elem(&clock_offsets, &zero);
	if (offset) {
		__u64 ns = bpf_ktime_get_ns() - exec_start, most_ns = offset->least_ns + OFFSET_GROWTH_NS;

		offset->ns = ns;
		offset->task = next;
		offset->least_ns = !offset->least_ns || ns < most_ns ? ns : most_ns;
	}
}

SEC("tp_btf/sched_switch")
int snoop_switch(__u64 *ctx)
{
	struct task_struct *next = (struct task_struct *)ctx[2];

	if (next->pid)
		clock_offset__note((__u64)next, next->se.exec_start);
	return 0;
}

SEC("?raw_tp/sched_switch")
int snoop_switch_raw(__u64 *ctx)
{
	struct task_struct *next = (struct task_struct *)ctx[2];

	if (BPF_CORE_READ(next, pid))
		clock_offset__note((__u64)next, BPF_CORE_READ(next, se.exec_start));
	return 0;
}

/* --- those that were there before --- */

/* False: it is no process that programs run in. */
static __always_inline bool living__fill(struct snoop_rec *rec, struct task_struct *task)
{
	struct task_struct *parent;

	if (BPF_CORE_READ(task, pid) != BPF_CORE_READ(task, tgid) || BPF_CORE_READ(task, flags) & PF_KTHREAD)
		return false;
	rec__head(&rec->h, SNOOP_REC_LIVING, sizeof(*rec));
	parent = BPF_CORE_READ(task, real_parent, group_leader);
	rec->p.tgid = pidns__tgid(task);
	rec->p.start_ns = BPF_CORE_READ(task, start_time);
	rec->p.ppid = pidns__tgid(parent);
	rec->p.parent_start_ns = BPF_CORE_READ(parent, start_time);
	bpf_probe_read_kernel(rec->p.comm, sizeof(rec->p.comm), task->comm);
	bpf_probe_read_kernel(rec->p.parent_comm, sizeof(rec->p.parent_comm), parent->comm);
	return true;
}

SEC("iter/task")
int snoop_living(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct snoop_rec rec = {};

	pidns__note_viewer();
	if (task && living__fill(&rec, task))
		bpf_seq_write(ctx->meta->seq, &rec, sizeof(rec));
	return 0;
}

struct snoop_rec found; /* kind 0: there is no such process */

/* An iterator takes the kernel's own BTF. Without it userspace runs this for each process that /proc has. */
SEC("?raw_tp")
int snoop_living_one(__u64 *ctx)
{
	struct task_struct *task = pidns__find((struct task_struct *)bpf_get_current_task(), ctx[0]);

	pidns__note_viewer();
	found.h.kind = 0;
	if (task)
		living__fill(&found, task);
	return 0;
}
