// SPDX-License-Identifier: (GPL-2.0 OR MIT)
// The program of ../before some time later.
typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;

#define SEC(name) __attribute__((section(name), used))
#define XDP_DROP 1
#define XDP_PASS 2
#define XDP_TX 3

struct xdp_md {
	__u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex;
};

// echo is new.
static __attribute__((noinline)) int echo(const __u8 *p)
{
	__u16 proto = p[12] << 8 | p[13];

	return proto == 0x9000 ? XDP_TX : XDP_DROP;
}

// judge returns, for one input, what is no verdict. It did for two.
static __attribute__((noinline)) int judge(const __u8 *p)
{
	if (p[20] == 0xa1)
		return 70;
	if (p[30] == 0xb2)
		return XDP_DROP;
	return XDP_PASS;
}

SEC("xdp")
int reflect(struct xdp_md *ctx)
{
	__u8 *p = (void *)(long)ctx->data;

	if (p + 14 > (__u8 *)(long)ctx->data_end)
		return XDP_DROP;
	return echo(p);
}

SEC("xdp")
int forgetful(struct xdp_md *ctx)
{
	__u8 *p = (void *)(long)ctx->data;

	// Short frames have nothing to judge.
	if (p + 64 > (__u8 *)(long)ctx->data_end)
		return XDP_DROP;
	return judge(p);
}
