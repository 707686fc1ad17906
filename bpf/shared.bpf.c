// SPDX-License-Identifier: (GPL-2.0 OR BSD-2-Clause)
/* The maps and variables that more than one concern uses. */
#include "threadprof.bpf.h"

struct threads_map threads SEC(".maps");
struct threads_by_id_map threads_by_id SEC(".maps");
struct targets_map targets SEC(".maps");
struct events_map events SEC(".maps");
struct conns_map conns SEC(".maps");
struct debts_map debts SEC(".maps");
struct task_copies_map task_copies SEC(".maps");

const volatile bool has_prev_state = true;
const volatile bool has_group_dead = true;
const volatile bool has_task_storage = true;
const volatile bool has_current_task_btf = true;
const volatile bool has_task_pt_regs = true;
const volatile bool tasks_are_copies = false;
const volatile bool reads_by_cast = false;
const volatile bool has_task_from_vpid = true;
const volatile bool has_private_stack = false;

__u8 target_filter[TP_FILTER_SIZE];
__u8 stack_filter[TP_FILTER_SIZE];
bool active;
bool stacks_of_all;
__u32 epoch;
__u32 details = TP_ALL_DETAILS;
__u64 losses[TP_NR_LOSSES];
__u64 nr_debts;
__u64 regs_at;
__s64 nr_read_files;
struct tp_clients clients;

const volatile bool is_in_pid_namespace = false;
__u32 viewer_level;
__u64 viewer_ns;

char LICENSE[] SEC("license") = "Dual BSD/GPL";
