/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What the programs of this directory share: each has a planted bug behind what
 * its event carries, and says so by setting reached. */
#pragma once

#include <linux/bpf.h>
#include <linux/in.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define AF_INET 2
#define AF_INET6 10
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define SOCK_RAW 3

__u32 reached; /* the bug was */

char _license[] SEC("license") = "GPL";
