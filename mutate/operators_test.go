package mutate

import (
	"bytes"
	"math/bits"
	"slices"
	"strings"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/packet"
)

// pick is the number for which below(n) is v.
func pick(v, n uint64) uint64 {
	q, rem := bits.Div64(v, 0, n)
	if rem > 0 {
		q++
	}
	return q
}

// both is a number whose high half picks v of n and whose low half picks w of k.
func both(v, n, w, k uint64) uint64 {
	half := func(v, n uint64) uint64 { return (v<<32 + n - 1) / n }
	return half(v, n)<<32 | half(w, k)
}

// layerNames is the packet's layout as "ethernet/ipv4/tcp".
func layerNames(p []byte) string {
	var l packet.Layout
	l.Parse(p, packet.Ethernet)
	var names []string
	for _, h := range l.Headers[:l.N] {
		names = append(names, h.Layer.String())
	}
	return strings.Join(names, "/")
}

// scripted runs one operator on step at of a child of src, with these random
// numbers, and without what follows in Mutate.
func scripted(t *testing.T, name string, src, other *corpus.Input, at int, script ...uint64) (child *corpus.Input, ok bool) {
	t.Helper()
	shape := testShapes()["tc"]
	shape.Meta.Max = 32
	m := New(shape, Options{})
	child = slots(shape)
	child.CopyFrom(src)
	m.begin(child, other)
	m.recall(src)
	m.at = at
	m.rand.script = script
	i := slices.IndexFunc(m.ops, func(op operator) bool { return op.name == name })
	if i < 0 {
		t.Fatalf("no operator %s", name)
	}
	ok = m.ops[i].apply(m, &child.Steps[at])
	if n := len(m.rand.script); n > 0 {
		t.Errorf("%s left %d random numbers", name, n)
	}
	checkLayout(t, m, child)
	return child, ok
}

// checkLayout fails when the layout that the mutator kept is not the packet's.
func checkLayout(t *testing.T, m *Mutator, in *corpus.Input) {
	t.Helper()
	for i := range in.Steps {
		if m.parsed != &in.Steps[i] {
			continue
		}
		var want packet.Layout
		want.Parse(in.Steps[i].Packet, m.first)
		if !slices.Equal(m.layout.Headers[:m.layout.N], want.Headers[:want.N]) {
			t.Errorf("kept the layout %+v of a packet with %+v", m.layout.Headers[:m.layout.N], want.Headers[:want.N])
		}
	}
}

func tcpPacket() []byte { return newStack("", packet.Ethernet, packet.IPv4, packet.TCP).bytes }

// tcpFields is how many fields the table has for TCP, which scripts depend on.
var (
	ipv4Fields = uint64(len(packet.Fields(packet.IPv4)))
	tcpFields  = uint64(len(packet.Fields(packet.TCP)))
)

func fieldAt(layer packet.Layer, name string) uint64 {
	return uint64(slices.IndexFunc(packet.Fields(layer), func(f packet.Field) bool { return f.Name == name }))
}

// childAt is the number that makes sibling choose child.
func childAt(parent, child packet.Layer) uint64 {
	children := follows.children[parent]
	return pick(uint64(slices.Index(children, child)), uint64(len(children)))
}

func encapsulationIndex(name string) uint64 {
	return uint64(slices.IndexFunc(encapsulations, func(t template) bool { return t.name == name }))
}

