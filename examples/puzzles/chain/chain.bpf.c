//go:build ignore
/* SPDX-License-Identifier: GPL-2.0-only OR MIT
 * Nine comparisons, each behind the one before: numbers of all sizes, in both byte
 * orders, shifted, masked, ordered and signed. Behind the last one is the goal.
 */
#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct message {
	__u8 ethernet[14];
	__be32 magic;
	__u16 version;
	__u8 flags;
	__u8 kind;
	__be64 cookie;
	__u32 sum;
	__s16 offset;
	__be16 port;
	__u32 sequence;
	__u8 level;
} __attribute__((packed));

SEC("xdp")
int chain(struct xdp_md *ctx)
{
	struct message *m = (void *)(long)ctx->data;

	if ((void *)(m + 1) > (void *)(long)ctx->data_end)
		return XDP_PASS;
	if (m->magic != bpf_htonl(0x1badb002))
		return XDP_PASS;
	if (m->version != 0x0217)
		return XDP_PASS;
	if ((m->flags & 0x3c) >> 2 != 11)
		return XDP_PASS;
	if ((m->kind ^ 0x5a) != 0xc3)
		return XDP_PASS;
	if (bpf_be64_to_cpu(m->cookie) != 0xfeedfacecafebeefULL)
		return XDP_PASS;
	if (m->sum + 0x1234567 != 0x89abcdef)
		return XDP_PASS;
	if (m->offset >= -12345)
		return XDP_PASS;
	if (bpf_ntohs(m->port) <= 65000)
		return XDP_PASS;
	if (m->sequence * 5 != 0xdeadbee5)
		return XDP_PASS;
	return 77; /* the goal: no verdict */
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
