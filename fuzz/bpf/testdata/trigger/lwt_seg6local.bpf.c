// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Looks at the segment routing header of what is routed through it. */
#include "trigger.h"

struct ip6 {
	__be32 first;
	__be16 length;
	__u8 next, hops;
	__be32 from[4], to[4];
};

struct srh {
	__u8 next, length, type, left, last, flags;
	__be16 tag;
};

SEC("lwt_seg6local")
int end(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *tail = (void *)(long)skb->data_end;
	struct ip6 *ip = data;
	struct srh *srh = data + sizeof(*ip);

	if ((void *)(srh + 1) > tail || ip->next != 43 || srh->type != 4)
		return BPF_DROP;
	if (srh->tag == bpf_htons(0x5e66) && srh->flags & 0x20) {
		if (ip->hops == 17)
			reached = 1;
		return BPF_DROP;
	}
	return BPF_OK;
}