// TestPacketOperators applies operators to a packet of 72 bytes: Ethernet, IPv4 at
// 14, TCP at 34, payload at 54.
func TestPacketOperators(t *testing.T) {
	nEncaps := uint64(len(encapsulations))
	gre := newStack("", packet.Ethernet, packet.IPv4, packet.GRE, packet.IPv4, packet.TCP).bytes
	vlans := newStack("", packet.Ethernet, packet.VLAN, packet.MPLS, packet.IPv4, packet.TCP).bytes
	set := func(at int, b ...byte) func(p []byte) []byte {
		return func(p []byte) []byte { copy(p[at:], b); return p }
	}
	tests := []struct {
		op     string
		src    []byte // tcpPacket where nil
		script []uint64
		want   func(p []byte) []byte // of the source; nil where only the layers are given
		layers string
	}{
		{op: "flip-bit", script: []uint64{pick(20, 72), 3}, want: set(20, 8)},
		{op: "flip-byte", script: []uint64{pick(1, 3), pick(18, 71)}, want: set(18, 0xff, 0xfe)},
		{op: "arithmetic", script: []uint64{1 | 8, pick(22, 71)}, want: set(22, 0x40, 0x07)},
		{op: "arithmetic", script: []uint64{1 | 4, pick(22, 71)}, want: set(22, 0x3f, 0x06)},
		{op: "interesting", script: []uint64{both(9, uint64(len(interestingValues)), 0, 1), pick(22, 72)}, want: set(22, 255)},
		{op: "random-byte", script: []uint64{pick(22, 72), pick(0, 255)}, want: set(22, 0x41)},
		{op: "random-word", script: []uint64{1, pick(24, 71), 0x0201}, want: set(24, 1, 2)},
		{op: "random-word", script: []uint64{3, pick(24, 65), 0x0807060504030201}, want: set(24, 1, 2, 3, 4, 5, 6, 7, 8)},
		{op: "copy-block", script: []uint64{both(3, 4, 0, 1), pick(26, 69), pick(30, 69)}, want: set(30, 192, 0, 2, 1)},
		{op: "insert-block", script: []uint64{pick(72, 73), both(1, 4, 0, 1), 1, 2}, want: func(p []byte) []byte { return append(p, 0xff, 0xff) }},
		{op: "delete-block", script: []uint64{both(3, 4, 0, 1), pick(54, 69)}, want: func(p []byte) []byte { return slices.Delete(p, 54, 58) }},
		{op: "fill-block", script: []uint64{0, pick(22, 72), 0}, want: set(22, 0)},
		{op: "resize", script: []uint64{0}, want: func(p []byte) []byte { return p[:14] }},
		{op: "resize", script: []uint64{15 | 2<<16, pick(2, 4)}, want: func(p []byte) []byte { return p[:55] }},
		{op: "splice-bytes", script: []uint64{pick(0, 1), pick(14, 80), 2, 0}, want: set(14, 0x60)},
		{op: "splice-bytes", script: []uint64{pick(0, 1), pick(79, 80), 0}, want: func(p []byte) []byte { return append(p[:71], '9') }},
		{op: "splice-layers", script: []uint64{pick(0, 1), pick(1, 4)}, layers: "ethernet/ipv4/tcp/payload"},
		{op: "dictionary-overwrite", script: []uint64{pick(6, 10), pick(30, 69)}, want: set(30, 10, 9, 8, 7)},
		{op: "dictionary-insert", script: []uint64{pick(6, 10), pick(54, 73)}, want: func(p []byte) []byte { return slices.Insert(p, 54, 10, 9, 8, 7) }},

		{op: "field-value", script: []uint64{both(1, 3, fieldAt(packet.IPv4, "ttl"), ipv4Fields), pick(7, 9)}, want: set(22, 254)},
		{op: "field-step", script: []uint64{both(1, 3, fieldAt(packet.IPv4, "ttl"), ipv4Fields), 3}, want: set(22, 63)},
		{op: "field-random", script: []uint64{both(2, 3, fieldAt(packet.TCP, "dest"), tcpFields), 0x1234}, want: set(36, 0x12, 0x34)},
		{op: "field-dictionary", script: []uint64{both(1, 3, 0, 1), both(4, 5, 1, 1<<32), pick(0, 2)}, want: set(30, 10, 9, 8, 7)},
		{
			op: "field-dictionary", src: newStack("", packet.Ethernet, packet.IPv6).bytes,
			script: []uint64{both(1, 2, 0, 1), both(4, 5, 1, 1<<32), 0},
			want:   set(38, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9),
		},
		{op: "header-length", script: []uint64{pick(2, 4), 0, 2 << 8}, want: set(46, 0x70)},

		{op: "insert-layer", script: []uint64{pick(encapsulationIndex("vlan"), nEncaps), 0, 1}, layers: "ethernet/vlan/ipv4/tcp/payload"},
		{op: "insert-layer", script: []uint64{pick(encapsulationIndex("vxlan"), nEncaps), 0, 1}, layers: "ethernet/ipv4/udp/vxlan/ethernet/ipv4/tcp/payload"},
		{op: "insert-layer", script: []uint64{pick(encapsulationIndex("gre with mpls"), nEncaps), 0, 1}, layers: "ethernet/ipv4/gre/mpls/ipv4/tcp/payload"},
		{op: "insert-layer", script: []uint64{pick(encapsulationIndex("vlan"), nEncaps), 0, 0}, layers: "ethernet/ipv4/payload"}, // the ethertype is left
		{op: "drop-layer", src: vlans, script: []uint64{pick(0, 5)}, layers: "ethernet/mpls/ipv4/tcp/payload"},
		{op: "drop-layer", src: gre, script: []uint64{pick(0, 5), 1}, layers: "ethernet/ipv4/tcp/payload"},
		{op: "duplicate-layer", src: vlans, script: []uint64{pick(0, 5)}, layers: "ethernet/vlan/vlan/mpls/ipv4/tcp/payload"},
		{op: "swap-layers", src: vlans, script: []uint64{pick(1, 4), 1}, layers: "ethernet/vlan/ipv4/mpls/payload"},
		{op: "retype-layer", script: []uint64{pick(1, 3), childAt(packet.IPv4, packet.UDP)}, layers: "ethernet/ipv4/udp/payload"},
		{op: "retype-selector", script: []uint64{pick(0, 4), childAt(packet.Ethernet, packet.ARP)}, layers: "ethernet/arp/payload"},
		{op: "insert-option", script: []uint64{pick(1, 4), pick(2, 12), 2 | 4}, want: func(p []byte) []byte {
			p[14] = 0x47
			return slices.Insert(p, 34, 7, 7, 4, 0, 0, 0, 0, 1)
		}},
		{op: "insert-option", script: []uint64{pick(2, 4), pick(2, 11), 0 | 6<<8}, want: func(p []byte) []byte {
			p[46] = 0x60
			return slices.Insert(p, 54, 2, 128, 5, 180)
		}},
		{op: "drop-options", src: withOptions(), script: nil, want: func(p []byte) []byte { p[14] = 0x45; return slices.Delete(p, 34, 38) }},
		{op: "toggle-gre", src: gre, script: []uint64{1}, want: func(p []byte) []byte {
			p[34] = 0x20
			return slices.Insert(p, 38, p[38:42]...)
		}},
		{op: "reverse-flow", script: []uint64{1}, want: func(p []byte) []byte {
			swapAt(p, 0, 6, 6)
			swapAt(p, 26, 30, 4)
			swapAt(p, 34, 36, 2)
			return p
		}},
	}
	tested := map[string]bool{}
	other := onePacket(newStack("", packet.Ethernet, packet.IPv6, packet.UDP).bytes)
	for _, tt := range tests {
		tested[tt.op] = true
		t.Run(tt.op, func(t *testing.T) {
			src := tt.src
			if src == nil {
				src = tcpPacket()
			}
			child, ok := scripted(t, tt.op, onePacket(src), other, 0, tt.script...)
			got := child.Steps[0].Packet
			switch {
			case !ok:
				t.Error("did not apply")
			case tt.want != nil && !bytes.Equal(got, tt.want(bytes.Clone(src))):
				t.Errorf("got\n%x, want\n%x", got, tt.want(bytes.Clone(src)))
			case tt.want == nil && layerNames(got) != tt.layers:
				t.Errorf("got %s, want %s", layerNames(got), tt.layers)
			}
		})
	}
	for _, op := range operators() {
		if op.needs&(needPacket|needSteps|needMaps) == needPacket && !tested[op.name] {
			t.Errorf("%s is not tested", op.name)
		}
	}
}

