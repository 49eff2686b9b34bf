// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Steers connections to a range of ports to sockets of a map. */
#include "types.h"

#define FIRST 7000
#define PORTS 8

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} sockets SEC(".maps");

SEC("sk_lookup")
int steer(struct bpf_sk_lookup *ctx)
{
	__u32 key = ctx->protocol == IPPROTO_UDP;
	struct bpf_sock *sk;
	long err;

	if (ctx->family != 2 /* AF_INET */)
		return SK_PASS;
	if (ctx->local_port < FIRST || ctx->local_port >= FIRST + PORTS)
		return SK_PASS;
	sk = bpf_map_lookup_elem(&sockets, &key);
	if (!sk)
		return SK_DROP;
	err = bpf_sk_assign(ctx, sk, 0);
	bpf_sk_release(sk);
	if (err)
		return SK_DROP;
	if (ctx->remote_port == bpf_htons(53) && ctx->remote_ip4 == bpf_htonl(0x7f000001))
		reached = 1;
	return SK_PASS;
}

struct flow {
	__be32 addr;
	__be16 port;
	__u8 proto;
	__u8 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 16);
	__type(key, struct flow);
	__type(value, __u64);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} numbers SEC(".maps");

static __always_inline int choose(struct bpf_sk_lookup *ctx, struct bpf_sock *sk)
{
	long err;

	if (!sk)
		return SK_DROP;
	err = bpf_sk_assign(ctx, sk, 0);
	bpf_sk_release(sk);
	return err ? SK_DROP : SK_PASS;
}

/* By where a connection goes. */
SEC("sk_lookup")
int by_flow(struct bpf_sk_lookup *ctx)
{
	struct flow key = {
		.addr = ctx->local_ip4,
		.port = bpf_htons(ctx->local_port),
		.proto = ctx->protocol,
	};

	return choose(ctx, bpf_map_lookup_elem(&flows, &key));
}

/* By a hash of where it comes from. */
SEC("sk_lookup")
int by_number(struct bpf_sk_lookup *ctx)
{
	__u32 key = ctx->remote_port;

	return choose(ctx, bpf_map_lookup_elem(&numbers, &key));
}

char _license[] SEC("license") = "GPL";
