//go:build ignore
/* SPDX-License-Identifier: GPL-2.0-only OR MIT
 * A mark in the context of a tc program: bits of it say who made the packet, and the
 * packet's class has to fit its priority.
 */
#include "../parse.h"

#define MADE_BY(mark) ((mark) >> 8 & 0xff)

SEC("tc")
int mark(struct __sk_buff *skb)
{
	struct cursor c = CURSOR(skb);
	struct iphdr *ip = take_ipv4(&c, IPPROTO_UDP);

	if (!ip)
		return 0; /* TC_ACT_OK */
	if (MADE_BY(skb->mark) != 0x5a || !(skb->mark & 0x10000))
		return 0;
	if (skb->priority != 0x00010020)
		return 2; /* TC_ACT_SHOT */
	if (ip->tos >> 2 != 46)
		return 2;
	return GOAL;
}
