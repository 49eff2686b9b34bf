// SPDX-License-Identifier: (GPL-2.0 OR MIT)
// Programs that do with a frame what it asks for. Built by:
// clang-22 -O2 -g -target bpf -mcpu=v3 -ffile-prefix-map=$PWD=. -fdebug-compilation-dir=. -c live.c -o live.o && llvm-strip-22 --strip-debug live.o
typedef unsigned char __u8;
typedef unsigned int __u32;
typedef unsigned long long __u64;

#define SEC(name) __attribute__((section(name), used))
#define uint(name, val) int(*name)[val]
#define type(name, val) typeof(val) *name

static void *(*lookup)(void *map, const void *key) = (void *)1;
static long (*redirect)(__u32 ifindex, __u64 flags) = (void *)23;
static long (*adjust_head)(void *ctx, int delta) = (void *)44;
static long (*redirect_map)(void *map, __u64 key, __u64 flags) = (void *)51;
static long (*adjust_tail)(void *ctx, int delta) = (void *)65;

struct xdp_md {
	__u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex;
};

struct {
	uint(type, 14); // devmap
	uint(max_entries, 8);
	type(key, __u32);
	type(value, __u32);
} ports SEC(".maps");

struct {
	uint(type, 2); // array
	uint(max_entries, 1);
	type(key, __u32);
	type(value, __u32);
} seen SEC(".maps");

enum { ABORTED, DROP, PASS, TX, REDIRECT };

// The request is the byte behind the Ethernet header, its argument the next one.
SEC("xdp")
int obey(struct xdp_md *ctx)
{
	__u8 *p = (void *)(long)ctx->data;
	__u32 zero = 0, *n;

	if (p + 64 > (__u8 *)(long)ctx->data_end)
		return DROP;
	switch (p[14]) {
	case 'a':
		return ABORTED;
	case 'p':
		return PASS;
	case 't':
		return TX;
	case 'r':
		return redirect(p[15], 0);
	case 'm':
		return redirect_map(&ports, p[15], ABORTED);
	case 'b': // to all ports
		return redirect_map(&ports, 0, 1 << 3);
	case 'i': // illegal
		return 70;
	case 'w': // write, and pass
		p[16]++;
		return PASS;
	case 'd': // write, and drop what was written already
		if (p[16])
			return PASS;
		p[16] = 1;
		return DROP;
	case 'h': // longer at the head
		return adjust_head(ctx, -4) ? ABORTED : PASS;
	case 's': // shorter at the tail
		return adjust_tail(ctx, -10) ? ABORTED : TX;
	case 'f': // where the frame says that it comes from
		p[16] = ctx->ingress_ifindex;
		return PASS;
	case 'c': // the first time only
		n = lookup(&seen, &zero);
		if (!n || *n)
			return DROP;
		*n = 1;
		return PASS;
	case 'e': // metadata
		if ((__u8 *)(long)ctx->data_meta + 4 > p)
			return DROP;
		return *(__u8 *)(long)ctx->data_meta == 7 ? TX : DROP;
	}
	return DROP;
}

SEC("tc")
int classify(void *skb)
{
	return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";
