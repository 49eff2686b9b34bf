//go:build ignore
/* SPDX-License-Identifier: GPL-2.0-only OR MIT
 * A frame of a field bus in UDP: its CRC-16 has to be right and its function is one in
 * a hundred.
 */
#include "../parse.h"

#define FUNCTION 0x6b

struct frame {
	__u8 unit, function;
	__be16 address;
	__u8 data[8];
	__u16 crc; /* little-endian */
} __attribute__((packed));

static __always_inline __u16 crc16(const __u8 *p, int n)
{
	__u16 crc = 0xffff;

	for (int i = 0; i < n; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0xa001 : crc >> 1;
	}
	return crc;
}

SEC("xdp")
int crc(struct xdp_md *ctx)
{
	struct cursor c = CURSOR(ctx);
	struct frame *f;

	if (!take_udp(&c))
		return XDP_PASS;
	f = take(&c, sizeof(*f));
	if (!f || f->unit == 0)
		return XDP_PASS;
	if (crc16((void *)f, sizeof(*f) - sizeof(f->crc)) != f->crc)
		return XDP_DROP;
	if (f->function != FUNCTION)
		return XDP_PASS;
	return GOAL;
}
