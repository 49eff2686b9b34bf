// SPDX-License-Identifier: (GPL-2.0 OR MIT)
// The objects that the scripts run the command on, one for each name below. Built
// in this directory, with the clang in examples/clang-version, by:
//
//   for name in clean several rejected noprogram planted kprobe stages chance counted; do
//     clang-22 -O2 -g -target bpf -mcpu=v3 -ffile-prefix-map=$PWD=. -fdebug-compilation-dir=. \
//       -D$name -c objects.c -o $name.o && llvm-strip-22 --strip-debug $name.o
//   done
typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;

#define SEC(name) __attribute__((section(name), used))
#define XDP_DROP 1
#define XDP_PASS 2

struct xdp_md {
	__u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex;
};

static inline __attribute__((always_inline)) __u8 *bytes(struct xdp_md *ctx, int n)
{
	__u8 *data = (void *)(long)ctx->data;

	return data + n > (__u8 *)(long)ctx->data_end ? 0 : data;
}

#if defined(clean) || defined(several)
// clean drops what is not IPv4, and does nothing wrong.
SEC("xdp")
int drop_other(struct xdp_md *ctx)
{
	__u8 *p = bytes(ctx, 34);

	if (!p || p[12] != 8 || p[13] != 0)
		return XDP_DROP;
	return p[14] >> 4 == 4 ? XDP_PASS : XDP_DROP;
}
#endif

#ifdef several
SEC("xdp")
int pass_all(struct xdp_md *ctx)
{
	return XDP_PASS;
}
#endif

#ifdef rejected
// rejected reads without a look at the packet's end.
SEC("xdp")
int unchecked(struct xdp_md *ctx)
{
	if (ctx->rx_queue_index > 3 || ctx->ingress_ifindex > 7)
		return XDP_DROP;
	return *(__u8 *)(long)ctx->data ? XDP_PASS : XDP_DROP;
}
#endif

#ifdef noprogram
struct {
	int (*type)[2];
	int (*max_entries)[1];
	__u32 *key, *value;
} counters SEC(".maps");
#endif

#ifdef planted
// planted returns what is no verdict of XDP behind each of several bytes, so that
// there are findings from the first second on.
SEC("xdp")
int forgetful(struct xdp_md *ctx)
{
	__u8 *p = bytes(ctx, 64);

	if (!p)
		return XDP_DROP;
	if (p[20] == 0xa1)
		return 70;
	if (p[30] == 0xb2 && p[31] == 0xc3)
		return 71;
	if (p[40] > 0xf0)
		return p[41] == 7 ? 72 : XDP_PASS;
	if (p[50] == 0x11 && p[51] == 0x22 && p[52] == 0x33)
		return 73;
	return XDP_PASS;
}
#endif

#ifdef kprobe
SEC("kprobe/do_nanosleep")
int on_sleep(void *ctx)
{
	return 0;
}
#endif

#if defined(stages) || defined(counted)
// What a run leaves to the next is written in place: no helper changes a map.
static __u32 stage;
static __u32 seen;
#endif

#ifdef stages
// stages fails at the third of three packets in the right order.
SEC("xdp")
int ordered(struct xdp_md *ctx)
{
	__u8 *p = bytes(ctx, 34);

	if (!p)
		return XDP_DROP;
	seen++;
	switch (p[20]) {
	case 0x11:
		stage = 1;
		break;
	case 0x22:
		stage = stage == 1 ? 2 : 0;
		break;
	case 0x33:
		if (stage == 2)
			return 70;
		stage = 0;
		break;
	}
	return XDP_PASS;
}
#endif

#ifdef chance
static __u32 (*prandom)(void) = (void *)7;

// chance fails once in 4,096 runs, whatever the packet.
SEC("xdp")
int lottery(struct xdp_md *ctx)
{
	return prandom() % 4096 ? XDP_PASS : 70;
}
#endif

#ifdef counted
const volatile __u32 most = 100;

// counted fails when it has seen too many packets, more than an input has.
SEC("xdp")
int limited(struct xdp_md *ctx)
{
	if (seen < most)
		seen++;
	else
		return 70;
	return XDP_PASS;
}
#endif

char _license[] SEC("license") = "Dual MIT/GPL";
