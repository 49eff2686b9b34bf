// SPDX-License-Identifier: (GPL-2.0 OR MIT)
// Programs that change maps of every kind as the packet says. Built by:
// clang-22 -O2 -g -target bpf -mcpu=v3 -ffile-prefix-map=$PWD=. -fdebug-compilation-dir=. -c state.c -o state.o
typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;

#define SEC(name) __attribute__((section(name), used))
#define uint(name, val) int(*name)[val]
#define type(name, val) typeof(val) *name
#define array(name, val) typeof(val) *name[]

static void *(*lookup)(void *map, const void *key) = (void *)1;
static long (*update)(void *map, const void *key, const void *value, __u64 flags) = (void *)2;
static long (*delete)(void *map, const void *key) = (void *)3;
static long (*push)(void *map, const void *value, __u64 flags) = (void *)87;
static long (*pop)(void *map, void *value) = (void *)88;
static long (*spin_lock)(void *lock) = (void *)93;
static long (*spin_unlock)(void *lock) = (void *)94;
static long (*adjust_tail)(void *ctx, int delta) = (void *)65;
static long (*change_tail)(void *ctx, __u32 len, __u64 flags) = (void *)38;
static long (*ringbuf_output)(void *ring, void *data, __u64 size, __u64 flags) = (void *)130;

struct xdp_md {
	__u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex;
};

struct __sk_buff {
	__u32 len, pkt_type, mark, queue_mapping, protocol, vlan_present, vlan_tci, vlan_proto, priority;
	__u32 ingress_ifindex, ifindex, tc_index, cb[5], hash, tc_classid, data, data_end;
};

struct bpf_spin_lock {
	__u32 val;
};

struct value {
	__u64 n;
	__u32 last;
};

struct locked {
	struct bpf_spin_lock lock;
	__u32 n;
};

struct prefix {
	__u32 len, addr;
};

#define MAP(name, kind, keytype, valuetype, entries, extra) \
	struct {                                            \
		uint(type, kind);                           \
		type(key, keytype);                         \
		type(value, valuetype);                     \
		uint(max_entries, entries);                 \
		extra                                       \
	} name SEC(".maps")

MAP(array, 2, __u32, struct value, 256, );
MAP(percpu_array, 6, __u32, struct value, 16, );
MAP(hash, 1, __u32, struct value, 1024, );
MAP(percpu_hash, 5, __u32, struct value, 64, );
MAP(lru_hash, 9, __u32, struct value, 1024, );
MAP(lpm_trie, 11, struct prefix, struct value, 64, uint(map_flags, 1););
MAP(full_hash, 1, __u32, struct value, 4, );
MAP(dynamic_hash, 1, __u32, struct value, 4, uint(map_flags, 1););
MAP(full_lru, 9, __u32, struct value, 16, );
MAP(locked_array, 2, __u32, struct locked, 16, );

struct {
	uint(type, 22);
	type(value, __u32);
	uint(max_entries, 16);
} queue SEC(".maps");

struct {
	uint(type, 23);
	type(value, __u32);
	uint(max_entries, 16);
} stack SEC(".maps");

struct {
	uint(type, 27);
	uint(max_entries, 4096);
} ringbuf SEC(".maps");

struct {
	uint(type, 30);
	type(value, __u32);
	uint(max_entries, 16);
} bloom SEC(".maps");

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

__u32 counter;
__u32 threshold = 7;
__u32 row[8] = { 1, 2, 3, 4, 5, 6, 7, 8 }, behind[8] = { 9, 9, 9, 9, 9, 9, 9, 9 };
__u32 big[1024] SEC(".data.big") = { 1 };
__u32 beside SEC(".data.big") = 5;

// request is what a packet asks for, behind its Ethernet header.
struct request {
	__u8 map, op, count, len;
	__u32 key, value;
};

enum { UPDATE, DELETE, WRITE, ADD };


static inline __attribute__((always_inline)) void change(void *map, void *key, struct request *r, __u32 value)
{
	struct value v = { value, value }, *p;
	switch (r->op) {
	case UPDATE:
		update(map, key, &v, 0);
		break;
	case DELETE:
		delete(map, key);
		break;
	case WRITE:
		p = lookup(map, key);
		if (p)
			p->last = value;
		break;
	default:
		p = lookup(map, key);
		if (p)
			__sync_fetch_and_add(&p->n, value);
	}
}

// Each map has a function of its own, or the compiler would make one call of all
// those that do the same to one map or another.
#define USE(map, keytype, ...)                                                       \
	static __attribute__((noinline)) int use_##map(struct request *r, __u32 key) \
	{                                                                            \
		keytype k = __VA_ARGS__;                                             \
		change(&map, &k, r, r->value);                                       \
		return 0;                                                            \
	}

USE(array, __u32, key)
USE(percpu_array, __u32, key)
USE(hash, __u32, key)
USE(percpu_hash, __u32, key)
USE(lru_hash, __u32, key)
USE(lpm_trie, struct prefix, { r->len, key })
USE(full_hash, __u32, key)
USE(dynamic_hash, __u32, key)
USE(full_lru, __u32, key)