// withOptions is tcpPacket with four bytes of IPv4 options.
func withOptions() []byte {
	p := slices.Insert(tcpPacket(), 34, 1, 1, 1, 0)
	p[14] = 0x46
	return p
}

func swapAt(p []byte, a, b, n int) { exchange(p[a:a+n], p[b:b+n]) }

func TestContextAndMetaOperators(t *testing.T) {
	fields := uint64(len(legalFields(testShapes()["tc"])))
	src := onePacket(tcpPacket())
	with := func(at int, b ...byte) []byte { // a fresh context with these bytes
		c := freshContext(testShapes()["tc"])
		copy(c[at:], b)
		return c
	}
	tests := []struct {
		name, op      string
		context, meta []byte // before
		script        []uint64
		wantContext   []byte
		wantMeta      []byte
		refused       bool
	}{
		{name: "value of an empty context", op: "context-field", script: []uint64{pick(0, fields), 15, pick(1, 2)}, wantContext: with(8, 0xff)},
		{name: "smallest", op: "context-field", context: with(32, 7), script: []uint64{pick(1, fields), 0}, wantContext: with(32, 2)},
		{name: "largest, in network order", op: "context-field", script: []uint64{pick(2, fields), 1}, wantContext: with(48, 0, 0, 1, 44)},
		{name: "one more than the largest", op: "context-field", context: with(32, 9), script: []uint64{pick(1, fields), 2}, wantContext: with(32, 9), refused: true},
		{name: "dictionary", op: "context-field", script: []uint64{pick(0, fields), 6, pick(0, 2)}, wantContext: with(8, 7, 8, 9, 10)},
		{name: "default", op: "context-clear", context: with(8, 1), wantContext: nil},
		{name: "default already", op: "context-clear", refused: true},
		{name: "all ones", op: "meta-resize", script: []uint64{pick(2, 9), 1, 2}, wantMeta: bytes.Repeat([]byte{0xff}, 8)},
		{name: "largest", op: "meta-resize", script: []uint64{pick(2, 9), 0, 0}, wantMeta: make([]byte, 32)},
		{name: "shorter", op: "meta-resize", meta: make([]byte, 12), script: []uint64{pick(1, 9), 1}, wantMeta: make([]byte, 4)},
		{name: "boundary", op: "meta-bytes", meta: make([]byte, 8), script: []uint64{pick(1, 2), 0, pick(9, uint64(len(interestingValues)))}, wantMeta: []byte{0, 0, 0, 0, 255, 0, 0, 0}},
		{name: "dictionary", op: "meta-bytes", meta: make([]byte, 4), script: []uint64{0, 5, pick(0, 2)}, wantMeta: []byte{10, 9, 8, 7}},
		{name: "no metadata", op: "meta-bytes", refused: true},
	}
	for _, tt := range tests {
		t.Run(tt.op+", "+tt.name, func(t *testing.T) {
			in := src.Clone()
			in.Steps[0].Context, in.Steps[0].Meta = tt.context, tt.meta
			child, ok := scripted(t, tt.op, in, nil, 0, tt.script...)
			if ok == tt.refused {
				t.Fatalf("applied: %v", ok)
			}
			s := &child.Steps[0]
			if !bytes.Equal(s.Context, tt.wantContext) {
				t.Errorf("context is %x, want %x", s.Context, tt.wantContext)
			}
			if !bytes.Equal(s.Meta, tt.wantMeta) {
				t.Errorf("metadata is %x, want %x", s.Meta, tt.wantMeta)
			}
		})
	}
}

