// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Programs that watch the kernel: raw and BTF tracepoints, and its self-test functions. */
#include "types.h"

#include <bpf/bpf_tracing.h>

struct task_struct {
	int pid;
	char comm[16];
} KERNEL_TYPE;

/* Arguments are skb, rc, dev, skb_len. */
SEC("raw_tp/net_dev_xmit")
int raw_tp(struct bpf_raw_tracepoint_args *ctx)
{
	int rc = ctx->args[1];
	__u32 len = ctx->args[3];

	if (rc == 16 /* NETDEV_TX_BUSY */ && len > 65535 && bpf_get_smp_processor_id() == 1)
		reached = 1;
	return 0;
}

/* Arguments are task, comm. */
SEC("raw_tp/task_rename")
int raw_tp_pointer(struct bpf_raw_tracepoint_args *ctx)
{
	char comm[16];

	if (bpf_probe_read_kernel_str(comm, sizeof(comm), (void *)ctx->args[1]) < 0)
		return 0;
	if (comm[0] == 'k' && comm[1] == 'w')
		reached = 1;
	return 0;
}

SEC("tp_btf/task_rename")
int BPF_PROG(tp_btf, struct task_struct *task, const char *comm)
{
	char name[16];

	if (task->comm[0] == 0)
		return 0;
	if (bpf_probe_read_kernel_str(name, sizeof(name), comm) < 0)
		return 0;
	if (name[0] == 'k' && name[1] == 'w')
		reached = 1;
	return 0;
}

SEC("fentry/bpf_fentry_test1")
int BPF_PROG(fentry, int a)
{
	if (a == 1)
		reached = 1;
	return 0;
}

SEC("fexit/bpf_fentry_test1")
int BPF_PROG(fexit, int a, int ret)
{
	if (a == 1 && ret == 2)
		reached = 1;
	return 0;
}

SEC("fmod_ret/bpf_modify_return_test")
int BPF_PROG(fmod_ret, int a, int *b, int ret)
{
	if (a != 1 || ret != 0)
		return 0;
	reached = 1;
	return 7;
}

char _license[] SEC("license") = "GPL";
