package bpf

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
)

// job is a step of a batch on its way to a descriptor.
type job struct {
	slot int
	last bool // step of its input
	key  key
}

// key is what a call fixes for all its inputs: what the kernel derives from
// the Ethernet header of a call's packet, length on the wire, interface and queue, and
// the addresses of its socket, as a number that others have in one of 2^64 cases.
type key struct {
	header, wire  uint32
	device, queue uint16
	socket        uint64
}

// looksAt says what a program may look at that differs between calls.
type looksAt struct{ headers, socket, device, wireLen, ingress, segs, hwtstamp bool }

func (t *Target) looksAt(packets instrument.Packets) looksAt {
	looks := t.plan.Looks()
	at := looksAt{device: looks.Device(packets)}
	if packets == instrument.SKB {
		at.socket = looks.Socket()
		at.headers = at.socket || looks.Header() // whose family is the ethertype's
		at.wireLen = looks.WireLen()
		at.ingress = looks.Field(skbOffIngress, skbOffIngress+4)
		at.segs = looks.Field(skbOffGSOSegs, skbOffGSOSegs+4)
		at.hwtstamp = looks.Field(skbOffHWTstamp, skbOffHWTstamp+8)
	}
	return at
}

// fits reports whether a step may be run in a batch, and with which others. Steps
// that do not need something that the kernel does once for each call.
func (b *batchExecutor) fits(s *corpus.Step) (k key, ok bool) {
	shape, l := b.target().shape, b.inst.batch
	packet, meta := len(s.Packet), len(s.Meta)
	switch {
	case s.Flags != 0, s.CPU != 0:
	case packet < shape.MinPacket(s.Packet), packet+meta > l.Largest:
	case meta > shape.Meta.Max, meta%4 != 0, meta > 0 && l.MetaAlone:
	default:
		ok = len(s.Context) == 0 || b.fitsContext(s, &k)
		if b.looksAt.wireLen && k.wire == 0 {
			k.wire = uint32(packet)
		}
		if b.looksAt.headers {
			k.header = protocol(s.Packet)<<2 | macClass(s.Packet, b.addresses[k.device])
		}
		if b.looksAt.socket {
			k.socket = socketAddresses(s.Packet)
		}
		return k, ok
	}
	return k, false
}

// Offsets of fields of __sk_buff that programs cannot write.
const (
	skbOffIngress  = 36
	skbOffIfindex  = 40
	skbOffGSOSegs  = 164
	skbOffGSOSize  = 176
	skbOffHWTstamp = 184
)

// fitsContext reports whether the context sets only fields that a program could
// write itself or does not look at, or that go into the key.
func (b *batchExecutor) fitsContext(s *corpus.Step, k *key) bool {
	native, l := binary.NativeEndian, b.inst.batch
	if l.Packets == instrument.XDP && !b.looksAt.device {
		return true
	}
	ctx := b.legal(s)
	if l.Packets == instrument.XDP {
		k.setDevice(native.Uint32(ctx[xdpOffIngress:]), native.Uint32(ctx[xdpOffQueue:]))
		return true
	}
	if ifindex := native.Uint32(ctx[skbOffIfindex:]); ifindex > lo {
		if b.looksAt.device || b.looksAt.headers {
			k.setDevice(ifindex, 0)
		}
	}
	if b.looksAt.wireLen {
		k.wire = native.Uint32(ctx[skbOffWireLen:])
	}
	return native.Uint32(ctx[skbOffGSOSize:]) == 0 &&
		!(b.looksAt.ingress && native.Uint32(ctx[skbOffIngress:]) != 0) &&
		!(b.looksAt.segs && native.Uint32(ctx[skbOffGSOSegs:]) != 0) &&
		!(b.looksAt.hwtstamp && native.Uint64(ctx[skbOffHWTstamp:]) != 0)
}

// setDevice enters an interface; lo and none are the same.
func (k *key) setDevice(ifindex, queue uint32) {
	if ifindex > lo {
		k.device, k.queue = uint16(ifindex), uint16(queue)
	}
}

// legal returns the step's context as the kernel would get it.
func (b *batchExecutor) legal(s *corpus.Step) []byte {
	ctx := b.single.ctx
	n := copy(ctx, s.Context)
	clear(ctx[n:])
	b.target().row.fixContext(b.target().shape, ctx, s.Packet, len(s.Meta))
	return ctx
}

