// SPDX-License-Identifier: (GPL-2.0 OR MIT)
// The program of ../before with both bugs, whose functions have more in them: the lines of the
// path have other numbers and what they say stays.
typedef unsigned char __u8;
typedef unsigned int __u32;
typedef unsigned long long __u64;

#define SEC(name) __attribute__((section(name), used))
#define XDP_DROP 1
#define XDP_PASS 2

struct xdp_md {
	__u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex;
};

static volatile __u64 shorter;

static __attribute__((noinline)) int judge(const __u8 *p)
{
	// What is returned here is no verdict, which is for
	// others to notice.
	if (p[20] == 0xa1)
		return 70;

	/* Nor is this one. */

	if (p[30] == 0xb2)
		return 71;
	return XDP_PASS;
}

SEC("xdp")
int forgetful(struct xdp_md *ctx)
{
	__u8 *p = (void *)(long)ctx->data;

	// Short frames have nothing to judge. Those
	// without any header pass.
	if (p + 64 > (__u8 *)(long)ctx->data_end)
		return p + 14 > (__u8 *)(long)ctx->data_end ? shorter++, XDP_PASS : XDP_DROP;
	return judge(p);
}
