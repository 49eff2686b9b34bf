// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* A program that user space calls with a structure, and that answers in it. */
#include "types.h"

struct request {
	__u32 op;
	__u32 len;
	__u64 key;
	char name[8];
	__s32 answer;
};

SEC("syscall")
int serve(struct request *r)
{
	r->answer = -1;
	if (r->op != 7 || r->len > sizeof(r->name))
		return 1;
	if (r->key != 0xfeedface12345678)
		return 2;
	if (r->name[0] == 'x' && r->len == 3)
		reached = 1;
	r->answer = r->len;
	return 0;
}

char _license[] SEC("license") = "GPL";
