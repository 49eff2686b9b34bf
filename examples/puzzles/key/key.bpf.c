//go:build ignore
/* SPDX-License-Identifier: GPL-2.0-only OR MIT
 * A key that has to exist: tunnels are known by address and number, and the target
 * file names two.
 */
#include "../parse.h"

struct tunnel {
	__be32 remote;
	__be32 number;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct tunnel);
	__type(value, __u32);
} tunnels SEC(".maps");

SEC("xdp")
int key(struct xdp_md *ctx)
{
	struct cursor c = CURSOR(ctx);
	struct iphdr *ip = take_ipv4(&c, IPPROTO_UDP);
	struct tunnel k = {};
	struct udphdr *udp;
	__be32 *number;

	if (!ip)
		return XDP_PASS;
	udp = take(&c, sizeof(*udp));
	number = take(&c, sizeof(*number));
	if (!udp || !number)
		return XDP_PASS;
	k.remote = ip->saddr;
	k.number = *number;
	if (!bpf_map_lookup_elem(&tunnels, &k))
		return XDP_DROP;
	return GOAL;
}
