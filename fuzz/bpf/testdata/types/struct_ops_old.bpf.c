// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Operations in the section of old, which are attached without a link. */
#include "types.h"

#include <bpf/bpf_tracing.h>

struct bpf_dummy_ops_state {
	int val;
} KERNEL_TYPE;

struct bpf_dummy_ops {
	int (*test_1)(struct bpf_dummy_ops_state *cb);
} KERNEL_TYPE;

SEC("struct_ops/test_1")
int BPF_PROG(test_1, struct bpf_dummy_ops_state *state)
{
	return reached;
}

SEC(".struct_ops")
struct bpf_dummy_ops dummy = {
	.test_1 = (void *)test_1,
};

char _license[] SEC("license") = "GPL";
