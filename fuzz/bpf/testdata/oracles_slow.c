// SPDX-License-Identifier: (GPL-2.0 OR MIT)
// A program that takes too long for some packets, and the same mended (the name ends in
// _clean). Built by:
// clang-22 -O2 -g -target bpf -mcpu=v3 -ffile-prefix-map=$PWD=. -fdebug-compilation-dir=. -c oracles_slow.c -o oracles_slow.o
// llvm-strip-22 --strip-debug oracles_slow.o
typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;

#define SEC(name) __attribute__((section(name), used))
#define inline static __attribute__((always_inline))
#define barrier(x) asm volatile("" : "+r"(x))

enum { XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX };
enum { OPTIONS = 8, BYTES = 40 };

struct xdp_md {
	__u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex;
};

// sum adds up bytes of the packet from at on.
inline __u32 sum(struct xdp_md *ctx, __u32 at, __u32 n)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 s = 0, i;

	for (i = 0; i < n; i++) {
		if (data + at + i + 1 > end)
			break;
		s += data[at + i];
		barrier(s);
	}
	return s & 0xff;
}

// options walks a list of options of eight bytes. The value of one kind is added up;
// where all is set, so is everything that follows it, for each of them.
inline int options(struct xdp_md *ctx, int all)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 total = 0, i;

	for (i = 0; i < OPTIONS; i++) {
		__u8 *p = data + 14 + 8 * i;

		if (p + 8 > end || p[0] == 0)
			break;
		if (p[0] == 0x42)
			total += sum(ctx, 14 + 8 * i, all ? BYTES : 8);
	}
	return total == 0x123 ? XDP_DROP : XDP_PASS;
}

SEC("xdp") int slow(struct xdp_md *ctx) { return options(ctx, 1); }
SEC("xdp") int slow_clean(struct xdp_md *ctx) { return options(ctx, 0); }

char _license[] SEC("license") = "Dual MIT/GPL";
