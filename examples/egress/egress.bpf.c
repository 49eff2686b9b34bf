//go:build ignore
/* SPDX-License-Identifier: GPL-2.0-only OR MIT
 * Classifies and polices what a host sends, at tc egress. A packet's class
 * follows from its destination port, else from its DSCP. Each class has a rate,
 * which is enforced by departure time: the fq qdisc behind this program holds a
 * packet until skb->tstamp, and what would have to wait for too long is dropped.
 *
 * The mark says where a packet comes from (MARK_ORIGIN), and on the way out that
 * it was policed (MARK_POLICED). Only the host's own routing daemons may send
 * network control traffic past the policers.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define NSEC_PER_SEC 1000000000ULL
#define HORIZON (2 * NSEC_PER_SEC)

#define IP_OFFSET 0x1fff
#define DSCPS 64
#define DSCP_CS6 48 /* network control */

#define MARK_ORIGIN 0x00000f00
#define ORIGIN_PROXY 0x00000200
#define ORIGIN_HOST 0x00000c00
#define ORIGIN_OVERLAY 0x00000e00
#define MARK_POLICED 0x00010000

enum class {
	BEST_EFFORT,
	BULK,
	INTERACTIVE,
	CONTROL,
	CLASSES,
};

struct vlan_tag {
	__be16 tci;
	__be16 proto;
};

struct port_key {
	__be16 port;
	__u8 proto;
	__u8 pad;
};

struct policer {
	__u64 rate; /* bytes a second; 0 means that the class is shut */
	__u64 next; /* departure of the next packet, in ns */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct port_key);
	__type(value, __u32);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, DSCPS);
	__type(key, __u32);
	__type(value, __u32);
} dscps SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CLASSES);
	__type(key, __u32);
	__type(value, struct policer);
} policers SEC(".maps");

struct flow {
	__u32 dscp;
	__u8 proto;
	__be16 dport;
};

static __always_inline void read_port(struct flow *f, void *header, void *end)
{
	__be16 *ports = header;

	if (f->proto != IPPROTO_TCP && f->proto != IPPROTO_UDP)
		return;
	if ((void *)(ports + 2) <= end)
		f->dport = ports[1];
}

static __always_inline void read_ipv4(struct flow *f, struct iphdr *ip, void *end)
{
	if ((void *)(ip + 1) > end || ip->ihl < 5)
		return;
	f->dscp = ip->tos >> 2;
	f->proto = ip->protocol;
	if (!(ip->frag_off & bpf_htons(IP_OFFSET)))
		read_port(f, (void *)ip + ip->ihl * 4, end);
}

static __always_inline void read_ipv6(struct flow *f, struct ipv6hdr *ip, void *end)
{
	if ((void *)(ip + 1) > end)
		return;
	f->dscp = bpf_ntohs(*(__be16 *)ip) >> 6 & (DSCPS - 1);
	f->proto = ip->nexthdr;
	read_port(f, ip + 1, end);
}

/* A packet that cannot be read is a flow of zeros: best effort. */
static __always_inline void read_flow(struct flow *f, struct __sk_buff *skb)
{
	void *end = (void *)(long)skb->data_end;
	struct ethhdr *eth = (void *)(long)skb->data;
	void *header = eth + 1;
	struct vlan_tag *tag;
	__be16 proto;

	if (header > end)
		return;
	proto = eth->h_proto;
	if (proto == bpf_htons(ETH_P_8021Q) || proto == bpf_htons(ETH_P_8021AD)) {
		tag = header;
		header = tag + 1;
		if (header > end)
			return;
		proto = tag->proto;
	}
	if (proto == bpf_htons(ETH_P_IP))
		read_ipv4(f, header, end);
	else if (proto == bpf_htons(ETH_P_IPV6))
		read_ipv6(f, header, end);
}

static __always_inline __u32 classify(const struct flow *f)
{
	struct port_key key = { .port = f->dport, .proto = f->proto };
	__u32 *class = bpf_map_lookup_elem(&ports, &key);

	if (!class)
		class = bpf_map_lookup_elem(&dscps, &f->dscp);
	return class && *class < CLASSES ? *class : BEST_EFFORT;
}

/* police gives the packet its time of departure, or refuses it. */
static __always_inline int police(struct __sk_buff *skb, __u32 class)
{
	struct policer *p = bpf_map_lookup_elem(&policers, &class);
	__u64 now = skb->tstamp, at;

	if (!p || !p->rate)
		return TC_ACT_SHOT;
	at = p->next > now ? p->next : now;
	if (at - now > HORIZON)
		return TC_ACT_SHOT;
	p->next = at + skb->wire_len * NSEC_PER_SEC / p->rate;
	skb->tstamp = at;
	skb->mark |= MARK_POLICED;
	return TC_ACT_OK;
}

SEC("tc")
int egress(struct __sk_buff *skb)
{
	struct flow f = {};
	__u32 class;

	skb->mark &= ~MARK_POLICED;
	read_flow(&f, skb);
	if (f.dscp == DSCP_CS6 && (skb->mark & ORIGIN_HOST) == ORIGIN_HOST) {
		skb->priority = CONTROL;
		skb->queue_mapping = CONTROL;
		return TC_ACT_OK;
	}
	class = classify(&f);
	/* What came through the proxy or the overlay waits behind its own kind. */
	switch (skb->mark & MARK_ORIGIN) {
	case ORIGIN_PROXY:
	case ORIGIN_OVERLAY:
		if (class == INTERACTIVE)
			class = BEST_EFFORT;
	}
	skb->priority = class;
	skb->queue_mapping = class;
	skb->cb[0] = class; /* for the programs behind this one */
	return police(skb, class);
}

char _license[] SEC("license") = "Dual MIT/GPL";
