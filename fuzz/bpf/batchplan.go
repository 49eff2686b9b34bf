package bpf

import (
	"encoding/binary"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
)

// job is a step of a batch on its way to a descriptor.
type job struct {
	slot int
	last bool // step of its input
	key  uint32
}

// fits reports whether a step may be run in a batch. The others need something
// that the kernel does once for each call.
func (b *batchExecutor) fits(s *corpus.Step) bool {
	shape := b.target().shape
	packet, meta := len(s.Packet), len(s.Meta)
	switch {
	case s.Flags != 0, s.CPU != 0:
	case packet < shape.MinPacket(s.Packet), packet+meta > b.inst.batch.Largest:
	case meta > shape.Meta.Max, meta%4 != 0:
	default:
		return len(s.Context) == 0 || b.inst.batch.Packets == instrument.XDP || b.fitsContext(s)
	}
	return false
}

// Offsets of fields of __sk_buff that programs cannot write.
const (
	skbOffIngress  = 36
	skbOffGSOSegs  = 164
	skbOffGSOSize  = 176
	skbOffHWTstamp = 184
)

// fitsContext reports whether the context sets only fields that a program could
// write itself, or does not look at. It leaves the context in the form in which the
// kernel gets it.
func (b *batchExecutor) fitsContext(s *corpus.Step) bool {
	ctx := b.legal(s)
	if binary.NativeEndian.Uint32(ctx[skbOffGSOSize:]) != 0 || b.looksAt.wireLen {
		return false
	}
	return !(b.looksAt.ingress && binary.NativeEndian.Uint32(ctx[skbOffIngress:]) != 0 ||
		b.looksAt.segs && binary.NativeEndian.Uint32(ctx[skbOffGSOSegs:]) != 0 ||
		b.looksAt.hwtstamp && binary.NativeEndian.Uint64(ctx[skbOffHWTstamp:]) != 0)
}

// legal returns the step's context as the kernel would get it.
func (b *batchExecutor) legal(s *corpus.Step) []byte {
	ctx := b.single.ctx
	n := copy(ctx, s.Context)
	clear(ctx[n:])
	b.target().row.fixContext(b.target().shape, ctx, s.Packet, len(s.Meta))
	return ctx
}

// keyOf returns what a call fixes for all its inputs.
func (b *batchExecutor) keyOf(packet []byte) uint32 {
	if !b.looksAt.headers {
		return 0
	}
	return protocol(packet)<<2 | macClass(packet)
}

// protocol returns what the kernel's eth_type_trans makes of an Ethernet header.
func protocol(packet []byte) uint32 {
	const (
		smallest = 0x600 // less is a length
		p8023    = 1     // ETH_P_802_3
		p8022    = 4     // ETH_P_802_2
	)
	if p := binary.BigEndian.Uint16(packet[12:]); p >= smallest {
		return uint32(p)
	}
	if len(packet) >= 16 && packet[14] == 0xff && packet[15] == 0xff {
		return p8023
	}
	return p8022
}

// macClass tells the destination addresses that give a packet different types.
func macClass(packet []byte) uint32 {
	switch mac := binary.NativeEndian.Uint32(packet); {
	case mac == 0 && packet[4] == 0 && packet[5] == 0:
		return 0 // loopback's own
	case mac == 0xffffffff && packet[4] == 0xff && packet[5] == 0xff:
		return 1
	case packet[0]&1 != 0:
		return 2
	}
	return 3
}

// order lists the jobs in the order in which they are to run, as rows with one key
// each. Steps of a longer input stay where they are: each may depend on those
// before it.
func (b *batchExecutor) order() {
	b.rows = b.rows[:0]
	if b.target().shape.MaxSteps == 1 && b.looksAt.headers {
		b.sortJobs()
	}
	for i := range b.jobs {
		if i == 0 || b.jobs[i].key != b.jobs[i-1].key {
			b.rows = append(b.rows, i)
		}
	}
}

// sortJobs brings jobs of one key together, in order of its first appearance.
func (b *batchExecutor) sortJobs() {
	const none = -1
	b.sorted = b.sorted[:0]
	for i := range b.next {
		b.next[i] = none
	}
	clear(b.table[:])
	for i := range b.jobs {
		entry := b.lookup(b.jobs[i].key)
		if entry.count == 0 {
			*entry = keyEntry{key: b.jobs[i].key, first: i, last: i, count: 1}
			continue
		}
		b.next[entry.last] = i
		entry.last, entry.count = i, entry.count+1
	}
	for i := range b.jobs {
		if entry := b.lookup(b.jobs[i].key); entry.first == i {
			for at := i; at != none; at = b.next[at] {
				b.sorted = append(b.sorted, b.jobs[at])
			}
		}
	}
	b.jobs, b.sorted = b.sorted, b.jobs
}

// keyEntry is the list of jobs with one key.
type keyEntry struct {
	key                uint32
	first, last, count int
}

// lookup finds the entry of a key, or the free one where it belongs: there are
// twice as many as jobs.
func (b *batchExecutor) lookup(key uint32) *keyEntry {
	for at := key * 0x9e3779b1; ; at++ {
		entry := &b.table[at>>16&(2*batchSlots-1)]
		if entry.count == 0 || entry.key == key {
			return entry
		}
		at += 1<<16 - 1
	}
}
