// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Each program counts in a map of its own what it sees, and says so. */
#include "trigger.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} socks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_REUSEPORT_SOCKARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} listeners SEC(".maps");

static __always_inline void count(__u32 slot, __u64 n)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &slot);

	if (value)
		*value += n;
	bpf_printk("counter %d and %d", slot, n);
}

SEC("xdp")
int frame(struct xdp_md *ctx)
{
	unsigned char *data = (void *)(long)ctx->data;

	if (data + 15 > (unsigned char *)(long)ctx->data_end)
		return XDP_DROP;
	count(1, data[14]);
	return XDP_PASS;
}

SEC("sk_msg")
int message(struct sk_msg_md *msg)
{
	unsigned char *data = msg->data, *end = msg->data_end;
	__u32 key = 1;

	if (data + 1 > end)
		return SK_PASS;
	count(1, 1 + data[0]);
	return data[0] == 0xff ? bpf_msg_redirect_map(msg, &socks, key, BPF_F_INGRESS) : SK_PASS;
}

SEC("sk_skb/stream_verdict")
int stream(struct __sk_buff *skb)
{
	unsigned char first = 0;

	if (bpf_skb_load_bytes(skb, 0, &first, 1) == 0)
		count(1, 1 + first);
	return first == 0xff ? bpf_sk_redirect_map(skb, &socks, 1, 0) : SK_PASS;
}

SEC("sk_reuseport")
int listener(struct sk_reuseport_md *md)
{
	__u32 key = 1;

	count(1, md->len);
	return bpf_sk_select_reuseport(md, &listeners, &key, 0) == 0 ? SK_PASS : SK_DROP;
}

SEC("lwt_seg6local")
int segment(struct __sk_buff *skb)
{
	count(1, skb->len);
	return BPF_OK;
}

SEC("sockops")
int operation(struct bpf_sock_ops *ops)
{
	count(1, ops->op);
	return 1;
}

SEC("cgroup/connect4")
int address(struct bpf_sock_addr *ctx)
{
	count(1, bpf_ntohs(ctx->user_port));
	return 1;
}

SEC("cgroup/sock_create")
int create(struct bpf_sock *sk)
{
	count(1, sk->type);
	return 1;
}
