// SPDX-License-Identifier: (GPL-2.0 OR MIT)
// Programs with a planted bug for each oracle that compares, and with the bug mended (the
// name ends in _clean). Built by:
// clang-22 -O2 -g -target bpf -mcpu=v3 -ffile-prefix-map=$PWD=. -fdebug-compilation-dir=. -c oracles_twin.c -o oracles_twin.o
// llvm-strip-22 --strip-debug oracles_twin.o
typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;

#define SEC(name) __attribute__((section(name), used))
#define inline static __attribute__((always_inline))
#define packed __attribute__((packed))
#define htons(x) ((__u16)__builtin_bswap16(x))

enum { XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX };
enum { TC_ACT_OK = 0, TC_ACT_SHOT = 2 };

struct xdp_md {
	__u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex;
};

struct __sk_buff {
	__u32 len, pkt_type, mark, queue_mapping, protocol, vlan_present, vlan_tci, vlan_proto, priority;
	__u32 ingress_ifindex, ifindex, tc_index, cb[5], hash, tc_classid, data, data_end;
};

static long (*const skb_store_bytes)(struct __sk_buff *skb, __u32 offset, const void *from, __u32 len, __u64 flags) = (void *)9;
static long (*const xdp_adjust_head)(struct xdp_md *xdp, int delta) = (void *)44;
static long (*const xdp_adjust_meta)(struct xdp_md *xdp, int delta) = (void *)54;
static __u64 (*const xdp_get_buff_len)(struct xdp_md *xdp) = (void *)188;
static long (*const xdp_load_bytes)(struct xdp_md *xdp, __u32 offset, void *buf, __u32 len) = (void *)189;

struct eth {
	__u8 dst[6], src[6];
	__u16 proto;
} packed;

struct ip4 {
	__u8 version_ihl, tos;
	__u16 tot_len, id, frag_off;
	__u8 ttl, protocol;
	__u16 check;
	__u32 saddr, daddr;
} packed;

struct frame {
	struct eth eth;
	struct ip4 ip;
} packed;

inline void *start(struct xdp_md *ctx) { return (void *)(long)ctx->data; }
inline void *end(struct xdp_md *ctx) { return (void *)(long)ctx->data_end; }

// ip_of returns the frame where it is one of IPv4 without options.
inline struct frame *ip_of(struct xdp_md *ctx)
{
	struct frame *f = start(ctx);

	if ((void *)(f + 1) > end(ctx) || f->eth.proto != htons(0x0800) || f->ip.version_ihl != 0x45)
		return 0;
	return f;
}

inline __u16 sum_of(struct ip4 *ip)
{
	const __u16 *word = (void *)ip;
	__u32 sum = 0;

#pragma unroll
	for (int i = 0; i < 10; i++)
		sum += word[i];
	sum = (sum & 0xffff) + (sum >> 16);
	return ~((sum & 0xffff) + (sum >> 16));
}

// tunnel puts an IPv4 header in front of another. It leaves id unwritten where
// that is asked for, and counts its own length twice.
inline int tunnel(struct xdp_md *ctx, int twice, int forget)
{
	struct frame *f = ip_of(ctx), *outer;
	struct eth eth;
	struct ip4 inner;

	if (!f || htons(f->ip.tot_len) > (long)ctx->data_end - (long)ctx->data - 14)
		return XDP_PASS;
	eth = f->eth;
	inner = f->ip;
	if (xdp_adjust_head(ctx, -20))
		return XDP_DROP;
	outer = start(ctx);
	if ((void *)(outer + 1) > end(ctx))
		return XDP_DROP;
	outer->eth = eth;
	outer->ip.version_ihl = 0x45;
	outer->ip.tos = 0;
	outer->ip.tot_len = htons(htons(inner.tot_len) + (twice ? 40 : 20));
	if (!forget)
		outer->ip.id = 0;
	outer->ip.frag_off = 0;
	outer->ip.ttl = 64;
	outer->ip.protocol = 4;
	outer->ip.saddr = 1;
	outer->ip.daddr = 2;
	outer->ip.check = 0;
	outer->ip.check = sum_of(&outer->ip);
	return XDP_TX;
}

SEC("xdp") int lengths(struct xdp_md *ctx) { return tunnel(ctx, 1, 0); }
SEC("xdp") int lengths_clean(struct xdp_md *ctx) { return tunnel(ctx, 0, 0); }
SEC("xdp") int headroom(struct xdp_md *ctx) { return tunnel(ctx, 0, 1); }
SEC("xdp") int headroom_clean(struct xdp_md *ctx) { return tunnel(ctx, 0, 0); }

