/* SPDX-License-Identifier: (LGPL-2.1 OR BSD-2-Clause) */
/*
 * A moment in which the calling thread is preempted by nobody but threads of real-time priority. While a thread is
 * inside bpf(2) for a map, the kernel runs no program of a perf event or a kprobe on that CPU
 * (bpf_disable_instrumentation()); where it may be preempted there, that goes on until it comes back, and other
 * threads' events are missing.
 */
#ifndef THREADPROF_PRIORITY_H
#define THREADPROF_PRIORITY_H

/* Once, before rights are given up: what is needed for the rest stays allowed, and no more. */
void priority__reserve(void);

/*
 * Begins such a moment, which must be short: nobody else's thread gets this CPU meanwhile. Returns what
 * priority__restore() takes. Without the right nothing changes; the kernel counts what is missing (skipped_runs.h).
 */
int priority__raise(void);
void priority__restore(int before);

#endif /* THREADPROF_PRIORITY_H */
