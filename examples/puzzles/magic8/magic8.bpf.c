//go:build ignore
/* SPDX-License-Identifier: GPL-2.0-only OR MIT
 * A number of eight bytes: what a client of a tracker begins to connect with.
 */
#include "../parse.h"

#define CONNECT_ID 0x41727101980ULL

struct request {
	__be64 connection;
	__be32 action;
	__be32 transaction;
} __attribute__((packed));

SEC("xdp")
int magic8(struct xdp_md *ctx)
{
	struct cursor c = CURSOR(ctx);
	struct request *r;

	if (!take_udp(&c))
		return XDP_PASS;
	r = take(&c, sizeof(*r));
	if (!r || bpf_be64_to_cpu(r->connection) != CONNECT_ID)
		return XDP_PASS;
	if (r->action != 0 || r->transaction == 0)
		return XDP_DROP;
	return GOAL;
}
