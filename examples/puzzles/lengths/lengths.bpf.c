//go:build ignore
/* SPDX-License-Identifier: GPL-2.0-only OR MIT
 * Lengths that have to agree: that of the frame, of IPv4, of UDP, and two of the record
 * inside, of which one is counted in words.
 */
#include "../parse.h"

struct record {
	__be16 length; /* of the record, this header included */
	__u8 words;    /* 4 bytes each, that follow the header */
	__u8 padding;  /* bytes after those */
};

SEC("xdp")
int lengths(struct xdp_md *ctx)
{
	struct cursor c = CURSOR(ctx);
	__u64 frame = c.end - c.pos;
	struct iphdr *ip = take_ipv4(&c, IPPROTO_UDP);
	struct udphdr *udp;
	struct record *r;
	__u32 total, datagram, length;

	if (!ip)
		return XDP_PASS;
	total = bpf_ntohs(ip->tot_len);
	if (total + sizeof(struct ethhdr) != frame)
		return XDP_DROP;
	udp = take(&c, sizeof(*udp));
	if (!udp)
		return XDP_DROP;
	datagram = bpf_ntohs(udp->len);
	if (datagram + sizeof(*ip) != total)
		return XDP_DROP;
	r = take(&c, sizeof(*r));
	if (!r)
		return XDP_PASS;
	length = bpf_ntohs(r->length);
	if (length + sizeof(*udp) != datagram || r->padding > 3 || r->padding == 0)
		return XDP_DROP;
	if (sizeof(*r) + r->words * 4 + r->padding != length || r->words < 20)
		return XDP_DROP;
	return GOAL;
}
