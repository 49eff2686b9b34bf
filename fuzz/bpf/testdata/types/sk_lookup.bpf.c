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

char _license[] SEC("license") = "GPL";
