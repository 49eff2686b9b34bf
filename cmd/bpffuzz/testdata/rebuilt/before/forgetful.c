// SPDX-License-Identifier: (GPL-2.0 OR MIT)
// A program with two bugs, as it was found by the fuzzer. ../after has it with other lines and
// functions around and one of the two mended, ../moved with more in its functions, and ../flaky
// with one that shows by chance. Each is built in its directory, with the clang in examples/clang-version, by:
//
//   clang-22 -O2 -g -target bpf -mcpu=v3 -ffile-prefix-map=$PWD=. -fdebug-compilation-dir=. \
//     -c forgetful.c -o forgetful.o && llvm-strip-22 --strip-debug forgetful.o
typedef unsigned char __u8;
typedef unsigned int __u32;

#define SEC(name) __attribute__((section(name), used))
#define XDP_DROP 1
#define XDP_PASS 2

struct xdp_md {
	__u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex;
};

static __attribute__((noinline)) int judge(const __u8 *p)
{
	if (p[20] == 0xa1)
		return 70;
	if (p[30] == 0xb2)
		return 71;
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
