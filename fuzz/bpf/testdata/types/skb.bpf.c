// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * One program per type whose context is __sk_buff. The bug is behind a packet
 * (IPv4, UDP, a port) and a context (mark and cb).
 */
#include "types.h"

#define MARK 0x1337c0de
#define PORT 5353

/* Reads headers from off, where the type's packet has its IPv4 header. */
static __always_inline int is_bug(struct __sk_buff *skb, __u32 off)
{
	struct iphdr ip;
	struct udphdr udp;

	if (skb->protocol != bpf_htons(ETH_P_IP))
		return 0;
	if (bpf_skb_load_bytes(skb, off, &ip, sizeof(ip)))
		return 0;
	if (ip.protocol != IPPROTO_UDP || ip.ihl != 5)
		return 0;
	if (bpf_skb_load_bytes(skb, off + sizeof(ip), &udp, sizeof(udp)))
		return 0;
	if (udp.dest != bpf_htons(PORT))
		return 0;
	if (skb->mark != MARK)
		return 0;
	return skb->cb[1] == 0x80000000;
}

SEC("socket")
int socket_filter(struct __sk_buff *skb)
{
	if (is_bug(skb, 0))
		reached = 1;
	return skb->len;
}

SEC("cgroup_skb/ingress")
int cgroup_ingress(struct __sk_buff *skb)
{
	if (is_bug(skb, 0) && skb->priority == 7)
		reached = 1;
	return 1;
}

SEC("cgroup_skb/egress")
int cgroup_egress(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct iphdr *ip = data;

	if (data + sizeof(*ip) > end)
		return 1;
	if (ip->ttl == 1 && is_bug(skb, 0))
		reached = 1;
	return 3; /* passed, congestion notified */
}

SEC("lwt_in")
int route_in(struct __sk_buff *skb)
{
	if (is_bug(skb, 0))
		reached = 1;
	return BPF_OK;
}

SEC("lwt_out")
int route_out(struct __sk_buff *skb)
{
	if (is_bug(skb, 0))
		reached = 1;
	return BPF_DROP;
}

/* Also changes the packet, which the outcome must show. */
SEC("lwt_xmit")
int route_xmit(struct __sk_buff *skb)
{
	__be16 old, new; /* version, header length and type of service */

	if (is_bug(skb, 0))
		reached = 1;
	if (skb->protocol != bpf_htons(ETH_P_IP) || bpf_skb_load_bytes(skb, 0, &old, sizeof(old)))
		return BPF_OK;
	new = (old & bpf_htons(0xff00)) | bpf_htons(0xb8);
	bpf_skb_store_bytes(skb, 0, &new, sizeof(new), 0); /* the sum over the header stays */
	bpf_l3_csum_replace(skb, __builtin_offsetof(struct iphdr, check), old, new, sizeof(new));
	return BPF_OK;
}

SEC("tc")
int sched_cls(struct __sk_buff *skb)
{
	if (is_bug(skb, ETH_HLEN) && skb->wire_len == 9000)
		reached = 1;
	return 0;
}

SEC("action")
int sched_act(struct __sk_buff *skb)
{
	if (is_bug(skb, ETH_HLEN) && skb->gso_size == 1448)
		reached = 1;
	return 0;
}

/* Changes a byte, and not skb->csum. */
SEC("tc")
int scrub(struct __sk_buff *skb)
{
	__u8 byte = 0xff;

	if (skb->protocol == bpf_htons(ETH_P_IP))
		bpf_skb_store_bytes(skb, ETH_HLEN + sizeof(struct iphdr), &byte, sizeof(byte), 0);
	return 0;
}

char _license[] SEC("license") = "GPL";
