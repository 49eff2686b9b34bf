// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A filter of forwarded and of local packets. */
#include "types.h"

struct sk_buff {
	unsigned int len;
} KERNEL_TYPE;

struct nf_hook_state {
	__u8 hook;
	__u8 pf;
} KERNEL_TYPE;

struct bpf_nf_ctx {
	const struct nf_hook_state *state;
	struct sk_buff *skb;
} KERNEL_TYPE;

#define FORWARD 2
#define LOCAL_OUT 3
#define DROP 0
#define ACCEPT 1
#define PF_IPV4 2

extern int bpf_dynptr_from_skb(struct __sk_buff *skb, __u64 flags, struct bpf_dynptr *ptr) __ksym;

static __always_inline int filter(struct bpf_nf_ctx *ctx, __u8 hook)
{
	struct bpf_dynptr ptr;
	struct iphdr ip;
	struct udphdr udp;

	if (ctx->state->pf != PF_IPV4 || ctx->state->hook != hook)
		return ACCEPT;
	if (bpf_dynptr_from_skb((struct __sk_buff *)ctx->skb, 0, &ptr))
		return DROP;
	if (bpf_dynptr_read(&ip, sizeof(ip), &ptr, 0, 0) || ip.ihl != 5)
		return DROP;
	if (ip.protocol != IPPROTO_UDP)
		return ACCEPT;
	if (bpf_dynptr_read(&udp, sizeof(udp), &ptr, sizeof(ip), 0))
		return DROP;
	if (udp.dest == bpf_htons(4789))
		reached = 1;
	return ACCEPT;
}

SEC("netfilter")
int forward(struct bpf_nf_ctx *ctx)
{
	return filter(ctx, FORWARD);
}

SEC("netfilter")
int local_out(struct bpf_nf_ctx *ctx)
{
	return filter(ctx, LOCAL_OUT);
}

char _license[] SEC("license") = "GPL";
