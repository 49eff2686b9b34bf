//go:build ignore
/* SPDX-License-Identifier: GPL-2.0-only OR MIT
 * Shifted and masked fields: two MPLS labels, of which the second is the last.
 */
#include "../parse.h"

#define LABEL(entry) ((entry) >> 12)
#define CLASS(entry) ((entry) >> 9 & 7)
#define LAST(entry) ((entry) >> 8 & 1)
#define TTL(entry) ((entry) & 0xff)

static __always_inline int pop(struct cursor *c, __u32 *entry)
{
	__be32 *label = take(c, sizeof(*label));

	if (!label)
		return -1;
	*entry = bpf_ntohl(*label);
	return 0;
}

SEC("xdp")
int fields(struct xdp_md *ctx)
{
	struct cursor c = CURSOR(ctx);
	struct ethhdr *eth = take(&c, sizeof(*eth));
	__u32 entry;

	if (!eth || eth->h_proto != bpf_htons(ETH_P_MPLS_UC))
		return XDP_PASS;
	if (pop(&c, &entry) || LAST(entry) || LABEL(entry) != 0xabcde)
		return XDP_PASS;
	if (pop(&c, &entry) || !LAST(entry) || CLASS(entry) != 5)
		return XDP_PASS;
	if ((LABEL(entry) & 0xff0) != 0x7b0 || TTL(entry) < 200)
		return XDP_DROP;
	return GOAL;
}
