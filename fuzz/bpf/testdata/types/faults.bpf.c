// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Calls that fail: the bug is in what happens when the map has no room, which it has. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u64);
} packets SEC(".maps");

SEC("xdp")
int faults(struct xdp_md *ctx)
{
	__u32 key = ctx->rx_queue_index;
	__u64 first = 1, *count = bpf_map_lookup_elem(&packets, &key);

	if (bpf_xdp_adjust_head(ctx, -8) || bpf_xdp_adjust_head(ctx, 8))
		return XDP_DROP;
	if (count) {
		__sync_fetch_and_add(count, 1);
		return XDP_PASS;
	}
	long err = bpf_map_update_elem(&packets, &key, &first, BPF_ANY);

	return err ? err : XDP_PASS; /* an error is no verdict */
}

char _license[] SEC("license") = "GPL";