// callContext returns the context of a call whose packet has n bytes; nil for the
// default one.
func (b *batchExecutor) callContext(k key, n int) []byte {
	if k.device == 0 && k.wire == 0 {
		return nil
	}
	ctx, native := b.single.ctx, binary.NativeEndian
	clear(ctx)
	if b.inst.batch.Packets == instrument.SKB {
		native.PutUint32(ctx[skbOffIfindex:], uint32(k.device))
		native.PutUint32(ctx[skbOffWireLen:], k.wire)
		return ctx
	}
	native.PutUint32(ctx[xdpOffDataEnd:], uint32(n))
	native.PutUint32(ctx[xdpOffIngress:], uint32(k.device))
	native.PutUint32(ctx[xdpOffQueue:], uint32(k.queue))
	return ctx
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

// socketAddresses hashes the addresses that the kernel gives the socket of a call with
// such a packet: those of the IP header behind the Ethernet header, if it is there.
func socketAddresses(packet []byte) uint64 {
	const ethernetLen = 14
	var at []byte
	switch protocol(packet) {
	case unix.ETH_P_IP:
		if len(packet) >= ethernetLen+20 {
			at = packet[ethernetLen+12:][:8]
		}
	case unix.ETH_P_IPV6:
		if len(packet) >= ethernetLen+40 {
			at = packet[ethernetLen+8:][:32]
		}
	}
	hash := uint64(0)
	for ; len(at) > 0; at = at[8:] {
		hash = (hash ^ binary.NativeEndian.Uint64(at)) * 0x9e3779b97f4a7c15
		hash ^= hash >> 32
	}
	return hash
}

// macClass tells the destination addresses that give a packet different types, on
// an interface with an address of its own.
func macClass(packet []byte, own [6]byte) uint32 {
	switch mac := [6]byte(packet); {
	case mac == own:
		return 0
	case mac == [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}:
		return 1
	case mac[0]&1 != 0:
		return 2
	}
	return 3
}

// readAddresses returns the Ethernet addresses of the interfaces of the thread's
// network namespace by index.
func readAddresses() (map[uint16][6]byte, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("reading the addresses of a private network namespace's interfaces: %w", err)
	}
	addresses := map[uint16][6]byte{0: {}}
	for _, l := range links {
		if at := l.Attrs(); len(at.HardwareAddr) == 6 {
			addresses[uint16(at.Index)] = [6]byte(at.HardwareAddr)
		}
	}
	return addresses, nil
}

// order lists the jobs in the order in which they are to run, as rows with one key
// each.
func (b *batchExecutor) order() {
	b.rows = b.rows[:0]
	if b.looksAt.headers || b.looksAt.device || b.looksAt.wireLen {
		b.sortJobs()
	}
	for i := range b.jobs {
		if i == 0 || b.jobs[i].key != b.jobs[i-1].key {
			b.rows = append(b.rows, i)
		}
	}
}

// sortJobs brings inputs together that begin with one key, in order of its first
// appearance. The steps of an input stay together and in order: each may depend on those
// before it.
func (b *batchExecutor) sortJobs() {
	const none = -1
	b.sorted = b.sorted[:0]
	for i := range b.next {
		b.next[i] = none
	}
	clear(b.table)
	begins := true
	for i := range b.jobs {
		begin := begins
		if begins = b.jobs[i].last; !begin {
			continue
		}
		entry := b.lookup(b.jobs[i].key)
		if entry.count == 0 {
			*entry = keyEntry{key: b.jobs[i].key, first: i, last: i, count: 1}
			continue
		}
		b.next[entry.last] = i
		entry.last, entry.count = i, entry.count+1
	}
	for i := range b.jobs {
		if entry := b.lookup(b.jobs[i].key); entry.count == 0 || entry.first != i {
			continue
		}
		for first := i; first != none; first = b.next[first] {
			n := slices.IndexFunc(b.jobs[first:], func(j job) bool { return j.last })
			b.sorted = append(b.sorted, b.jobs[first:first+n+1]...)
		}
	}
	b.jobs, b.sorted = b.sorted, b.jobs
}

// keyEntry is the list of the first jobs of inputs that begin with one key.
type keyEntry struct {
	key                key
	first, last, count int
}

// lookup finds the entry of a key, or the free one where it belongs: there are
// twice as many as jobs.
func (b *batchExecutor) lookup(k key) *keyEntry {
	hash := (k.header ^ k.wire<<8 ^ uint32(k.device)<<24 ^ uint32(k.queue)<<20 ^ uint32(k.socket)) * 0x9e3779b1 >> 16
	for ; ; hash++ {
		entry := &b.table[int(hash)&(len(b.table)-1)]
		if entry.count == 0 || entry.key == k {
			return entry
		}
	}
}
