// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Says which sockets there may be. */
#include "trigger.h"

#define SERVICE 7443
#define ICMPV6 58

SEC("cgroup/sock_create")
int create(struct bpf_sock *sk)
{
	if (sk->type != SOCK_RAW)
		return 1;
	/* ICMP was to be allowed for IPv6 as well. */
	if (sk->family == AF_INET6 && sk->protocol == ICMPV6) {
		reached = 1;
		return 0;
	}
	return 1;
}

SEC("cgroup/sock_release")
int release(struct bpf_sock *sk)
{
	if (sk->family == AF_INET && sk->type == SOCK_DGRAM && sk->mark == 0xbeef)
		reached = 1;
	return 1;
}

SEC("cgroup/post_bind4")
int post_bind4(struct bpf_sock *sk)
{
	if (sk->src_ip4 == bpf_htonl(0x0a600001) && sk->src_port == SERVICE) {
		reached = 1;
		return 0;
	}
	return 1;
}

SEC("cgroup/post_bind6")
int post_bind6(struct bpf_sock *sk)
{
	if (sk->src_ip6[0] == bpf_htonl(0xfd0096) && sk->type == SOCK_DGRAM) {
		reached = 1;
		return 0;
	}
	return 1;
}
