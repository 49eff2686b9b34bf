// SPDX-License-Identifier: (GPL-2.0 OR MIT)
// Programs that end by an exception. Built by:
// clang-22 -O2 -g -target bpf -mcpu=v3 -ffile-prefix-map=$PWD=. -fdebug-compilation-dir=. -c throw.c -o throw.o
typedef unsigned char __u8;
typedef unsigned int __u32;
typedef unsigned long long __u64;

#define SEC(name) __attribute__((section(name), used))
#define noinline __attribute__((noinline))
#define caught_by(name) __attribute__((btf_decl_tag("exception_callback:" #name)))

extern void bpf_throw(__u64 cookie) __attribute__((section(".ksyms")));

struct xdp_md {
	__u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex;
};

struct __sk_buff {
	__u32 len, pkt_type, mark, queue_mapping, protocol, vlan_present, vlan_tci, vlan_proto, priority;
	__u32 ingress_ifindex, ifindex, tc_index, cb[5], hash, tc_classid, data, data_end;
};

static noinline __u32 first(const __u8 *p, const __u8 *end)
{
	if (p + 1 > end)
		bpf_throw(7);
	return *p;
}

static noinline int check(__u32 byte)
{
	if (byte & 1)
		bpf_throw(byte + 100);
	return byte;
}

noinline int plain_check(struct xdp_md *ctx)
{
	__u32 byte = first((void *)(long)ctx->data, (void *)(long)ctx->data_end);

	return check(byte >> 1);
}

// Throws in three functions, nothing catches: the cookie is the verdict.
SEC("xdp")
int throws(struct xdp_md *ctx)
{
	__u32 byte = first((void *)(long)ctx->data, (void *)(long)ctx->data_end);

	if (byte < 8)
		bpf_throw(byte);
	return plain_check(ctx) + 1000;
}

__u64 caught;

// The callback's result is the verdict.
noinline int handler(__u64 cookie)
{
	caught++;
	if (cookie & 2)
		return 1;
	return 2;
}

SEC("xdp")
caught_by(handler)
int catches(struct xdp_md *ctx)
{
	__u32 byte = first((void *)(long)ctx->data, (void *)(long)ctx->data_end);

	if (byte < 64)
		bpf_throw(byte);
	return check(byte) + 1000;
}

// Lends its callee: loaders take functions that code refers to, and callbacks are not.
SEC("xdp")
int lends(struct xdp_md *ctx)
{
	return handler(ctx->data_end - ctx->data);
}

SEC("tc")
int tc_throws(struct __sk_buff *skb)
{
	__u32 byte = first((void *)(long)skb->data, (void *)(long)skb->data_end);

	skb->mark = byte;
	return check(byte) + 1000;
}

char _license[] SEC("license") = "GPL";
