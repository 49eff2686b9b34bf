/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What the programs of this directory share: each has a planted bug, and says
 * so by setting reached. */
#pragma once

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

__u32 reached; /* the bug was */

/* The kernel's own types, as far as they are read here. */
#define KERNEL_TYPE __attribute__((preserve_access_index))
