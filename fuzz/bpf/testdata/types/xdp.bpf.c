// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* XDP: metadata, the receive queue, and fragments behind the linear part. */
#include "types.h"

#define MAGIC 0x6d657461 /* in the metadata */

static __always_inline struct iphdr *ipv4(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = data + sizeof(*eth);

	if ((void *)(ip + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP))
		return NULL;
	return ip;
}

SEC("xdp")
int xdp_meta(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	__u32 *meta = (void *)(long)ctx->data_meta;
	struct iphdr *ip = ipv4(ctx);

	if (!ip || (void *)(meta + 2) > data)
		return XDP_PASS;
	if (meta[1] == MAGIC && ip->protocol == IPPROTO_UDP)
		reached = 1;
	return XDP_PASS;
}

SEC("xdp")
int xdp_queue(struct xdp_md *ctx)
{
	struct iphdr *ip = ipv4(ctx);

	if (ip && ip->protocol == IPPROTO_UDP && ctx->ingress_ifindex > 1 && ctx->rx_queue_index == 3)
		reached = 1;
	return XDP_PASS;
}

SEC("xdp.frags")
int xdp_frags(struct xdp_md *ctx)
{
	__u64 linear = (void *)(long)ctx->data_end - (void *)(long)ctx->data;
	struct iphdr *ip = ipv4(ctx);
	__u8 far[4];

	if (!ip || ip->protocol != IPPROTO_UDP)
		return XDP_PASS;
	if (bpf_xdp_get_buff_len(ctx) < linear + 8)
		return XDP_PASS;
	if (!bpf_xdp_load_bytes(ctx, linear + 4, far, sizeof(far)) && far[1] != far[2])
		reached = 1;
	return XDP_PASS;
}

/* Writes into the last bytes, wherever they are, and moves the end. Byte 14 says by how much. */
SEC("xdp.frags")
int xdp_edit(struct xdp_md *ctx)
{
	__u32 len = bpf_xdp_get_buff_len(ctx);
	__u8 mark[4] = { 0xca, 0xfe, 0xba, 0xbe };
	__u8 how;

	if (bpf_xdp_load_bytes(ctx, 14, &how, sizeof(how)))
		return XDP_DROP;
	if (bpf_xdp_store_bytes(ctx, len - sizeof(mark), mark, sizeof(mark)))
		return XDP_ABORTED;
	if (how == 1 && bpf_xdp_adjust_tail(ctx, -1000))
		return XDP_ABORTED;
	if (how == 2 && bpf_xdp_adjust_tail(ctx, 100))
		return XDP_ABORTED;
	return XDP_TX;
}

char _license[] SEC("license") = "GPL";
