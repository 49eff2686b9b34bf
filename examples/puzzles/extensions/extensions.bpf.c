//go:build ignore
/* SPDX-License-Identifier: GPL-2.0-only OR MIT
 * A chain of IPv6 extension headers: hop-by-hop options, a routing header and
 * destination options, in this order and nothing else, before UDP to one port.
 */
#include "../parse.h"

#define PORT 61616
#define MAX_HEADERS 6

struct extension {
	__u8 next, length;
	__u8 data[6];
};

SEC("xdp")
int extensions(struct xdp_md *ctx)
{
	struct cursor c = CURSOR(ctx);
	struct ethhdr *eth = take(&c, sizeof(*eth));
	struct ipv6hdr *ip;
	struct udphdr *udp;
	__u32 seen = 0;
	__u8 next;

	if (!eth || eth->h_proto != bpf_htons(ETH_P_IPV6))
		return XDP_PASS;
	ip = take(&c, sizeof(*ip));
	if (!ip || ip->version != 6)
		return XDP_PASS;
	next = ip->nexthdr;
	for (int i = 0; i < MAX_HEADERS; i++) {
		struct extension *e;

		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS)
			break;
		e = take(&c, sizeof(*e));
		if (!e || e->length > 8)
			return XDP_DROP;
		seen = seen << 8 | next | 1;
		next = e->next;
		c.pos += e->length * 8;
	}
	if (seen != ((IPPROTO_HOPOPTS | 1) << 16 | IPPROTO_ROUTING << 8 | IPPROTO_DSTOPTS | 1) || next != IPPROTO_UDP)
		return XDP_PASS;
	udp = take(&c, sizeof(*udp));
	if (!udp || udp->dest != bpf_htons(PORT))
		return XDP_PASS;
	return GOAL;
}
