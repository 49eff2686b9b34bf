// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Constants and variables that only this file sees, as xdp-dispatcher has its configuration. */
#include "types.h"

struct config {
	__u8 magic;
	__u8 count;
	__u32 verdicts[4];
};

static volatile const struct config conf = {
	.magic = 236,
	.verdicts = { XDP_PASS, XDP_PASS },
};

static volatile __u32 seen = 7;

SEC("xdp")
int configured(struct xdp_md *ctx)
{
	seen++;
	if (conf.magic != 236 || conf.count > 4 || seen > 1000)
		return XDP_ABORTED;
	return conf.verdicts[conf.count & 3];
}

char _license[] SEC("license") = "GPL";