// steps makes an input whose packets are 20 bytes that repeat a letter.
func lettered(letters string) *corpus.Input {
	in := &corpus.Input{}
	for i := range letters {
		n := 20 + i
		in.Steps = append(in.Steps, corpus.Step{Packet: bytes.Repeat([]byte{letters[i]}, n), Context: make([]byte, 192), CPU: int32(i)})
	}
	return in
}

func letters(in *corpus.Input) string {
	var b strings.Builder
	for i := range in.Steps {
		b.WriteByte(in.Steps[i].Packet[0])
	}
	return b.String()
}

func TestStepOperators(t *testing.T) {
	tests := []struct {
		name, op, src string
		at            int
		script        []uint64
		want          string
		refused       bool
	}{
		{"in a row", "repeat-step", "abc", 1, []uint64{0}, "abbc", false},
		{"at the end", "repeat-step", "abc", 1, []uint64{1}, "abcb", false},
		{"no room", "repeat-step", "abcdefgh", 1, []uint64{1}, "abcdefgh", true},
		{"no room", "insert-step", "abcdefgh", 1, []uint64{1}, "abcdefgh", true},
		{"first", "drop-step", "abc", 0, nil, "bc", false},
		{"last", "drop-step", "abc", 2, nil, "ab", false},
		{"the only one", "drop-step", "a", 0, nil, "a", true},
		{"two", "swap-steps", "abc", 0, []uint64{pick(2, 3)}, "cba", false},
		{"with itself", "swap-steps", "abc", 1, []uint64{pick(1, 3)}, "abc", true},
		{"in front", "splice-steps", "abc", 1, []uint64{pick(1, 2), 0}, "aybc", false},
		{"behind", "splice-steps", "abc", 1, []uint64{pick(1, 2), 2}, "abyc", false},
		{"instead", "splice-steps", "abc", 1, []uint64{pick(0, 2), 1}, "axc", false},
	}
	for _, tt := range tests {
		t.Run(tt.op+", "+tt.name, func(t *testing.T) {
			src := lettered(tt.src)
			child, ok := scripted(t, tt.op, src, lettered("xy"), tt.at, tt.script...)
			if got := letters(child); got != tt.want || ok == tt.refused {
				t.Errorf("%s became %s, applied: %v, want %s", tt.src, got, ok, tt.want)
			}
			for i := range child.Steps { // whole steps have moved
				s := &child.Steps[i]
				if s.Packet[0] >= 'x' {
					continue
				}
				from := strings.IndexByte(tt.src, s.Packet[0])
				if len(s.Packet) != 20+from || s.CPU != int32(from) || len(s.Context) != 192 {
					t.Errorf("step %d: %+v", i, s)
				}
			}
		})
	}
}

