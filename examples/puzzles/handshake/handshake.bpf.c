//go:build ignore
/* SPDX-License-Identifier: GPL-2.0-only OR MIT
 * A handshake of three packets: SYN, the SYN and ACK that answers it from the other
 * side, and an ACK of that. State is in a map under the client's end.
 */
#include "../parse.h"

#define SYN 0x02
#define ACK 0x10

struct client {
	__be32 addr;
	__be16 port;
	__u16 pad;
};

struct connection {
	__u32 state; /* 1: SYN seen, 2: answered */
	__u32 client_seq, server_seq;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct client);
	__type(value, struct connection);
} connections SEC(".maps");

static __always_inline int answered(struct connection *conn, struct tcphdr *tcp)
{
	if (!conn || conn->state != 1 || bpf_ntohl(tcp->ack_seq) != conn->client_seq + 1)
		return XDP_DROP;
	conn->server_seq = bpf_ntohl(tcp->seq);
	conn->state = 2;
	return XDP_PASS;
}

static __always_inline int established(struct connection *conn, struct tcphdr *tcp)
{
	if (!conn || conn->state != 2)
		return XDP_DROP;
	if (bpf_ntohl(tcp->ack_seq) != conn->server_seq + 1)
		return XDP_DROP;
	return GOAL;
}

SEC("xdp")
int handshake(struct xdp_md *ctx)
{
	struct cursor c = CURSOR(ctx);
	struct iphdr *ip = take_ipv4(&c, IPPROTO_TCP);
	struct client from = {}, to = {};
	struct connection fresh = { .state = 1 };
	struct tcphdr *tcp;
	__u8 flags;

	if (!ip)
		return XDP_PASS;
	tcp = take(&c, sizeof(*tcp));
	if (!tcp)
		return XDP_PASS;
	from.addr = ip->saddr;
	from.port = tcp->source;
	to.addr = ip->daddr;
	to.port = tcp->dest;
	flags = ((__u8 *)tcp)[13] & (SYN | ACK);
	if (flags == SYN) {
		fresh.client_seq = bpf_ntohl(tcp->seq);
		bpf_map_update_elem(&connections, &from, &fresh, BPF_ANY);
		return XDP_PASS;
	}
	if (flags == (SYN | ACK))
		return answered(bpf_map_lookup_elem(&connections, &to), tcp);
	if (flags == ACK)
		return established(bpf_map_lookup_elem(&connections, &from), tcp);
	return XDP_DROP;
}
