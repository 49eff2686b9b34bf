// SPDX-License-Identifier: (GPL-2.0 OR MIT)
// A program with a bug beside one that no kernel accepts. Built by:
// clang-22 -O2 -g -target bpf -mcpu=v3 -ffile-prefix-map=$PWD=. -fdebug-compilation-dir=. -c siblings.c -o siblings.o
// llvm-strip-22 --strip-debug siblings.o
typedef unsigned char __u8;
typedef unsigned int __u32;

#define SEC(name) __attribute__((section(name), used))

enum { XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX };

struct xdp_md {
	__u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex;
};

SEC("xdp") int fine(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data;

	if (data + 15 > (__u8 *)(long)ctx->data_end)
		return XDP_PASS;
	return data[14] == 0x99 ? 7 : XDP_DROP;
}

SEC("xdp") int unchecked(struct xdp_md *ctx)
{
	return *(__u8 *)(long)ctx->data ? XDP_PASS : XDP_DROP;
}

char _license[] SEC("license") = "Dual MIT/GPL";
