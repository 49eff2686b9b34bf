package expr

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"syscall"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/packet"
)

// xdpShape is a target with verdicts, contexts and maps of every sort.
func xdpShape() *corpus.Shape {
	return &corpus.Shape{
		Counted: true,
		Program: "filter", Type: "xdp", MaxSteps: 4,
		Verdicts: []corpus.Verdict{
			{Value: 0, Name: "XDP_ABORTED"},
			{Value: 1, Name: "XDP_DROP"},
			{Value: 2, Name: "XDP_PASS"},
			{Value: 3, Name: "XDP_TX"},
			{Value: 4, Name: "XDP_REDIRECT"},
		},
		ContextSize: 24,
		Context: []corpus.Field{
			{Name: "mark", Offset: 0, Size: 4},
			{Name: "cb[0]", Offset: 4, Size: 4},
			{Name: "cb[1]", Offset: 8, Size: 4},
			{Name: "ifindex", Offset: 12, Size: 4, Min: 1, Max: 1},
		},
		Output: []corpus.Field{
			{Name: "mark", Offset: 0, Size: 4},
			{Name: "cb[0]", Offset: 4, Size: 4},
			{Name: "cb[1]", Offset: 8, Size: 4},
			{Name: "remote_ip4", Offset: 12, Size: 4},
			{Name: "tstamp", Offset: 16, Size: 8},
		},
		Maps: []corpus.MapShape{
			{Name: "hits", Kind: "array", KeySize: 4, ValueSize: 8, Key: []corpus.Field{{Name: "key", Size: 4}}, Value: []corpus.Field{{Name: "value", Size: 8}}},
			{
				Name: "vips", Kind: "hash", KeySize: 8, ValueSize: 8,
				Key: []corpus.Field{
					{Name: "addr", Offset: 0, Size: 4, Big: true}, {Name: "port", Offset: 4, Size: 2, Big: true}, {Name: "proto", Offset: 6, Size: 1},
				},
				Value: []corpus.Field{{Name: "backend", Offset: 0, Size: 4}, {Name: "flags", Offset: 4, Size: 4}},
			},
			{Name: "raw", Kind: "hash", KeySize: 16, ValueSize: 4},
			{Name: "opaque", Kind: "hash", KeySize: 3, ValueSize: 3},
			{Name: "events", Kind: "ringbuf"},
		},
	}
}

// mapsOf is a view of maps in memory.
type mapsOf map[string]map[string][]byte

func (m mapsOf) Lookup(dst []byte, name string, key []byte) ([]byte, bool, error) {
	entries, ok := m[name]
	if !ok {
		return nil, false, errors.New("there is no such map")
	}
	value, ok := entries[string(key)]
	return append(dst, value...), ok, nil
}

func ipv4Packet(proto byte, transport ...byte) []byte {
	b := make([]byte, 34, 34+len(transport))
	copy(b, []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0})
	ip := b[14:]
	ip[0], ip[8], ip[9] = 0x45, 64, proto
	binary.BigEndian.PutUint16(ip[2:], uint16(20+len(transport)))
	copy(ip[12:], []byte{10, 9, 8, 7, 192, 168, 0, 1})
	b = append(b, transport...)
	fix(b)
	return b
}

func fix(b []byte) {
	var l packet.Layout
	l.Parse(b, packet.Ethernet)
	l.FixChecksums(b)
}

func tcpPacket(dest uint16) []byte {
	tcp := make([]byte, 24)
	binary.BigEndian.PutUint16(tcp, 40000)
	binary.BigEndian.PutUint16(tcp[2:], dest)
	tcp[12], tcp[13] = 5<<4, 2
	return ipv4Packet(6, tcp...)
}

func ipv6Packet(source string) []byte {
	b := make([]byte, 14+40+8)
	b[12], b[13] = 0x86, 0xdd
	ip := b[14:]
	ip[0], ip[5], ip[6], ip[7] = 0x60, 8, 17, 1
	from := netip.MustParseAddr(source).As16()
	copy(ip[8:], from[:])
	copy(ip[24:], from[:])
	ip[45] = 8
	fix(b)
	return b
}

// tunnel is IPv4 inside IPv4 with another TTL.
func tunnel() []byte {
	inner := tcpPacket(443)[14:]
	inner[8] = 9
	return ipv4Packet(4, inner...)
}

// ran is one step that was given and gave these packets.
func ran(ret uint32, before, after []byte) (*corpus.Input, *corpus.Outcome) {
	in := &corpus.Input{Steps: []corpus.Step{{Packet: before}}}
	out := &corpus.Outcome{
		Have:  corpus.HaveRet | corpus.HavePacket | corpus.HaveContext | corpus.HaveMaps,
		Steps: []corpus.StepOutcome{{Ret: ret, Packet: after, Context: outputContext()}},
		Maps:  someMaps(),
	}
	return in, out
}

func failed(errno syscall.Errno) (*corpus.Input, *corpus.Outcome) {
	in, out := ran(2, tcpPacket(22), nil)
	out.Steps[0].Errno = errno
	return in, out
}

func outputContext() []byte {
	b := make([]byte, 24)
	binary.NativeEndian.PutUint32(b, 0x10000)
	binary.NativeEndian.PutUint32(b[8:], 7)
	copy(b[12:], []byte{10, 1, 2, 3})
	binary.NativeEndian.PutUint64(b[16:], 1<<63)
	return b
}

func someMaps() mapsOf {
	hit := binary.NativeEndian.AppendUint64(nil, 5)
	vip := binary.NativeEndian.AppendUint32(nil, 31337)
	vip = binary.NativeEndian.AppendUint32(vip, 1)
	address := netip.MustParseAddr("fd00::1").As16()
	return mapsOf{
		"hits": {string(binary.NativeEndian.AppendUint32(nil, 6)): hit},
		"vips": {"\x0a\x09\x08\x07\x00\x16\x06\x00": vip},
		"raw":  {string(address[:]): binary.NativeEndian.AppendUint32(nil, 1)},
	}
}
