/* SPDX-License-Identifier: GPL-2.0-only OR MIT
 * What the puzzles have in common: headers, bounds, and the verdict that is the goal.
 */
#ifndef PUZZLES_PARSE_H
#define PUZZLES_PARSE_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define GOAL 77 /* no verdict of any program type */

/* What is left of the packet. */
struct cursor {
	void *pos, *end;
};

/* Returns the next header and moves past it, or NULL where the packet ends before. */
static __always_inline void *take(struct cursor *c, __u32 size)
{
	void *p = c->pos;

	if (p + size > c->end)
		return NULL;
	c->pos = p + size;
	return p;
}

/* Moves past Ethernet and IPv4 without options; NULL for everything else. */
static __always_inline struct iphdr *take_ipv4(struct cursor *c, __u8 protocol)
{
	struct ethhdr *eth = take(c, sizeof(*eth));
	struct iphdr *ip;

	if (!eth || eth->h_proto != bpf_htons(ETH_P_IP))
		return NULL;
	ip = take(c, sizeof(*ip));
	if (!ip || ip->version != 4 || ip->ihl != 5 || ip->protocol != protocol)
		return NULL;
	return ip;
}

/* Moves past UDP over IPv4 to the payload; NULL for everything else. */
static __always_inline struct udphdr *take_udp(struct cursor *c)
{
	return take_ipv4(c, IPPROTO_UDP) ? take(c, sizeof(struct udphdr)) : NULL;
}

#define CURSOR(ctx) { (void *)(long)(ctx)->data, (void *)(long)(ctx)->data_end }

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#endif
