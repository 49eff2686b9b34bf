// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Members of the one set of operations that BPF_PROG_RUN runs. */
#include "types.h"

#include <bpf/bpf_tracing.h>

struct bpf_dummy_ops_state {
	int val;
} KERNEL_TYPE;

struct bpf_dummy_ops {
	int (*test_1)(struct bpf_dummy_ops_state *cb);
	int (*test_2)(struct bpf_dummy_ops_state *cb, int a1, unsigned short a2, char a3, unsigned long a4);
	int (*test_sleepable)(struct bpf_dummy_ops_state *cb);
} KERNEL_TYPE;

SEC("struct_ops/test_1")
int BPF_PROG(test_1, struct bpf_dummy_ops_state *state)
{
	if (!state)
		return 0;
	if (state->val == 0x5a5a)
		reached = 1;
	state->val++;
	return 1;
}

SEC("struct_ops/test_2")
int BPF_PROG(test_2, struct bpf_dummy_ops_state *state, int a1, unsigned short a2, char a3, unsigned long a4)
{
	if (a1 != -100 || a2 != 7 || a4 != 0x1234567890)
		return 0;
	reached = 1;
	return a3;
}

SEC(".struct_ops.link")
struct bpf_dummy_ops dummy = {
	.test_1 = (void *)test_1,
	.test_2 = (void *)test_2,
};

char _license[] SEC("license") = "GPL";
