//go:build ignore
/* SPDX-License-Identifier: GPL-2.0-only OR MIT
 * A time-out: an entry of a table is stale when its owner sends again after half a
 * minute, and forgotten after a minute.
 */
#include "../parse.h"

#define SECOND 1000000000ULL

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __be32);
	__type(value, __u64);
} last_seen SEC(".maps");

SEC("xdp")
int timeout(struct xdp_md *ctx)
{
	struct cursor c = CURSOR(ctx);
	struct iphdr *ip = take_ipv4(&c, IPPROTO_UDP);
	__u64 *last, now, idle;
	__be32 addr;

	if (!ip)
		return XDP_PASS;
	addr = ip->saddr;
	now = bpf_ktime_get_ns();
	last = bpf_map_lookup_elem(&last_seen, &addr);
	if (!last) {
		bpf_map_update_elem(&last_seen, &addr, &now, BPF_ANY);
		return XDP_PASS;
	}
	idle = now - *last;
	*last = now;
	if (idle > 60 * SECOND)
		return XDP_PASS;
	if (idle > 30 * SECOND)
		return GOAL;
	return XDP_TX;
}
