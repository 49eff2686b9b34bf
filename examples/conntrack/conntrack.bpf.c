//go:build ignore
/* SPDX-License-Identifier: GPL-2.0-only OR MIT
 * A stateful filter between a network and the world: TCP connections may be
 * opened from inside only. It follows each connection in an LRU table, under a
 * key that is the same for both directions. IPv4 without tags; ARP passes and
 * everything else is dropped.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define IP_MF 0x2000
#define IP_OFFSET 0x1fff

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10
#define TCP_CONTROL (TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK)

#define TRACK -1 /* no verdict yet: it depends on the connection */

enum state {
	SYN_SENT = 1,
	SYN_RECEIVED,
	ESTABLISHED,
	CLOSING,
	CLOSED,
};

/* One end of a connection is "low", the other "high", by address and port. */
struct flow {
	__be32 low_addr;
	__be32 high_addr;
	__be16 low_port;
	__be16 high_port;
};

struct connection {
	__u8 state;
	__u8 from_low; /* the low end opened it */
	__u8 fins;     /* a bit for each direction that is closed */
	__u8 pad;
	__u32 packets;
};

struct segment {
	struct flow flow;
	__be32 saddr;
	__u8 from_low;
	__u8 flags;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct flow);
	__type(value, struct connection);
} connections SEC(".maps");

const volatile __be32 inside_net;
const volatile __be32 inside_mask;

static __always_inline int is_inside(__be32 addr)
{
	return (addr & inside_mask) == inside_net;
}

static __always_inline void normalise(struct segment *s, __be32 daddr, __be16 sport, __be16 dport)
{
	s->from_low = s->saddr < daddr || (s->saddr == daddr && sport < dport);
	s->flow.low_addr = s->from_low ? s->saddr : daddr;
	s->flow.high_addr = s->from_low ? daddr : s->saddr;
	s->flow.low_port = s->from_low ? sport : dport;
	s->flow.high_port = s->from_low ? dport : sport;
}

/* parse returns a verdict, or TRACK. */
static __always_inline int parse(struct segment *s, void *data, void *end)
{
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct tcphdr *tcp;

	if ((void *)(eth + 1) > end)
		return XDP_DROP;
	if (eth->h_proto == bpf_htons(ETH_P_ARP))
		return XDP_PASS;
	if (eth->h_proto != bpf_htons(ETH_P_IP) || (void *)(ip + 1) > end)
		return XDP_DROP;
	if (ip->version != 4 || ip->ihl < 5 || ip->protocol != IPPROTO_TCP ||
	    ip->frag_off & bpf_htons(IP_MF | IP_OFFSET))
		return XDP_DROP;
	tcp = (void *)ip + ip->ihl * 4;
	if ((void *)(tcp + 1) > end || tcp->doff < 5)
		return XDP_DROP;
	s->flags = ((__u8 *)tcp)[13] & TCP_CONTROL;
	if (s->flags & TCP_SYN && s->flags & (TCP_RST | TCP_FIN))
		return XDP_DROP; /* no stack sends that */
	s->saddr = ip->saddr;
	normalise(s, ip->daddr, tcp->source, tcp->dest);
	return TRACK;
}

static __always_inline int open(const struct segment *s)
{
	struct connection c = { .state = SYN_SENT, .from_low = s->from_low, .packets = 1 };

	if (!is_inside(s->saddr) || s->flags != TCP_SYN)
		return XDP_DROP;
	if (bpf_map_update_elem(&connections, &s->flow, &c, BPF_NOEXIST))
		return XDP_DROP;
	return XDP_PASS;
}

/* A closed connection lingers in the table; its ports may be used again. */
static __always_inline int reopen(struct connection *c, const struct segment *s)
{
	if (s->flags != TCP_SYN)
		return XDP_DROP;
	c->state = SYN_SENT;
	c->from_low = s->from_low;
	c->fins = 0;
	c->packets = 1;
	return XDP_PASS;
}

/* handshake handles what comes before a connection is established. */
static __always_inline int handshake(struct connection *c, const struct segment *s, int reply)
{
	switch (s->flags & (TCP_SYN | TCP_ACK)) {
	case TCP_SYN:
		return reply ? XDP_DROP : XDP_PASS; /* sent again */
	case TCP_SYN | TCP_ACK:
		if (!reply)
			return XDP_DROP;
		c->state = SYN_RECEIVED;
		return XDP_PASS;
	case TCP_ACK:
		if (reply || c->state != SYN_RECEIVED)
			return XDP_DROP;
		c->state = ESTABLISHED;
		return XDP_PASS;
	}
	return XDP_DROP;
}

/* established handles data and the exchange of FINs that ends a connection. */
static __always_inline int established(struct connection *c, const struct segment *s, int reply)
{
	if (s->flags & TCP_SYN || !(s->flags & TCP_ACK))
		return XDP_DROP;
	if (s->flags & TCP_FIN) {
		c->state = CLOSING;
		c->fins |= reply ? 2 : 1;
	} else if (c->fins == 3) {
		c->state = CLOSED; /* the last acknowledgement */
	}
	return XDP_PASS;
}

static __always_inline int track(struct connection *c, const struct segment *s)
{
	int reply = s->from_low != c->from_low;

	if (c->state == CLOSED)
		return reopen(c, s);
	c->packets++;
	if (s->flags & TCP_RST) {
		c->state = CLOSED;
		return XDP_PASS;
	}
	if (c->state < ESTABLISHED)
		return handshake(c, s, reply);
	return established(c, s, reply);
}

SEC("xdp")
int conntrack(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct segment s = {};
	struct connection *c;
	int verdict = parse(&s, data, end);

	if (verdict != TRACK)
		return verdict;
	c = bpf_map_lookup_elem(&connections, &s.flow);
	return c ? track(c, &s) : open(&s);
}

char _license[] SEC("license") = "Dual MIT/GPL";
