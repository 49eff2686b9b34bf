//go:build ignore
/* SPDX-License-Identifier: GPL-2.0-only OR MIT
 * A multiplicative hash of 16 bits over the eight bytes of a session: the goal is the one
 * shard in 65,536 that is being watched.
 */
#include "../parse.h"

#define WATCHED 0xcafe

SEC("xdp")
int hash(struct xdp_md *ctx)
{
	struct cursor c = CURSOR(ctx);
	__u16 h = 0x1505;
	__u8 *session;

	if (!take_udp(&c))
		return XDP_PASS;
	session = take(&c, 8);
	if (!session)
		return XDP_PASS;
	for (int i = 0; i < 8; i++) {
		h = (h ^ session[i]) * 0x9e35;
		h ^= h >> 7;
	}
	if (h != WATCHED)
		return XDP_PASS;
	return GOAL;
}
