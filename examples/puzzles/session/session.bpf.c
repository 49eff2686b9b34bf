//go:build ignore
/* SPDX-License-Identifier: GPL-2.0-only OR MIT
 * A value in a map: the program reads sessions and a policy that somebody else writes.
 * No packet reaches the goal while the maps are empty.
 */
#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

enum state { STATE_NONE, STATE_NEW, STATE_OPEN, STATE_CLOSING };

struct session_key {
	__be32 addr;
	__be16 port;
	__u8 proto;
	__u8 pad;
};

struct session {
	enum state state;
	__u32 window;
	__be32 cookie;
};

struct policy {
	__u32 mode;
	__u32 limit;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct session_key);
	__type(value, struct session);
} sessions SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct policy);
} policies SEC(".maps");

struct message {
	__u8 ethernet[14];
	__be32 addr;
	__be16 port;
	__u8 proto;
	__u8 length;
} __attribute__((packed));

SEC("xdp")
int session(struct xdp_md *ctx)
{
	struct message *m = (void *)(long)ctx->data;
	struct session_key key = {};
	struct session *s;
	struct policy *p;
	__u32 zero = 0;

	if ((void *)(m + 1) > (void *)(long)ctx->data_end)
		return XDP_PASS;
	key.addr = m->addr;
	key.port = m->port;
	key.proto = m->proto;
	s = bpf_map_lookup_elem(&sessions, &key);
	if (!s)
		return XDP_DROP;
	if (s->state != STATE_OPEN)
		return XDP_DROP;
	if (s->cookie != bpf_htonl(0x5eed1e55))
		return XDP_DROP;
	p = bpf_map_lookup_elem(&policies, &zero);
	if (!p || p->mode != 3)
		return XDP_PASS;
	if (s->window > p->limit && m->length == 77)
		return 99; /* no verdict */
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
