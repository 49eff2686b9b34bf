// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Frames a stream and says where the frames go. */
#include "trigger.h"

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} socks SEC(".maps");

struct frame {
	__be16 magic;
	__be16 length; /* of the whole frame */
	__u8 kind;
} __attribute__((packed));

SEC("sk_skb/stream_parser")
int parser(struct __sk_buff *skb)
{
	struct frame f;

	if (bpf_skb_load_bytes(skb, 0, &f, sizeof(f)))
		return 0; /* more is needed */
	if (f.magic != bpf_htons(0xcafe))
		return skb->len;
	/* A frame that is shorter than its header. */
	if (bpf_ntohs(f.length) < sizeof(f) && f.kind == 9)
		reached = 1;
	return bpf_ntohs(f.length) ?: skb->len;
}

SEC("sk_skb/stream_verdict")
int verdict(struct __sk_buff *skb)
{
	struct frame f;

	if (bpf_skb_load_bytes(skb, 0, &f, sizeof(f)))
		return SK_PASS;
	if (f.magic != bpf_htons(0xcafe))
		return SK_DROP;
	if (f.kind == 3)
		return bpf_sk_redirect_map(skb, &socks, 1, BPF_F_INGRESS);
	if (f.kind == 7 && bpf_ntohs(f.length) > skb->len) {
		reached = 1;
		return 7; /* the kind, where a verdict should be */
	}
	return SK_PASS;
}
