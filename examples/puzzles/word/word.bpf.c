//go:build ignore
/* SPDX-License-Identifier: GPL-2.0-only OR MIT
 * A word, compared byte by byte in a loop, somewhere in the first bytes of a TCP
 * payload.
 */
#include "../parse.h"

#define MAX_SKIP 16

static const char wanted[] = "PROPFIND /wk";

SEC("xdp")
int word(struct xdp_md *ctx)
{
	struct cursor c = CURSOR(ctx);
	struct tcphdr *tcp;
	__u8 *p;
	__u32 i;

	if (!take_ipv4(&c, IPPROTO_TCP))
		return XDP_PASS;
	tcp = take(&c, sizeof(*tcp));
	if (!tcp)
		return XDP_PASS;
	for (i = 0; i < MAX_SKIP; i++) {
		p = take(&c, 1);
		if (!p || *p != ' ')
			break;
	}
	for (i = 0; i < sizeof(wanted) - 1; i++) {
		if (!p || *p != *(volatile const char *)&wanted[i])
			return XDP_PASS;
		p = take(&c, 1);
	}
	return GOAL;
}
