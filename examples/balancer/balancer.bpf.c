//go:build ignore
/* SPDX-License-Identifier: GPL-2.0-only OR MIT
 * A layer 4 load balancer for IPv4. A virtual service (VIP) has a run of real
 * servers; a flow always goes to the same one. Servers on the same link get the
 * packet with address and port rewritten, those behind routers get it in an IPIP
 * tunnel.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define IP_MF 0x2000
#define IP_OFFSET 0x1fff
#define TUNNEL_TTL 64

struct vip_key {
	__be32 addr;
	__be16 port; /* 0 for all ports that have no entry of their own */
	__u8 proto;
	__u8 pad;
};

struct vip {
	__u32 first; /* index into reals */
	__u32 count;
	__u32 tunnel;
};

struct real {
	__be32 addr;
	__be16 port; /* 0 keeps the port */
	__u8 mac[ETH_ALEN];
};

struct traffic {
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 512);
	__type(key, struct vip_key);
	__type(value, struct vip);
} vips SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct real);
} reals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct traffic);
} traffic SEC(".maps");

/* The outer source address of tunnels. */
const volatile __be32 tunnel_source;

struct ports {
	__be16 source;
	__be16 dest;
};

static __always_inline __u16 csum_fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* csum_replace follows a change of up to 32 bits (RFC 1624). */
static __always_inline void csum_replace(__u16 *check, __u32 from, __u32 to)
{
	__u32 sum = (__u16)~*check;

	sum += (__u16)~from;
	sum += (__u16)~(from >> 16);
	sum += to & 0xffff;
	sum += to >> 16;
	*check = csum_fold(sum);
}

static __always_inline void decrease_ttl(struct iphdr *ip)
{
	__u16 *word = (__u16 *)&ip->ttl; /* and the protocol behind it */
	__u16 old = *word;

	ip->ttl--;
	csum_replace(&ip->check, old, *word);
}

static __always_inline void replace_dest(struct iphdr *ip, struct ports *ports, __u16 *check,
					 const struct real *real)
{
	__be16 port = real->port ?: ports->dest;

	csum_replace(&ip->check, ip->daddr, real->addr);
	if (check) {
		csum_replace(check, ip->daddr, real->addr);
		csum_replace(check, ports->dest, port);
		if (!*check && ip->protocol == IPPROTO_UDP)
			*check = 0xffff;
	}
	ip->daddr = real->addr;
	ports->dest = port;
}

static __always_inline struct vip *find_vip(const struct iphdr *ip, const struct ports *ports)
{
	struct vip_key key = { .addr = ip->daddr, .port = ports->dest, .proto = ip->protocol };
	struct vip *vip = bpf_map_lookup_elem(&vips, &key);

	if (vip)
		return vip;
	key.port = 0;
	return bpf_map_lookup_elem(&vips, &key);
}

/* pick_real returns the index of the server for a flow. */
static __always_inline __u32 pick_real(const struct vip *vip, __be32 saddr, __be16 sport)
{
	__u32 hash = saddr ^ ((__u32)sport << 16 | sport);

	hash = (hash ^ (hash >> 16)) * 0x85ebca6b;
	hash = (hash ^ (hash >> 13)) * 0xc2b2ae35;
	hash ^= hash >> 16;
	return vip->first + hash % vip->count;
}

static __always_inline void set_macs(struct ethhdr *eth, const __u8 *from, const __u8 *to)
{
	__builtin_memcpy(eth->h_source, from, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, to, ETH_ALEN);
}

/* encapsulate puts an IPv4 header in front of the packet. */
static __always_inline int encapsulate(struct xdp_md *ctx, const struct real *real)
{
	struct ethhdr *old, *eth;
	struct iphdr *inner, *ip;
	__u8 mac[ETH_ALEN];
	void *data, *end;
	__u32 sum = 0;

	if (bpf_xdp_adjust_head(ctx, -(int)sizeof(*ip)))
		return XDP_DROP;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	eth = data;
	ip = (void *)(eth + 1);
	old = data + sizeof(*ip);
	inner = (void *)(old + 1);
	if ((void *)(inner + 1) > end)
		return XDP_DROP;

	__builtin_memcpy(mac, old->h_dest, ETH_ALEN);
	set_macs(eth, mac, real->mac);
	eth->h_proto = bpf_htons(ETH_P_IP);
	*ip = (struct iphdr){
		.version = 4,
		.ihl = 5,
		.tos = inner->tos,
		.tot_len = bpf_htons(bpf_ntohs(inner->tot_len) + sizeof(*ip)),
		.ttl = TUNNEL_TTL,
		.protocol = IPPROTO_IPIP,
		.saddr = tunnel_source,
		.daddr = real->addr,
	};
	for (int i = 0; i < (int)sizeof(*ip) / 2; i++)
		sum += ((__u16 *)ip)[i];
	ip->check = csum_fold(sum);
	return XDP_TX;
}

static __always_inline void count(__u32 index, __u64 bytes)
{
	struct traffic *t = bpf_map_lookup_elem(&traffic, &index);

	if (!t)
		return;
	t->packets++;
	t->bytes += bytes;
}

SEC("xdp")
int balancer(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct ports *ports = (void *)(ip + 1);
	__u8 mac[ETH_ALEN];
	__u16 *check = NULL;
	struct tcphdr *tcp;
	struct udphdr *udp;
	struct real *real;
	struct vip *vip;
	__u32 index;

	if ((void *)(ports + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	if (ip->version != 4 || ip->ihl != 5 || ip->frag_off & bpf_htons(IP_MF | IP_OFFSET))
		return XDP_PASS;
	switch (ip->protocol) {
	case IPPROTO_TCP:
		tcp = (void *)ports;
		if ((void *)(tcp + 1) > end)
			return XDP_DROP;
		check = &tcp->check;
		break;
	case IPPROTO_UDP:
		udp = (void *)ports;
		if ((void *)(udp + 1) > end)
			return XDP_DROP;
		if (udp->check)
			check = &udp->check;
		break;
	default:
		return XDP_PASS;
	}
	vip = find_vip(ip, ports);
	if (!vip || !vip->count)
		return XDP_PASS;
	index = pick_real(vip, ip->saddr, ports->source);
	real = bpf_map_lookup_elem(&reals, &index);
	if (!real || !real->addr)
		return XDP_DROP;
	if (ip->ttl <= 1)
		return XDP_PASS; /* the stack answers that it expired */
	decrease_ttl(ip);
	count(index, end - data);
	if (vip->tunnel)
		return encapsulate(ctx, real);
	replace_dest(ip, ports, check, real);
	__builtin_memcpy(mac, eth->h_dest, ETH_ALEN);
	set_macs(eth, mac, real->mac);
	return XDP_TX;
}

char _license[] SEC("license") = "Dual MIT/GPL";
