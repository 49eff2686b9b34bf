//go:build ignore
/* SPDX-License-Identifier: GPL-2.0-only OR MIT
 * Options in a loop: the goal is an experimental option of TCP with the right number,
 * length and value.
 */
#include "../parse.h"

#define KIND_END 0
#define KIND_NOP 1
#define KIND_EXPERIMENT 253
#define EXPERIMENT 0xbeac
#define MAX_OPTIONS 12

struct experiment {
	__u8 kind, length;
	__be16 id;
	__be32 value;
} __attribute__((packed));

static __always_inline int is_wanted(struct cursor *c, __u8 length)
{
	struct experiment *e = take(c, sizeof(*e));

	return e && length == sizeof(*e) && e->id == bpf_htons(EXPERIMENT) && e->value == bpf_htonl(0xc0de1234);
}

SEC("xdp")
int options(struct xdp_md *ctx)
{
	struct cursor c = CURSOR(ctx);
	struct tcphdr *tcp;

	if (!take_ipv4(&c, IPPROTO_TCP))
		return XDP_PASS;
	tcp = take(&c, sizeof(*tcp));
	if (!tcp || tcp->doff <= 5)
		return XDP_PASS;
	for (int i = 0; i < MAX_OPTIONS; i++) {
		__u8 *option = c.pos, length = 1;

		if ((void *)(option + 1) > c.end || *option == KIND_END)
			return XDP_PASS;
		if (*option != KIND_NOP) {
			if ((void *)(option + 2) > c.end || option[1] < 2 || option[1] > 40)
				return XDP_DROP;
			length = option[1];
		}
		if (*option == KIND_EXPERIMENT)
			return is_wanted(&c, length) ? GOAL : XDP_DROP;
		c.pos += length;
	}
	return XDP_PASS;
}