func TestSwapBytesWithinCapacity(t *testing.T) {
	a, b := append(make([]byte, 0, 3), "ab"...), append(make([]byte, 0, 9), "wxyz"...)
	homeA, homeB := &a[0], &b[0]
	a, b = swapBytes(a, b)
	if string(a) != "wxy" || string(b) != "ab" || &a[0] != homeA || &b[0] != homeB {
		t.Errorf("%q and %q", a, b)
	}
}

// flags returns the TCP flags and the direction of each step.
func flags(in *corpus.Input) string {
	var b strings.Builder
	for i := range in.Steps {
		p := in.Steps[i].Packet
		for k, c := range []byte("FSRPA") {
			if p[47]>>k&1 != 0 {
				b.WriteByte(c)
			}
		}
		b.WriteByte("<>"[p[29]&1]) // the client's address ends in 1
	}
	return b.String()
}

func TestFollowFlow(t *testing.T) {
	segment := func(f byte) []byte {
		p := tcpPacket()
		p[47] = f
		return p
	}
	usual := uint64(1 << 4) // not out of order
	tests := []struct {
		name   string
		packet []byte
		script []uint64
		want   string
	}{
		{"syn, syn ack", segment(syn), []uint64{1, usual}, "S>SA<"},
		{"syn ack, ack", segment(syn | ack), []uint64{1, usual}, "SA>A<"},
		{"ack, data", segment(ack), []uint64{1, usual | 1}, "A>PA>"},
		{"ack, reset by the other", segment(ack), []uint64{1, usual | 3 | 4}, "A>R<"},
		{"fin, fin", segment(fin | ack), []uint64{1, usual | 1}, "FA>FA<"},
		{"out of order", segment(ack), []uint64{1, 0}, "A>S>"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			child, ok := scripted(t, "follow-flow", onePacket(tt.packet), nil, 0, tt.script...)
			if got := flags(child); !ok || got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
	udp := newStack("", packet.Ethernet, packet.IPv4, packet.UDP).bytes
	child, _ := scripted(t, "follow-flow", onePacket(udp), nil, 0, 0)
	if p := child.Steps[1].Packet; p[29] != 2 || p[33] != 1 || p[35] != 53 || p[5] != 1 {
		t.Errorf("reply is %x", p)
	}
	if _, ok := scripted(t, "follow-flow", onePacket(udp[:14]), nil, 0); ok {
		t.Error("followed a packet without a flow")
	}
}

func TestFollowedSequenceNumbers(t *testing.T) {
	p := tcpPacket()
	p[47] = syn
	child, _ := scripted(t, "follow-flow", onePacket(p), nil, 0, 1, 1<<4)
	next := child.Steps[1].Packet
	if seq, acked := load(next[38:], 4, true), load(next[42:], 4, true); seq != 0 || acked != load(p[38:], 4, true)+1 {
		t.Errorf("sequence %d, acknowledged %d", seq, acked)
	}
}

// A step that is inserted is a packet of some protocol, and the others stay as they are.
func TestInsertStep(t *testing.T) {
	for name, r := range map[string]uint64{"in front": 0, "behind": 1} {
		t.Run(name, func(t *testing.T) {
			child, ok := scripted(t, "insert-step", lettered("ab"), nil, 0, r, pick(1, freshSteps))
			if !ok || len(child.Steps) != 3 {
				t.Fatalf("applied: %v, steps %d", ok, len(child.Steps))
			}
			var l packet.Layout
			l.Parse(child.Steps[r].Packet, packet.Ethernet)
			if l.N < 3 {
				t.Errorf("%x has %d headers", child.Steps[r].Packet, l.N)
			}
			if rest := string([]byte{child.Steps[1-r].Packet[0], child.Steps[2].Packet[0]}); rest != "ab" {
				t.Errorf("the others are %q", rest)
			}
		})
	}
}

// All steps become packets of one flow, whose directions are drawn.
func TestCarryFlow(t *testing.T) {
	a, b, c := tcpPacket(), newStack("", packet.Ethernet, packet.IPv4, packet.UDP).bytes, newStack("", packet.Ethernet, packet.IPv4, packet.TCP).bytes
	copy(b[26:], "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c")
	arp := newStack("", packet.Ethernet, packet.ARP).bytes
	in := &corpus.Input{Steps: []corpus.Step{{Packet: a}, {Packet: b}, {Packet: arp}, {Packet: c}}}
	child, ok := scripted(t, "carry-flow", in, nil, 1, 0, 1, 1)
	const there, back = "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c", "\x05\x06\x07\x08\x01\x02\x03\x04\x0b\x0c\x09\x0a"
	flow := func(i int) string { return string(child.Steps[i].Packet[26:38]) }
	if !ok || flow(0) != back || flow(1) != there || flow(3) != there || !bytes.Equal(child.Steps[2].Packet, arp) {
		t.Errorf("applied: %v, flows %x, %x, %x, ARP %x", ok, flow(0), flow(1), flow(3), child.Steps[2].Packet)
	}
	if _, ok := scripted(t, "carry-flow", onePacket(a), nil, 0); ok {
		t.Error("carried a flow to no other step")
	}
}

func TestJoinFlow(t *testing.T) {
	a, b := tcpPacket(), newStack("", packet.Ethernet, packet.IPv4, packet.UDP).bytes
	copy(b[26:], "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c")
	in := &corpus.Input{Steps: []corpus.Step{{Packet: a}, {Packet: b}}}
	child, ok := scripted(t, "join-flow", in, nil, 0, pick(1, 2), 1)
	if got := child.Steps[0].Packet[26:38]; !ok || !bytes.Equal(got, b[26:38]) {
		t.Errorf("flow is %x", got)
	}
	child, ok = scripted(t, "join-flow", in, nil, 0, pick(1, 2), 0)
	if got := child.Steps[0].Packet[26:38]; !ok || string(got) != "\x05\x06\x07\x08\x01\x02\x03\x04\x0b\x0c\x09\x0a" {
		t.Errorf("reversed flow is %x", got)
	}
	if _, ok := scripted(t, "join-flow", in, nil, 0, pick(0, 2)); ok {
		t.Error("joined itself")
	}
}
