// SPDX-License-Identifier: (GPL-2.0 OR MIT)
// Global variables that two builds lay out otherwise. The objects are built here, with the clang
// in examples/clang-version, by:
//
//   build() { clang-22 -g -target bpf -mcpu=v3 -ffile-prefix-map=$PWD=. -fdebug-compilation-dir=. \
//     "$@" -c globals.c && llvm-strip-22 --strip-debug $3; }
//   build -O2 -o globals_old.o; build -O2 -o globals_moved.o -DMOVED
//   build -O2 -o globals_wrong.o -DMOVED -DWRONG
//
// MOVED has the same variables at other places, and one in another section; WRONG counts the
// packets to one port twice.
typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;

#define SEC(name) __attribute__((section(name), used))
#define XDP_PASS 2

struct xdp_md {
	__u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex;
};

#ifdef MOVED
__u64 added;
__u16 last_port;
struct { __u32 other, dns; } packets;
__u32 limit SEC(".data.limit") = 5;
#else
struct { __u32 other, dns; } packets;
__u16 last_port;
__u32 limit = 5;
#endif

SEC("xdp")
int account(struct xdp_md *ctx)
{
	__u8 *p = (void *)(long)ctx->data;
	__u16 port;

	if (p + 42 > (__u8 *)(long)ctx->data_end)
		return XDP_PASS;
	if (p[12] != 8 || p[13] != 0 || p[23] != 17)
		return XDP_PASS;
	port = p[36] << 8 | p[37];
	last_port = port;
	if (port == 53)
		packets.dns++;
	else
		packets.other++;
#ifdef MOVED
	added++;
#endif
#ifdef WRONG
	if (port == 53)
		packets.dns++;
#endif
	if (packets.other > limit)
		packets.other = 0;
	return XDP_PASS;
}
