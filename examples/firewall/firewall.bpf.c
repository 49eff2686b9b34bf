//go:build ignore
/* SPDX-License-Identifier: GPL-2.0-only OR MIT
 * A stateless firewall in front of a server: whatever is not asked for in the
 * maps is dropped. It reads up to two VLAN tags, IPv4 with options, IPv6 with
 * extension headers, TCP, UDP and ICMP.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define MAX_TAGS 2
#define MAX_OPTIONS 40 /* bytes */
#define MAX_EXTENSIONS 4
#define MAX_OFFSET 4096 /* the verifier wants offsets with an upper bound */

#define IP_MF 0x2000
#define IP_OFFSET 0x1fff

enum reason {
	PASSED,
	MALFORMED,
	FRAGMENT,
	SOURCE_ROUTED,
	DENIED_NETWORK,
	NO_SERVICE,
	UNKNOWN_PROTOCOL,
	REASONS,
};

enum network { UNKNOWN, DENIED, TRUSTED };

struct vlan_tag {
	__be16 tci;
	__be16 proto;
};

/* What the rules look at. */
struct flow {
	enum network from;
	__u8 proto;
	__be16 dport;
};

struct packet {
	void *data;
	void *end;
	__u32 off; /* of the header that is read next */
};

struct service_key {
	__be16 port;
	__u8 proto;
	__u8 pad;
};

struct service {
	__u32 trusted_only;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct service_key);
	__type(value, struct service);
} services SEC(".maps");

struct network4_key {
	__u32 bits;
	__be32 addr;
};

struct network6_key {
	__u32 bits;
	struct in6_addr addr;
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct network4_key);
	__type(value, enum network);
} networks4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct network6_key);
	__type(value, enum network);
} networks6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, REASONS);
	__type(key, __u32);
	__type(value, __u64);
} reasons SEC(".maps");

/* pull returns the next header and moves behind it; NULL if it is not all there. */
static __always_inline void *pull(struct packet *p, __u32 size)
{
	void *header;

	if (p->off > MAX_OFFSET)
		return NULL;
	header = p->data + p->off;
	if (header + size > p->end)
		return NULL;
	p->off += size;
	return header;
}

/* Packets that bring their own route are not wanted; other options are skipped. */
static __always_inline enum reason parse_options(struct packet *p, __u32 size)
{
	__u8 *option = p->data + p->off;
	__u32 pos = 0;

	while (pos < size && pos < MAX_OPTIONS) {
		if ((void *)(option + pos + 2) > p->end)
			return MALFORMED;
		if (option[pos] == IPOPT_END)
			break;
		if (option[pos] == IPOPT_NOOP) {
			pos++;
			continue;
		}
		if (option[pos] == IPOPT_LSRR || option[pos] == IPOPT_SSRR)
			return SOURCE_ROUTED;
		if (option[pos + 1] < 2)
			return MALFORMED;
		pos += option[pos + 1];
	}
	if (pos > size)
		return MALFORMED;
	p->off += pos;
	return PASSED;
}

static __always_inline enum reason parse_ipv4(struct packet *p, struct flow *f)
{
	struct iphdr *ip = pull(p, sizeof(*ip));
	struct network4_key key = { .bits = 32 };
	enum network *from;

	if (!ip || ip->version != 4 || ip->ihl < 5)
		return MALFORMED;
	if (ip->frag_off & bpf_htons(IP_MF | IP_OFFSET))
		return FRAGMENT;
	key.addr = ip->saddr;
	from = bpf_map_lookup_elem(&networks4, &key);
	if (from)
		f->from = *from;
	f->proto = ip->protocol;
	return parse_options(p, ip->ihl * 4 - sizeof(*ip));
}

static __always_inline enum reason parse_extensions(struct packet *p, struct flow *f)
{
	struct ipv6_opt_hdr *ext;

	for (int i = 0; i < MAX_EXTENSIONS; i++) {
		switch (f->proto) {
		case IPPROTO_FRAGMENT:
			return FRAGMENT;
		case IPPROTO_ROUTING:
			return SOURCE_ROUTED;
		case IPPROTO_HOPOPTS:
		case IPPROTO_DSTOPTS:
			ext = pull(p, sizeof(*ext));
			if (!ext)
				return MALFORMED;
			f->proto = ext->nexthdr;
			p->off += (ext->hdrlen + 1) * 8 - sizeof(*ext);
			break;
		default:
			return PASSED;
		}
	}
	return MALFORMED;
}

static __always_inline enum reason parse_ipv6(struct packet *p, struct flow *f)
{
	struct ipv6hdr *ip = pull(p, sizeof(*ip));
	struct network6_key key = { .bits = 128 };
	enum network *from;

	if (!ip || ip->version != 6)
		return MALFORMED;
	key.addr = ip->saddr;
	from = bpf_map_lookup_elem(&networks6, &key);
	if (from)
		f->from = *from;
	f->proto = ip->nexthdr;
	return parse_extensions(p, f);
}

static __always_inline enum reason parse_ip(struct packet *p, __be16 proto, struct flow *f)
{
	switch (proto) {
	case bpf_htons(ETH_P_IP):
		return parse_ipv4(p, f);
	case bpf_htons(ETH_P_IPV6):
		return parse_ipv6(p, f);
	}
	return UNKNOWN_PROTOCOL;
}

static __always_inline enum reason check_service(struct flow *f)
{
	struct service_key key = { .port = f->dport, .proto = f->proto };
	struct service *s = bpf_map_lookup_elem(&services, &key);

	if (!s || (s->trusted_only && f->from != TRUSTED))
		return NO_SERVICE;
	return PASSED;
}

static __always_inline enum reason check_flow(struct packet *p, struct flow *f)
{
	struct tcphdr *tcp;
	struct udphdr *udp;

	if (f->from == DENIED)
		return DENIED_NETWORK;
	switch (f->proto) {
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return pull(p, 8) ? PASSED : MALFORMED;
	case IPPROTO_TCP:
		tcp = pull(p, sizeof(*tcp));
		if (!tcp)
			return MALFORMED;
		f->dport = tcp->dest;
		return check_service(f);
	case IPPROTO_UDP:
		udp = pull(p, sizeof(*udp));
		if (!udp)
			return MALFORMED;
		f->dport = udp->dest;
		return check_service(f);
	}
	return UNKNOWN_PROTOCOL;
}

static __always_inline enum reason check(struct packet *p)
{
	struct ethhdr *eth = pull(p, sizeof(*eth));
	struct flow f = {};
	struct vlan_tag *tag;
	enum reason reason;
	__be16 proto;

	if (!eth)
		return MALFORMED;
	proto = eth->h_proto;
	if (proto == bpf_htons(ETH_P_ARP))
		return PASSED;
	for (int i = 0; i < MAX_TAGS; i++) {
		if (proto != bpf_htons(ETH_P_8021Q) && proto != bpf_htons(ETH_P_8021AD))
			break;
		tag = pull(p, sizeof(*tag));
		if (!tag)
			return MALFORMED;
		proto = tag->proto;
	}
	reason = parse_ip(p, proto, &f);
	return reason == PASSED ? check_flow(p, &f) : reason;
}

SEC("xdp")
int firewall(struct xdp_md *ctx)
{
	struct packet p = {
		.data = (void *)(long)ctx->data,
		.end = (void *)(long)ctx->data_end,
	};
	__u32 reason = check(&p);
	__u64 *count = bpf_map_lookup_elem(&reasons, &reason);

	if (count)
		(*count)++;
	return reason == PASSED ? XDP_PASS : XDP_DROP;
}

char _license[] SEC("license") = "Dual MIT/GPL";
