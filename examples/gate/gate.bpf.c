//go:build ignore
/* SPDX-License-Identifier: GPL-2.0-only OR MIT
 * A gate in front of a server's sockets: its management ports can be reached from
 * its own networks only, whatever listens there. Others see what they would see if
 * nothing listened. It runs when the kernel looks a socket up, and sees addresses
 * and ports instead of a packet.
 */
#include <linux/bpf.h>
#include <linux/in.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define AF_INET 2
#define AF_INET6 10

#define SSH 22
#define API 6443

/* Connections that were refused, by local port. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} refused SEC(".maps");

static __always_inline int is_managed(struct bpf_sk_lookup *ctx)
{
	if (ctx->protocol != IPPROTO_TCP)
		return 0;
	return ctx->local_port == SSH || ctx->local_port == API;
}

/* 10.0.0.0/8 */
static __always_inline int is_own4(__be32 addr)
{
	return (addr & bpf_htonl(0xff000000)) == bpf_htonl(0x0a000000);
}

/* fd00::/8, and what clients of 10.0.0.0/8 look like behind a translator: ::ffff:10.0.0.1 */
static __always_inline int is_own6(struct bpf_sk_lookup *ctx)
{
	if (ctx->remote_ip6[2] == bpf_htonl(0xffff))
		return is_own4(ctx->remote_ip6[3]);
	return (ctx->remote_ip6[0] & bpf_htonl(0xff000000)) == bpf_htonl(0xfd000000);
}

static __always_inline void count(__u32 port)
{
	__u64 one = 1, *n = bpf_map_lookup_elem(&refused, &port);

	if (n)
		__sync_fetch_and_add(n, 1);
	else
		bpf_map_update_elem(&refused, &port, &one, BPF_ANY);
}

SEC("sk_lookup")
int gate(struct bpf_sk_lookup *ctx)
{
	int own = 0;

	if (!is_managed(ctx))
		return SK_PASS;
	if (ctx->family == AF_INET)
		own = is_own4(ctx->remote_ip4);
	else if (ctx->family == AF_INET6)
		own = is_own6(ctx);
	if (own)
		return SK_PASS;
	count(ctx->local_port);
	return SK_DROP;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
