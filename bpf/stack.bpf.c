// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/*
 * Where in the program a thread waited: a copy of its registers and of the top of its stack, at the exit of the
 * system call that it waited in. Userspace unwinds it with the program's own tables, since libraries are built
 * without frame pointers. Few are sent: those that stand for much waiting, and no more than userspace allows.
 */
#include "threadprof.bpf.h"
#include "syscalls.bpf.h"
#include "task_copy.bpf.h"

/* How many more may be sent now; userspace sets it many times a second. */
__s32 stack_turns;

/* A thread's stack is sent when it has waited so long since its last one. */
#define STACK_NS 1000000

/* What can't be had at once counts for a later stack of the thread: in the end all time is told. */
void stack__sample(struct thread *t, __u32 state)
{
	/* What was waited while stacks are off is told by none that comes later. */
	if (state == TP_IDLE || t->block_nr < 0 || !detail__is_on(TP_DETAIL_STACKS))
		return;
	t->unsampled_ns += t->block_ns;
	if (t->unsampled_ns < STACK_NS || !stack__take_turn())
		return;
	t->stack_wait_ns = t->unsampled_ns;
	t->stack_state = state;
	t->unsampled_ns = 0;
}

bool stack__take_turn(void)
{
	if (stack_turns <= 0)
		return false;
	__sync_fetch_and_add(&stack_turns, -1);
	return true;
}

static __always_inline void stack__send(struct thread *t, struct pt_regs *regs)
{
	struct tp_rec_stack *rec;
	__u32 bytes = 0;

	rec = rec__reserve(struct tp_rec_stack, TP_REC_STACK, bpf_ktime_get_ns());
	if (rec) {
		rec->addr = t->stack_lock_ns ? t->lock_addr : 0;
		rec->lock_ns = t->stack_lock_ns;
		rec->wait_ns = t->stack_wait_ns;
		rec->tgid = t->tgid;
		rec->tid = t->tid;
		rec->kind = t->lock_kind;
		rec->state = t->stack_state;
		rec->pad = 0;
		__builtin_memset(rec->regs, 0, sizeof(rec->regs));
		regs__copy(regs, rec->regs);
		for (int i = 0; i < TP_STACK_BYTES / TP_STACK_CHUNK; i++) {
			if (bpf_probe_read_user(&rec->stack[i * TP_STACK_CHUNK], TP_STACK_CHUNK,
						(void *)(regs__sp(regs) + i * TP_STACK_CHUNK)))
				break;
			bytes += TP_STACK_CHUNK;
		}
		rec->bytes = bytes;
		rec__submit(rec);
	}
	t->stack_lock_ns = 0;
	t->stack_wait_ns = 0;
}

int stack__on_exit(void)
{
	struct task_struct *task = task__current(COPY_OF_CALLER);
	struct thread *t = task ? thread__get(task) : NULL;

	if (!t)
		return 0;
	task__copy_current_rest(task, COPY_OF_CALLER);
	stack__send(t, compat__task_regs(task, COPY_OF_CALLER));
	return 0;
}
