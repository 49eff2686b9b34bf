//go:build ignore
/* SPDX-License-Identifier: GPL-2.0-only OR MIT
 * A chain of nine comparisons, each behind the one before. Behind the last one it
 * returns what no XDP program may return.
 */
#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct message {
	__u8 ethernet[14];
	__be16 magic;
	__u8 version;
	__u8 kind;
	__be32 session;
	__u16 first, second;
	__be16 port;
	__u64 token;
	__u8 flags;
	__u8 end;
} __attribute__((packed));

SEC("xdp")
int staged(struct xdp_md *ctx)
{
	struct message *m = (void *)(long)ctx->data;

	if ((void *)(m + 1) > (void *)(long)ctx->data_end)
		return XDP_DROP;
	if (m->magic != bpf_htons(0xb0f5))
		return XDP_DROP;
	if (m->version != 3)
		return XDP_DROP;
	if (m->kind != 0x7e)
		return XDP_DROP;
	if (m->session != bpf_htonl(0x5ca1ab1e))
		return XDP_DROP;
	if (m->first < 0xfff0)
		return XDP_DROP;
	if (m->port != bpf_htons(4789))
		return XDP_DROP;
	if (m->token != 0x0123456789abcdefULL)
		return XDP_DROP;
	if ((m->flags & 0xc3) != 0x82)
		return XDP_DROP;
	if (m->end != 0xed)
		return XDP_DROP;
	return 77;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
