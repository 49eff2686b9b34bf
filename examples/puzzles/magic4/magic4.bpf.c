//go:build ignore
/* SPDX-License-Identifier: GPL-2.0-only OR MIT
 * A number of four bytes: the cookie of STUN, in a message whose first bits are zero.
 */
#include "../parse.h"

#define COOKIE 0x2112a442

struct stun {
	__be16 type;
	__be16 length;
	__be32 cookie;
	__u8 transaction[12];
};

SEC("xdp")
int magic4(struct xdp_md *ctx)
{
	struct cursor c = CURSOR(ctx);
	struct stun *stun;

	if (!take_udp(&c))
		return XDP_PASS;
	stun = take(&c, sizeof(*stun));
	if (!stun || stun->type & bpf_htons(0xc000) || stun->cookie != bpf_htonl(COOKIE))
		return XDP_PASS;
	return GOAL;
}
