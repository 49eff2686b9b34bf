//go:build ignore
/* SPDX-License-Identifier: GPL-2.0-only OR MIT
 * A number of two bytes: the port of a beacon.
 */
#include "../parse.h"

#define PORT_BEACON 31172

SEC("xdp")
int magic2(struct xdp_md *ctx)
{
	struct cursor c = CURSOR(ctx);
	struct udphdr *udp = take_udp(&c);

	if (!udp || udp->dest != bpf_htons(PORT_BEACON))
		return XDP_PASS;
	return GOAL;
}
