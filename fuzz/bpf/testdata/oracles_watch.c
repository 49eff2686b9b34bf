// SPDX-License-Identifier: (GPL-2.0 OR MIT)
// Programs with a planted bug for each oracle that watches a run, and with the bug mended
// (the name ends in _clean). Built by:
// clang-22 -O2 -g -target bpf -mcpu=v3 -ffile-prefix-map=$PWD=. -fdebug-compilation-dir=. -c oracles_watch.c -o oracles_watch.o
// llvm-strip-22 --strip-debug oracles_watch.o
typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;

#define SEC(name) __attribute__((section(name), used))
#define inline static __attribute__((always_inline))

enum { XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX };
enum { TC_ACT_OK = 0, TC_ACT_SHOT = 2 };

struct xdp_md {
	__u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex;
};

struct __sk_buff {
	__u32 len, pkt_type, mark, queue_mapping, protocol, vlan_present, vlan_tci, vlan_proto, priority;
	__u32 ingress_ifindex, ifindex, tc_index, cb[5], hash, tc_classid, data, data_end;
};

static __u32 (*const get_prandom_u32)(void) = (void *)7;
static long (*const skb_store_bytes)(struct __sk_buff *skb, __u32 offset, const void *from, __u32 len, __u64 flags) = (void *)9;

// byte returns a byte of the packet, 0 behind its end.
inline __u8 byte(struct xdp_md *ctx, __u32 at)
{
	__u8 *data = (void *)(long)ctx->data;

	if (data + at + 1 > (__u8 *)(long)ctx->data_end)
		return 0;
	return data[at];
}

// classify gives packets of one kind the verdict that is asked for.
inline int classify(struct xdp_md *ctx, int verdict)
{
	if (byte(ctx, 14) == 0x45 && byte(ctx, 23) == 17 && byte(ctx, 36) == 0x35)
		return verdict;
	return XDP_PASS;
}

SEC("xdp") int verdict(struct xdp_md *ctx) { return classify(ctx, 7); }
SEC("xdp") int verdict_clean(struct xdp_md *ctx) { return classify(ctx, XDP_DROP); }
SEC("xdp") int aborted(struct xdp_md *ctx) { return classify(ctx, XDP_ABORTED); }
SEC("xdp") int aborted_clean(struct xdp_md *ctx) { return classify(ctx, XDP_DROP); }

// mark sets the DSCP of IPv4 packets, and mends the header's checksum where that is
// asked for.
inline int mark(struct xdp_md *ctx, int mend)
{
	__u8 *data = (void *)(long)ctx->data;
	__u16 *check;
	__u32 sum;

	if (data + 34 > (__u8 *)(long)ctx->data_end || data[12] != 8 || data[13] || data[14] != 0x45)
		return XDP_PASS;
	check = (void *)(data + 24);
	sum = (__u16)~*check + (__u16)~(data[15] << 8) + (0xb8 << 8);
	data[15] = 0xb8;
	if (mend) {
		sum = (sum & 0xffff) + (sum >> 16);
		*check = ~((sum & 0xffff) + (sum >> 16));
	}
	return XDP_PASS;
}

SEC("xdp") int checksum(struct xdp_md *ctx) { return mark(ctx, 0); }
SEC("xdp") int checksum_clean(struct xdp_md *ctx) { return mark(ctx, 1); }

// rewrite changes a byte of ARP packets, and skb->csum where that is asked for.
inline int rewrite(struct __sk_buff *skb, __u64 flags)
{
	__u8 kind = 6;

	if (skb->protocol == 0x0608 && skb->len >= 34 && skb_store_bytes(skb, 15, &kind, sizeof(kind), flags))
		return TC_ACT_SHOT;
	return TC_ACT_OK;
}

SEC("tc") int complete(struct __sk_buff *skb) { return rewrite(skb, 0); }
SEC("tc") int complete_clean(struct __sk_buff *skb) { return rewrite(skb, 1); }

// sample drops, passes or returns a packet, by chance or by what is in it.
inline int sample(struct xdp_md *ctx, int chance)
{
	__u32 n = chance ? get_prandom_u32() : byte(ctx, 14) ^ byte(ctx, 20);

	return XDP_DROP + n % 3;
}

SEC("xdp") int chance(struct xdp_md *ctx) { return sample(ctx, 1); }
SEC("xdp") int chance_clean(struct xdp_md *ctx) { return sample(ctx, 0); }

extern int bpf_stream_vprintk_impl(int stream, const char *fmt, const void *args, __u32 len, void *prog)
	__attribute__((section(".ksyms"), weak));

// complain writes to the program's error stream, or to its output stream.
inline int complain(struct xdp_md *ctx, int stream)
{
	static const char text[] = "port %d\n";
	__u64 args[1];

	if (byte(ctx, 14) == 0x45 && byte(ctx, 23) == 17 && byte(ctx, 36) == 0x35) {
		args[0] = byte(ctx, 37);
		bpf_stream_vprintk_impl(stream, text, args, sizeof(args), 0);
	}
	return XDP_PASS;
}

// answer returns what the kernel says to a write.
SEC("xdp") int answer(struct xdp_md *ctx)
{
	static const char text[] = "trial %d\n";
	__u64 args[1] = {1};

	return bpf_stream_vprintk_impl(2, text, args, sizeof(args), 0);
}

SEC("xdp") int complains(struct xdp_md *ctx) { return complain(ctx, 2); }
SEC("xdp") int complains_clean(struct xdp_md *ctx) { return complain(ctx, 1); }

char _license[] SEC("license") = "Dual MIT/GPL";
