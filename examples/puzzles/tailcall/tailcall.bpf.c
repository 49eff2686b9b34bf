//go:build ignore
/* SPDX-License-Identifier: GPL-2.0-only OR MIT
 * A path of tail calls: the kind of a message selects who reads it, and that one hands
 * its second part on.
 */
#include "../parse.h"

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u32);
} readers SEC(".maps");

struct message {
	__u8 kind, flags;
	__be16 id;
	__u8 next, version;
	__be16 command;
} __attribute__((packed));

static __always_inline struct message *message_of(struct xdp_md *ctx)
{
	struct cursor c = CURSOR(ctx);

	return take_udp(&c) ? take(&c, sizeof(struct message)) : NULL;
}

SEC("xdp")
int tailcall(struct xdp_md *ctx)
{
	struct message *m = message_of(ctx);

	if (m)
		bpf_tail_call(ctx, &readers, m->kind);
	return XDP_PASS;
}

SEC("xdp")
int read_first(struct xdp_md *ctx)
{
	struct message *m = message_of(ctx);

	if (m && m->flags == 0xe1 && m->id == bpf_htons(0x3039))
		bpf_tail_call(ctx, &readers, m->next ^ 0x80);
	return XDP_DROP;
}

SEC("xdp")
int read_second(struct xdp_md *ctx)
{
	struct message *m = message_of(ctx);

	if (!m || m->kind != 0x21)
		return XDP_DROP; /* called without the first */
	if (m->version != 4 || m->command != bpf_htons(0xd00d))
		return XDP_DROP;
	return GOAL;
}
