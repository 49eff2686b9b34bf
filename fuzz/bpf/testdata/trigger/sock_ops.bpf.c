// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Follows connections through their states and keeps those of a service. */
#include "trigger.h"

#define SERVICE 4433

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32); /* the client's port */
	__type(value, __u32);
} clients SEC(".maps");

SEC("sockops")
int service(struct bpf_sock_ops *skops)
{
	__u32 port = bpf_ntohl(skops->remote_port), one = 1;

	switch (skops->op) {
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		if (skops->local_port != SERVICE || skops->family != AF_INET6)
			break;
		bpf_sock_ops_cb_flags_set(skops, BPF_SOCK_OPS_STATE_CB_FLAG);
		bpf_map_update_elem(&clients, &port, &one, BPF_ANY);
		break;
	case BPF_SOCK_OPS_STATE_CB:
		if (!bpf_map_lookup_elem(&clients, &port))
			break;
		/* The entry of a connection that is reset after it carried
		 * something from a privileged port is never removed. */
		if (skops->args[1] == BPF_TCP_CLOSE && skops->bytes_received > 64 && port < 1024) {
			reached = 1;
			break;
		}
		if (skops->args[1] == BPF_TCP_CLOSE)
			bpf_map_delete_elem(&clients, &port);
		break;
	}
	return 1;
}
