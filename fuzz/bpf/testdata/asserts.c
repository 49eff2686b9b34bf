// SPDX-License-Identifier: (GPL-2.0 OR MIT)
// Programs with assertions of bpffuzz.h, of which some are wrong. Built by:
// clang-22 -O2 -g -target bpf -mcpu=v3 -DBPFFUZZ -ffile-prefix-map=$PWD=. -fdebug-compilation-dir=. -c asserts.c -o asserts.o
// llvm-strip-22 --strip-debug asserts.o
// and once more without -DBPFFUZZ to asserts_off.o.
#include "../include/bpffuzz.h"

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;

#define SEC(name) __attribute__((section(name), used))

enum { XDP_DROP = 1, XDP_PASS };

struct xdp_md {
	__u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex;
};

struct header {
	__u8 dst[6], src[6];
	__u16 proto;
	__u8 kind, count;
	__u16 length;
} __attribute__((packed));

static inline __attribute__((always_inline)) struct header *header(struct xdp_md *ctx)
{
	struct header *h = (void *)(long)ctx->data;

	return (void *)(h + 1) > (void *)(long)ctx->data_end ? 0 : h;
}

SEC("xdp")
int wrong(struct xdp_md *ctx)
{
	struct header *h = header(ctx);

	if (!h)
		return XDP_DROP;
	if (h->kind == 7)
		bpffuzz_assert(h->count < 200);
	if (h->kind == 9)
		bpffuzz_assert(h->length != 0x1234);
	return XDP_PASS;
}

SEC("xdp")
int right(struct xdp_md *ctx)
{
	struct header *h = header(ctx);

	if (!h)
		return XDP_DROP;
	if (h->kind == 7 && h->count < 200)
		bpffuzz_assert(((volatile struct header *)h)->count != 200);
	bpffuzz_assert(ctx->data_end - ctx->data >= 16);
	return XDP_PASS;
}

// wrong and right as they are where assertions are compiled out.
SEC("xdp")
int bare(struct xdp_md *ctx)
{
	return header(ctx) ? XDP_PASS : XDP_DROP;
}

char _license[] SEC("license") = "GPL";
