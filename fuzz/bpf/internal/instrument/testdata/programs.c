// SPDX-License-Identifier: (GPL-2.0 OR MIT)
// Programs that use every construct the instrumentation has a rule for. Built by:
// clang-22 -O2 -g -target bpf -mcpu=v3 -ffile-prefix-map=$PWD=. -c programs.c -o programs.o
typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;

#define SEC(name) __attribute__((section(name), used))
#define noinline __attribute__((noinline))
#define inline inline __attribute__((always_inline))
#define uint(name, val) int(*name)[val]
#define type(name, val) typeof(val) *name
#define array(name, val) typeof(val) *name[]

static void *(*lookup)(void *map, const void *key) = (void *)1;
static long (*update)(void *map, const void *key, const void *value, __u64 flags) = (void *)2;
static long (*delete)(void *map, const void *key) = (void *)3;
static long (*tail_call)(void *ctx, void *map, __u32 index) = (void *)12;
static long (*push)(void *map, const void *value, __u64 flags) = (void *)87;
static long (*for_each)(void *map, void *fn, void *ctx, __u64 flags) = (void *)164;
static long (*loop)(__u32 n, void *fn, void *ctx, __u64 flags) = (void *)181;

struct xdp_md {
	__u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex;
};

struct flow {
	__u32 src, dst;
	__u16 sport, dport;
	__u8 proto;
} __attribute__((packed));

struct wide {
	__u64 a[4];
	__u32 b;
};

struct stats {
	__u64 packets, bytes;
};

struct {
	uint(type, 1);
	type(key, struct flow);
	type(value, struct stats);
	uint(max_entries, 64);
} flows SEC(".maps");

struct {
	uint(type, 1);
	type(key, struct wide);
	type(value, __u32);
	uint(max_entries, 64);
} wides SEC(".maps");

struct {
	uint(type, 2);
	type(key, __u32);
	type(value, struct stats);
	uint(max_entries, 16);
} table SEC(".maps");

struct {
	uint(type, 2);
	type(key, __u32);
	type(value, __u32);
	uint(max_entries, 16);
} settings SEC(".maps");

struct {
	uint(type, 22);
	type(value, __u32);
	uint(max_entries, 16);
} queue SEC(".maps");

struct inner {
	uint(type, 2);
	type(key, __u32);
	type(value, __u32);
	uint(max_entries, 4);
} inner0 SEC(".maps"), inner1 SEC(".maps");

struct {
	uint(type, 12);
	type(key, __u32);
	uint(max_entries, 2);
	array(values, struct inner);
} outer SEC(".maps") = { .values = { &inner0, &inner1 } };

__u64 total;
__u32 histogram[8];
__u32 limit = 3;
const volatile __u32 step = 2;

struct cursor {
	__u8 *data, *end;
};

static noinline int checksum(const __u8 *data, const __u8 *end)
{
	__u32 sum = 0;
	for (int i = 0; i < 20; i++) {
		if (data + i + 1 > end)
			break;
		if (data[i] & 1)
			sum += data[i];
		else
			sum ^= data[i];
	}
	return sum & 0xffff;
}

// parse has branches, a bounded loop and an early exit from it.
SEC("xdp") int parse(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	if (data + 14 > end)
		return 1;
	__u16 proto = data[12] << 8 | data[13];
	__u8 *p = data + 14;
	for (int i = 0; i < 4; i++) {
		if (proto != 0x8100 && proto != 0x88a8)
			break;
		if (p + 4 > end)
			return 0;
		proto = p[2] << 8 | p[3];
		p += 4;
	}
	if (proto == 0x0800) {
		if (p + 20 > end)
			return 1;
		if ((p[0] & 0xf) < 5)
			return 1;
		if (checksum(p, end) == 0x1234)
			return 3;
		return p[9] == 6 || p[9] == 17 ? 2 : 1;
	}
	if (proto == 0x86dd) {
		if (p + 40 > end)
			return 1;
		__u8 next = p[6];
		p += 40;
		for (int i = 0; i < 8; i++) {
			if (next != 0 && next != 43 && next != 60)
				break;
			if (p + 8 > end)
				return 1;
			next = p[0];
			p += 8;
		}
		return next == 58 ? 3 : 2;
	}
	return 2;
}

