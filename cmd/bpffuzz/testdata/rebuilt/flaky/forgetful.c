// SPDX-License-Identifier: (GPL-2.0 OR MIT)
// The program of ../before of which one bug is mended and the other one shows by chance, every
// other time.
typedef unsigned char __u8;
typedef unsigned int __u32;

#define SEC(name) __attribute__((section(name), used))
#define XDP_DROP 1
#define XDP_PASS 2

struct xdp_md {
	__u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex;
};

static __u32 (*const bpf_get_prandom_u32)(void) = (void *)7;

static __attribute__((noinline)) int judge(const __u8 *p)
{
	if (p[20] == 0xa1)
		return bpf_get_prandom_u32() & 1 ? 70 : XDP_PASS;
	return XDP_PASS;
}

SEC("xdp")
int forgetful(struct xdp_md *ctx)
{
	__u8 *p = (void *)(long)ctx->data;

	if (p + 64 > (__u8 *)(long)ctx->data_end)
		return XDP_DROP;
	return judge(p);
}
