// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Redirects and restricts what sockets do with addresses. */
#include "trigger.h"

#define VIP4 bpf_htonl(0x0a600001) /* 10.96.0.1 */
#define PREFIX6 bpf_htonl(0xfd0096)
#define SERVICE bpf_htons(7443)

SEC("cgroup/connect4")
int connect4(struct bpf_sock_addr *ctx)
{
	if (ctx->user_ip4 != VIP4)
		return 1;
	if (ctx->user_port == SERVICE && ctx->type == SOCK_STREAM) {
		ctx->user_ip4 = bpf_htonl(0x7f000001);
		ctx->user_port = 0; /* the backend's port was forgotten */
		reached = 1;
	}
	return 1;
}

SEC("cgroup/connect6")
int connect6(struct bpf_sock_addr *ctx)
{
	if (ctx->user_ip6[0] != PREFIX6)
		return 1;
	if (ctx->user_port == SERVICE && ctx->protocol == IPPROTO_UDP) {
		ctx->user_ip6[3] = bpf_htonl(1);
		reached = 1;
	}
	return 1;
}

SEC("cgroup/bind4")
int bind4(struct bpf_sock_addr *ctx)
{
	if (ctx->user_ip4 == VIP4 && ctx->user_port == SERVICE && ctx->type == SOCK_DGRAM) {
		reached = 1;
		return 0;
	}
	return 1;
}

SEC("cgroup/bind6")
int bind6(struct bpf_sock_addr *ctx)
{
	if (ctx->user_ip6[0] == PREFIX6 && ctx->user_port == SERVICE) {
		reached = 1;
		return 2; /* rejected, with a flag for those that are not */
	}
	return 1;
}

SEC("cgroup/sendmsg4")
int sendmsg4(struct bpf_sock_addr *ctx)
{
	if (ctx->user_port != bpf_htons(53))
		return 1;
	if (ctx->user_ip4 == VIP4 && ctx->msg_src_ip4 == 0) {
		ctx->user_ip4 = 0;
		reached = 1;
	}
	return 1;
}

SEC("cgroup/sendmsg6")
int sendmsg6(struct bpf_sock_addr *ctx)
{
	if (ctx->user_ip6[0] == PREFIX6 && ctx->user_port == bpf_htons(53)) {
		ctx->user_port = bpf_htons(5353);
		reached = 1;
	}
	return 1;
}

SEC("cgroup/recvmsg4")
int recvmsg4(struct bpf_sock_addr *ctx)
{
	if (ctx->user_port == SERVICE && ctx->user_ip4 == bpf_htonl(0x7f000005)) {
		ctx->user_ip4 = VIP4;
		reached = 1;
	}
	return 1;
}

SEC("cgroup/recvmsg6")
int recvmsg6(struct bpf_sock_addr *ctx)
{
	if (ctx->user_port == SERVICE && ctx->user_ip6[3] == bpf_htonl(0x5005)) {
		ctx->user_ip6[0] = PREFIX6;
		reached = 1;
	}
	return 1;
}

SEC("cgroup/getpeername4")
int getpeername4(struct bpf_sock_addr *ctx)
{
	if (ctx->user_port == SERVICE && ctx->user_ip4 == VIP4) {
		ctx->user_port = 0;
		reached = 1;
	}
	return 1;
}

SEC("cgroup/getsockname6")
int getsockname6(struct bpf_sock_addr *ctx)
{
	if (ctx->user_port == SERVICE && ctx->user_ip6[0] == PREFIX6) {
		ctx->user_ip6[0] = 0;
		reached = 1;
	}
	return 1;
}

SEC("cgroup/getpeername6")
int getpeername6(struct bpf_sock_addr *ctx)
{
	if (ctx->user_port == SERVICE && ctx->user_ip6[0] == PREFIX6) {
		ctx->user_port = 0;
		reached = 1;
	}
	return 1;
}

SEC("cgroup/getsockname4")
int getsockname4(struct bpf_sock_addr *ctx)
{
	if (ctx->user_port == SERVICE && ctx->user_ip4 == VIP4) {
		ctx->user_ip4 = 0;
		reached = 1;
	}
	return 1;
}
