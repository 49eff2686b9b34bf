//go:build ignore
/* SPDX-License-Identifier: GPL-2.0-only OR MIT
 * A value in a map: a packet has to carry the token that its port has, in the table
 * that the target file fills, and the token's check byte.
 */
#include "../parse.h"

struct service {
	__u64 token;
	__u8 check;
	__u8 pad[7];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, __be16);
	__type(value, struct service);
} services SEC(".maps");

struct message {
	__u64 token;
	__u8 check;
} __attribute__((packed));

SEC("xdp")
int value(struct xdp_md *ctx)
{
	struct cursor c = CURSOR(ctx);
	struct udphdr *udp = take_udp(&c);
	struct service *s;
	struct message *m;
	__be16 port;

	if (!udp)
		return XDP_PASS;
	m = take(&c, sizeof(*m));
	if (!m)
		return XDP_PASS;
	port = udp->dest;
	s = bpf_map_lookup_elem(&services, &port);
	if (!s)
		return XDP_PASS;
	if (m->token != s->token)
		return XDP_DROP;
	if ((m->check ^ 0x55) != s->check)
		return XDP_DROP;
	return GOAL;
}
