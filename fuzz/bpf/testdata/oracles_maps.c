// SPDX-License-Identifier: (GPL-2.0 OR MIT)
// Programs that use up the room in a map, and the same mended (the name ends in _clean).
// Built by:
// clang-22 -O2 -g -target bpf -mcpu=v3 -ffile-prefix-map=$PWD=. -fdebug-compilation-dir=. -c oracles_maps.c -o oracles_maps.o
// llvm-strip-22 --strip-debug oracles_maps.o
typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;

#define SEC(name) __attribute__((section(name), used))
#define inline static __attribute__((always_inline))

enum { XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX };
enum { BPF_MAP_TYPE_HASH = 1, BPF_ANY = 0 };
enum { RULES = 4 };

struct xdp_md {
	__u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex;
};

static long (*const map_update_elem)(void *map, const void *key, const void *value, __u64 flags) = (void *)2;
static long (*const map_delete_elem)(void *map, const void *key) = (void *)3;

struct {
	int (*type)[BPF_MAP_TYPE_HASH];
	int (*max_entries)[RULES];
	__u32 *key;
	__u32 *value;
} rules SEC(".maps");

struct {
	int (*type)[BPF_MAP_TYPE_HASH];
	int (*max_entries)[1024];
	__u32 *key;
	__u32 *value;
} pending SEC(".maps");

__u32 sequence;

// learn makes a rule of each byte of a control packet; once is set where only the last
// one is to stay.
inline int learn(struct xdp_md *ctx, int once)
{
	__u8 *p = (void *)(long)ctx->data;
	__u32 i, value = 1;

	if (p + 14 + RULES > (__u8 *)(long)ctx->data_end || p[12] != 0x88 || p[13] != 0xb5)
		return XDP_PASS;
	for (i = 0; i < RULES; i++) {
		__u32 key = p[14 + i], before = key - 1;

		if (!key)
			break;
		if (once)
			map_delete_elem(&rules, &before);
		map_update_elem(&rules, &key, &value, BPF_ANY);
		if (once)
			map_delete_elem(&rules, &key);
	}
	return XDP_DROP;
}

SEC("xdp") int full(struct xdp_md *ctx) { return learn(ctx, 0); }
SEC("xdp") int full_clean(struct xdp_md *ctx) { return learn(ctx, 1); }

// ask remembers a request under a number of its own, or under that of the packet.
inline int ask(struct xdp_md *ctx, int own)
{
	__u8 *p = (void *)(long)ctx->data;
	__u32 key, value;

	if (p + 18 > (__u8 *)(long)ctx->data_end || p[12] != 0x88 || p[13] != 0xb5)
		return XDP_PASS;
	key = own ? ++sequence : *(__u16 *)(p + 16);
	value = p[14];
	switch (p[15]) {
	case 1:
		map_update_elem(&pending, &key, &value, BPF_ANY);
		return XDP_TX;
	case 2:
		map_delete_elem(&pending, &key);
		return XDP_PASS;
	}
	return XDP_DROP;
}

SEC("xdp") int leak(struct xdp_md *ctx) { return ask(ctx, 1); }
SEC("xdp") int leak_clean(struct xdp_md *ctx) { return ask(ctx, 0); }

char _license[] SEC("license") = "Dual MIT/GPL";