// annotate gives the packet metadata of which it writes all or half.
inline int annotate(struct xdp_md *ctx, int half)
{
	__u32 *meta;

	if (xdp_adjust_meta(ctx, -8))
		return XDP_PASS;
	meta = (void *)(long)ctx->data_meta;
	if ((void *)(meta + 2) > start(ctx))
		return XDP_DROP;
	meta[0] = 7;
	if (!half)
		meta[1] = 0;
	return XDP_PASS;
}

SEC("xdp") int headroom_meta(struct xdp_md *ctx) { return annotate(ctx, 1); }
SEC("xdp") int headroom_meta_clean(struct xdp_md *ctx) { return annotate(ctx, 0); }

// route sends packets on as a router does.
inline int route(struct xdp_md *ctx, int careful, int decrement)
{
	struct frame *f = ip_of(ctx);

	if (!f || (f->ip.daddr & 1))
		return XDP_PASS;
	if (careful && f->ip.ttl <= 1)
		return XDP_PASS;
	if (decrement) {
		f->ip.ttl--;
		f->ip.check = 0;
		f->ip.check = sum_of(&f->ip);
	}
	f->eth.dst[0] = 2;
	f->eth.dst[5] = 9;
	return XDP_TX;
}

SEC("xdp") int ttl(struct xdp_md *ctx) { return route(ctx, 0, 1); }
SEC("xdp") int ttl_clean(struct xdp_md *ctx) { return route(ctx, 1, 1); }
SEC("xdp") int ttl_kept(struct xdp_md *ctx) { return route(ctx, 1, 0); }
SEC("xdp") int ttl_kept_clean(struct xdp_md *ctx) { return route(ctx, 1, 1); }

// note is 8 bytes, of which the compiler leaves 3 between kind and value.
struct note {
	__u8 kind;
	__u32 value;
};

// mark writes a note over the packet's addresses.
inline int mark(struct __sk_buff *ctx, int clear)
{
	struct note n;

	if (clear)
		__builtin_memset(&n, 0, sizeof(n));
	n.kind = 1;
	n.value = ctx->len;
	asm volatile("" : : "r"(&n) : "memory");
	if (skb_store_bytes(ctx, 0, &n, sizeof(n), 0))
		return TC_ACT_SHOT;
	return TC_ACT_OK;
}

SEC("tc") int uninitialised(struct __sk_buff *ctx) { return mark(ctx, 0); }
SEC("tc") int uninitialised_clean(struct __sk_buff *ctx) { return mark(ctx, 1); }

// last_word reads len bytes of the packet and returns the fourth word, read or not.
static __attribute__((noinline)) __u32 last_word(struct xdp_md *ctx, __u32 len)
{
	__u32 words[4];

	asm volatile("" : : "r"(words) : "memory");
	if (len == 0 || len > sizeof(words))
		return 0;
	if (xdp_load_bytes(ctx, 0, words, len))
		return 0;
	return words[3];
}

inline int choose(struct xdp_md *ctx, __u32 len)
{
	return last_word(ctx, len) & 0x0f ? XDP_DROP : XDP_PASS;
}

SEC("xdp") int uninitialised_call(struct xdp_md *ctx) { return choose(ctx, 12); }
SEC("xdp") int uninitialised_call_clean(struct xdp_md *ctx) { return choose(ctx, 16); }

// police drops what ends in a certain byte. The frame may end behind the IP packet.
inline int police(struct xdp_md *ctx, int padding)
{
	struct frame *f = ip_of(ctx);
	__u32 len = (long)ctx->data_end - (long)ctx->data;
	__u8 last;

	if (!f)
		return XDP_PASS;
	if (!padding)
		len = 14 + htons(f->ip.tot_len);
	if (len < sizeof(*f) || len > 1500)
		return XDP_PASS;
	if (xdp_load_bytes(ctx, len - 1, &last, 1))
		return XDP_PASS;
	return last & 1 ? XDP_DROP : XDP_PASS;
}

SEC("xdp") int padding(struct xdp_md *ctx) { return police(ctx, 1); }
SEC("xdp") int padding_clean(struct xdp_md *ctx) { return police(ctx, 0); }

// limit drops what is longer than it likes: by what lies in one piece, or by all.
inline int limit(struct xdp_md *ctx, int linear)
{
	__u32 len = linear ? ctx->data_end - ctx->data : xdp_get_buff_len(ctx);

	return len > 300 ? XDP_DROP : XDP_PASS;
}

SEC("xdp.frags") int frags(struct xdp_md *ctx) { return limit(ctx, 1); }
SEC("xdp.frags") int frags_clean(struct xdp_md *ctx) { return limit(ctx, 0); }

char _license[] SEC("license") = "Dual MIT/GPL";