// state uses maps in all ways: keys of odd sizes, entries written through lookups
// and only read, spilled addresses, deletions.
SEC("xdp") int state(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	if (data + 32 > end)
		return 1;
	struct flow key = { .src = data[0] & 7, .dst = data[1] & 3, .sport = data[2] & 1, .dport = 7, .proto = data[3] & 1 };
	struct stats *s = lookup(&flows, &key);
	if (s) {
		s->packets++;
		s->bytes += end - data;
		if (s->packets > 3)
			delete (&flows, &key);
	} else {
		struct stats new = { 1, data[4] };
		update(&flows, &key, &new, 0);
	}
	__u32 index = data[5] & 15;
	__u32 *setting = lookup(&settings, &index);
	if (!setting)
		return 0;
	if (*setting == 77)
		return 3;
	index = (data[6] + *setting) & 31;
	struct stats *t = lookup(&table, &index);
	if (t && data[7] > 128)
		t->packets += step;
	if (data[8] == 3) {
		struct wide w = { .a = { data[9] & 3, 2, 3, 4 }, .b = data[10] & 1 };
		__u32 v = data[11];
		update(&wides, &w, &v, 0);
	}
	return 2;
}

// packet keys: the key lies in the packet, at no particular alignment.
SEC("xdp") int packetkey(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	if (data + 20 > end)
		return 1;
	data[3] &= 1;
	struct stats new = { 1, 2 };
	if (data[0] & 1)
		update(&flows, data + 3, &new, 0);
	else
		delete (&flows, data + 3);
	return 2;
}

// globals writes global data directly and through an index.
SEC("xdp") int globals(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	if (data + 14 > end)
		return 1;
	if (data[0] < 128)
		total += end - data;
	if (data[1] < 128)
		histogram[data[2] & 7]++;
	return data[3] > limit ? 2 : 1;
}

static noinline long inside(void *map, void *key, void *value, void *arg)
{
	struct stats *s = value;
	if (s->packets > 2)
		s->packets = 0;
	return 0;
}

static noinline long turn(__u32 i, void *arg)
{
	struct cursor *c = arg;
	if (i > 5)
		return 1;
	if (i & 1)
		histogram[i & 7]++;
	return 0;
}

static noinline void bump(__u64 *counter)
{
	*counter += 1;
}

// calls has callbacks, a subprogram that writes through its argument, a queue and
// a map in a map.
SEC("xdp") int calls(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct cursor c = { data, end };
	if (data + 16 > end)
		return 1;
	__u32 index = data[0] & 15, which = data[1] & 1;
	if (data[2] & 1)
		for_each(&table, inside, 0, 0);
	if (data[3] & 1)
		loop(data[4], turn, &c, 0);
	struct stats *s = lookup(&table, &index);
	if (s && data[5] & 1)
		bump(&s->bytes);
	if (data[6] & 1)
		push(&queue, &index, 2);
	void *in = lookup(&outer, &which);
	index &= 3;
	if (in) {
		__u32 *v = lookup(in, &index);
		if (v && data[7] & 1)
			*v += 1;
	}
	return 2;
}

struct {
	uint(type, 3);
	uint(key_size, 4);
	uint(max_entries, 4);
	array(values, int(void *));
} jumps SEC(".maps");

static noinline int onward(struct xdp_md *ctx, __u32 to)
{
	if (to > 2)
		return 1;
	tail_call(ctx, &jumps, to);
	return 3;
}

// tails tail-calls from a subprogram.
SEC("xdp") int tails(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	if (data + 14 > end)
		return 1;
	return onward(ctx, data[0] & 3);
}

// busy has many branches and no memory of its own: it is for measuring.
SEC("xdp") int busy(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 h = 1;
	if (data + 64 > end)
		return 1;
	for (int i = 0; i < 64; i++) {
		if (data[i] > 200)
			h = h * 33 + i;
		else if (data[i] > 100)
			h ^= data[i] << 3;
		else if (data[i] & 1)
			h += data[i];
		else
			h = (h << 5) | (h >> 27);
	}
	return h % 3 ? 2 : 1;
}

char license_[] SEC("license") = "Dual MIT/GPL";
