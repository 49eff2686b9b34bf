// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Chooses among the sockets of a port by a connection id in the payload. */
#include "trigger.h"

struct {
	__uint(type, BPF_MAP_TYPE_REUSEPORT_SOCKARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} socks SEC(".maps");

SEC("sk_reuseport")
int choose(struct sk_reuseport_md *md)
{
	unsigned char id[4];
	__u32 key;

	if (md->ip_protocol != IPPROTO_UDP)
		return SK_PASS;
	if (bpf_skb_load_bytes(md, 8, id, sizeof(id)))
		return SK_PASS;
	if (id[0] != 0xc3)
		return SK_DROP;
	key = id[1];
	if (bpf_sk_select_reuseport(md, &socks, &key, 0)) {
		/* No such socket, and nobody is told. */
		if (id[2] == 0x5a && md->len > 64)
			reached = 1;
		return SK_DROP;
	}
	return SK_PASS;
}
