// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Chooses where messages go by their first bytes. */
#include "trigger.h"

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u32);
} socks SEC(".maps");

SEC("sk_msg")
int route(struct sk_msg_md *msg)
{
	unsigned char *data = msg->data, *end = msg->data_end;

	if (data + 8 > end)
		return SK_PASS;
	if (data[0] != 'R' || data[1] != 'Q')
		return SK_DROP;
	if (data[2] == 1)
		return bpf_msg_redirect_map(msg, &socks, 1, BPF_F_INGRESS);
	if (data[2] == 2 && *(__u32 *)(data + 4) > msg->size) {
		reached = 1; /* a length that is trusted */
		return 5;
	}
	return SK_PASS;
}