static inline __attribute__((always_inline)) void entry(struct request *r, __u32 key)
{
	switch (r->map) {
	case 0: use_array(r, key); break;
	case 1: use_percpu_array(r, key); break;
	case 2: use_hash(r, key); break;
	case 3: use_percpu_hash(r, key); break;
	case 4: use_lru_hash(r, key); break;
	case 5: use_lpm_trie(r, key); break;
	case 6: use_full_hash(r, key); break;
	case 7: use_dynamic_hash(r, key); break;
	case 8: use_full_lru(r, key); break;
	}
}

static inline __attribute__((always_inline)) void queued(void *map, struct request *r)
{
	__u32 v = r->value;
	if (r->op == UPDATE)
		push(map, &v, 2);
	else
		pop(map, &v);
}

static inline __attribute__((always_inline)) void nested(struct request *r)
{
	__u32 index = r->key & 1, slot = r->key >> 1;
	void *map = lookup(&outer, &index);
	if (!map)
		return;
	if (r->op == UPDATE) {
		update(map, &slot, &r->value, 0);
		return;
	}
	__u32 *p = lookup(map, &slot);
	if (p)
		*p = r->value;
}

static inline __attribute__((always_inline)) void other(struct request *r)
{
	__u32 key = r->key;
	struct locked *l;
	switch (r->map) {
	case 20: queued(&queue, r); break;
	case 21: queued(&stack, r); break;
	case 22: ringbuf_output(&ringbuf, &r->value, 4, 0); break;
	case 23: nested(r); break;
	case 24:
		l = lookup(&locked_array, &key);
		if (!l)
			return;
		spin_lock(&l->lock);
		l->n += r->value;
		spin_unlock(&l->lock);
		break;
	case 25: counter += r->value; break;
	case 26: threshold = r->value; break;
	case 27: row[0] += *(volatile __u32 *)((__u8 *)row + (key & 15) * 4) = r->value; break;
	case 28: big[key & 1023] = r->value; break;
	case 29: beside = r->value; break;
	}
}

static inline __attribute__((always_inline)) int serve(struct request *r)
{
	for (__u32 i = 0; i < 32 && i < r->count; i++)
		entry(r, r->key + i);
	other(r);
	return 0;
}

SEC("xdp") int state(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	if (data + 26 > end)
		return 1;
	struct request r;
	__builtin_memcpy(&r, data + 14, sizeof(r));
	serve(&r);
	return 2;
}

SEC("tc") int tcstate(struct __sk_buff *skb)
{
	__u8 *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	if (data + 26 > end)
		return 2;
	struct request r;
	__builtin_memcpy(&r, data + 14, sizeof(r));
	serve(&r);
	return 0;
}

SEC("xdp") int blooms(struct xdp_md *ctx)
{
	__u32 v = ctx->data_end - ctx->data;
	push(&bloom, &v, 0);
	return 2;
}

// pointer reads a pointer of a context anew, in full.
#define pointer(member) ((__u8 *)(long)*(volatile __u32 *)&(member))

// echo answers with what it was given: first the number of earlier packets, the
// length of packet and metadata, then the metadata's first word.
SEC("xdp") int echo(struct xdp_md *ctx)
{
	__u8 *data = pointer(ctx->data), *end = pointer(ctx->data_end), *meta = pointer(ctx->data_meta);
	__u32 length = end - data, front = data - meta;
	if (data + 14 > end)
		return 0;
	if (length == 100 && adjust_tail(ctx, -50))
		return 0;
	data = pointer(ctx->data);
	end = pointer(ctx->data_end);
	meta = pointer(ctx->data_meta);
	if (data + 12 > end)
		return 0;
	data[0] = counter++;
	data[1] = length;
	data[2] = front;
	data[3] = ctx->ingress_ifindex;
	if (meta + 4 <= data)
		data[4] = meta[0];
	return data[5];
}

// tcecho does the same with the fields of an skb.
SEC("tc") int tcecho(struct __sk_buff *skb)
{
	__u32 length = skb->len;
	if (length == 100 && change_tail(skb, 50, 0))
		return 2;
	__u8 *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	if (data + 12 > end)
		return 2;
	data[0] = counter++;
	data[1] = length;
	data[2] = skb->mark;
	data[3] = skb->cb[1];
	skb->mark += 5;
	return data[5];
}

// plain has no state at all.
SEC("xdp") int plain(struct xdp_md *ctx)
{
	__u8 *data = pointer(ctx->data), *end = pointer(ctx->data_end);
	if (data + 14 > end)
		return 1;
	if (data[12] == 8 && data[13] == 0)
		return 2;
	return data[12] == 0x86 ? 3 : 1;
}

SEC("tc") int tcplain(struct __sk_buff *skb)
{
	return skb->protocol == 8 ? 0 : 2;
}

char _license[] SEC("license") = "Dual MIT/GPL";
