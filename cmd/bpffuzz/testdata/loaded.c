// SPDX-License-Identifier: (GPL-2.0 OR MIT)
// Programs that the scripts run as they are, and that bpftool runs as well. Built in
// this directory, with the clang in examples/clang-version, by:
//
//   clang-22 -O2 -g -target bpf -mcpu=v3 -ffile-prefix-map=$PWD=. -fdebug-compilation-dir=. \
//     -c loaded.c -o loaded.o && llvm-strip-22 --strip-debug loaded.o
typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;

#define SEC(name) __attribute__((section(name), used))
#define XDP_DROP 1
#define XDP_PASS 2
#define TC_ACT_OK 0
#define TC_ACT_SHOT 2

static void *(*lookup)(void *map, const void *key) = (void *)1;
static long (*trace_printk)(const char *fmt, __u32 size, ...) = (void *)6;
static __u32 (*processor)(void) = (void *)8;

struct xdp_md {
	__u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex;
};

struct __sk_buff {
	__u32 len, pkt_type, mark, queue_mapping, protocol, vlan_present, vlan_tci, vlan_proto, priority;
	__u32 ingress_ifindex, ifindex, tc_index, cb[5], hash, tc_classid, data, data_end;
};

struct {
	int (*type)[2]; // array
	int (*max_entries)[8];
	__u32 *key;
	__u64 *value;
} hits SEC(".maps");

static inline __attribute__((always_inline)) void hit(__u32 slot)
{
	__u64 *n = lookup(&hits, &slot);

	if (n)
		*n += 1;
}

// counted says in its counters how far a packet comes, one byte after the other, and
// returns at the end what is no verdict.
SEC("xdp")
int counted(struct xdp_md *ctx)
{
	__u8 *p = (void *)(long)ctx->data;

	if (p + 64 > (__u8 *)(long)ctx->data_end)
		return XDP_DROP;
	hit(0);
	if (p[20] != 0xa1)
		return XDP_PASS;
	hit(1);
	if (p[31] != 0xb2)
		return XDP_PASS;
	hit(2);
	if (p[42] != 0xc3)
		return XDP_PASS;
	hit(3);
	return 77;
}

// marked changes packet and context.
SEC("tc")
int marked(struct __sk_buff *skb)
{
	__u8 *p = (void *)(long)skb->data;

	if (p + 34 > (__u8 *)(long)skb->data_end)
		return TC_ACT_SHOT;
	skb->mark += 3;
	skb->cb[1] = skb->len;
	skb->priority = 7;
	p[22] -= 1;
	return TC_ACT_OK;
}

// talks says what it sees.
SEC("tc")
int talks(struct __sk_buff *skb)
{
	static const char first[] = "length %d", second[] = "mark %d";

	trace_printk(first, sizeof(first), skb->len);
	trace_printk(second, sizeof(second), skb->mark);
	return TC_ACT_OK;
}

// where returns the processor that it runs on and its first argument.
SEC("raw_tp/sys_enter")
int where(__u64 *args)
{
	return processor() << 8 | (args[0] & 0xff);
}

// untyped is in a section that says nothing of a type.
SEC("custom")
int untyped(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
