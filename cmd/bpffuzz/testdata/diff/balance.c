// SPDX-License-Identifier: (GPL-2.0 OR MIT)
// A program to be compared with other builds of it. The objects are built here, with the clang
// in examples/clang-version, by:
//
//   build() { clang-22 -g -target bpf -mcpu=v3 -ffile-prefix-map=$PWD=. -fdebug-compilation-dir=. \
//     "$@" -c balance.c && llvm-strip-22 --strip-debug $3; }
//   build -O2 -o old.o; build -Os -o same.o -DSHAPE; build -O2 -o verdict.o -DVERDICT
//   build -O2 -o packet.o -DPACKET; build -O2 -o map.o -DMAP
//
// SHAPE writes it another way, the others make it do something else.
typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name
#define XDP_DROP 1
#define XDP_PASS 2
#define XDP_TX 3

struct xdp_md {
	__u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex;
};

struct {
	__uint(type, 1); /* hash */
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
} seen SEC(".maps");

static void *(*const map_lookup)(void *map, const void *key) = (void *)1;
static long (*const map_update)(void *map, const void *key, const void *value, __u64 flags) = (void *)2;

static __attribute__((always_inline)) void count(__u32 port)
{
	__u64 one = 1, *n = map_lookup(&seen, &port);

#ifdef MAP
	one = port == 443 ? 2 : 1;
#endif
	if (n)
		*n += 1;
	else
		map_update(&seen, &port, &one, 0);
}

static __attribute__((always_inline)) int judge(__u16 port)
{
#ifdef SHAPE
	switch (port) {
	case 22:
		return XDP_DROP;
	case 443:
	case 80:
		return XDP_TX;
	default:
		return XDP_PASS;
	}
#else
	if (port == 80 || port == 443)
		return XDP_TX;
#ifdef VERDICT
	if (port == 0x1234)
		return XDP_DROP;
#endif
	return port == 22 ? XDP_DROP : XDP_PASS;
#endif
}

SEC("xdp")
int balance(struct xdp_md *ctx)
{
	__u8 *p = (void *)(long)ctx->data;
	__u16 port;
	int verdict;

	if (p + 42 > (__u8 *)(long)ctx->data_end)
		return XDP_PASS;
	if (p[12] != 8 || p[13] != 0 || p[23] != 17)
		return XDP_PASS;
	port = p[36] << 8 | p[37];
	verdict = judge(port);
	if (verdict == XDP_TX) {
		p[22]--;
#ifdef PACKET
		if (port == 443)
			p[22]--;
#endif
	}
	count(port);
	return verdict;
}
