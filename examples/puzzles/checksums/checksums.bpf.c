//go:build ignore
/* SPDX-License-Identifier: GPL-2.0-only OR MIT
 * Checksums have to be right: that of the IPv4 header and that of a UDP datagram. Only
 * then does the program look at the message.
 */
#include "../parse.h"

#define MAX_WORDS 128

struct message {
	__be32 magic;
	__be16 code;
} __attribute__((packed));

static __always_inline __u16 folded(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

static __always_inline __u32 sum_of(__be16 *word, int n, __u32 sum)
{
	for (int i = 0; i < n; i++)
		sum += word[i];
	return sum;
}

SEC("xdp")
int checksums(struct xdp_md *ctx)
{
	struct cursor c = CURSOR(ctx);
	struct iphdr *ip = take_ipv4(&c, IPPROTO_UDP);
	struct udphdr *udp = c.pos;
	struct message *m;
	__be16 *word = c.pos;
	__u32 sum;

	if (!ip || folded(sum_of((void *)ip, sizeof(*ip) / 2, 0)) != 0xffff)
		return XDP_DROP;
	if ((void *)(udp + 1) + sizeof(*m) > c.end || !udp->check)
		return XDP_PASS;
	m = (void *)(udp + 1);
	sum = sum_of((void *)&ip->saddr, 4, bpf_htons(IPPROTO_UDP)) + udp->len;
	for (int i = 0; i < MAX_WORDS && (void *)(word + 1) <= c.end; i++, word++)
		sum += *word;
	if ((void *)word + 1 <= c.end)
		sum += *(__u8 *)word; /* an odd byte */
	if (folded(sum) != 0xffff)
		return XDP_DROP;
	if (m->magic != bpf_htonl(0x5ec0ded1) || m->code != bpf_htons(0x1207))
		return XDP_PASS;
	return GOAL;
}
