// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A flow dissector that mixes up addresses of a tunnel when it is told to stop there. */
#include "types.h"

/* A test run has no skb, so bpf_skb_load_bytes fails in it. */
static __always_inline struct iphdr *ipv4(struct __sk_buff *skb, __u16 off)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct iphdr *ip;

	if (off > 1024)
		return NULL;
	ip = data + off;
	if ((void *)ip + sizeof(*ip) > end)
		return NULL;
	return ip;
}

SEC("flow_dissector")
int dissect(struct __sk_buff *skb)
{
	struct bpf_flow_keys *keys = skb->flow_keys;
	struct iphdr *ip = ipv4(skb, keys->nhoff);

	if (!ip || keys->n_proto != bpf_htons(ETH_P_IP))
		return BPF_DROP;
	keys->addr_proto = ETH_P_IP;
	keys->ipv4_src = ip->saddr;
	keys->ipv4_dst = ip->daddr;
	keys->ip_proto = ip->protocol;
	keys->thoff = keys->nhoff + ip->ihl * 4;
	if (ip->protocol != IPPROTO_IPIP)
		return BPF_OK;
	keys->is_encap = 1;
	if (keys->flags & BPF_FLOW_DISSECTOR_F_STOP_AT_ENCAP)
		reached = 1;
	return BPF_OK;
}

char _license[] SEC("license") = "GPL";
