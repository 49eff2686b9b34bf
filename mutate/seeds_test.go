package mutate

import (
	"bytes"
	"strings"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/packet"
)

func TestSeedsObeyTheShape(t *testing.T) {
	for name, shape := range testShapes() {
		t.Run(name, func(t *testing.T) {
			seeds := Seeds(shape)
			if len(seeds) == 0 {
				t.Fatal("no seeds")
			}
			for i, in := range seeds {
				if text := illegal(shape, in); text != "" {
					t.Errorf("seed %d: %s", i, text)
				}
			}
			for i, in := range Seeds(shape) {
				if !in.Equal(seeds[i]) {
					t.Fatalf("seed %d differs the second time", i)
				}
			}
		})
	}
}

func TestStacksAreWellFormed(t *testing.T) {
	seen := map[packet.Layer]bool{}
	for _, s := range allStacks() {
		var l packet.Layout
		l.Parse(s.bytes, packet.Ethernet)
		fixed := bytes.Clone(s.bytes)
		l.FixLengths(fixed)
		if !bytes.Equal(fixed, s.bytes) {
			t.Errorf("%s: wrong lengths", s.name)
		}
		for i, h := range l.Headers[:l.N] {
			seen[h.Layer] = true
			if l.Checksum(s.bytes, i) == packet.SumInvalid {
				t.Errorf("%s: wrong checksum in %s of %s", s.name, h.Layer, layerNames(s.bytes))
			}
			if h.Len < h.Layer.MinLen() {
				t.Errorf("%s: cut off in %s", s.name, h.Layer)
			}
		}
		if strings.Contains(s.name, "later") {
			continue
		}
		if last := l.Headers[l.N-1]; last.Layer == packet.Payload && last.Len > len(seedPayload)+16 {
			t.Errorf("%s: %d bytes of %s are not understood", s.name, last.Len, layerNames(s.bytes))
		}
	}
	for layer := packet.Ethernet; layer <= packet.Payload; layer++ {
		if !seen[layer] {
			t.Errorf("no stack has %s", layer)
		}
	}
}

func TestSeedsHaveTheLayersOfTemplates(t *testing.T) {
	want := []string{
		"ethernet/vlan/vlan/ipv4/tcp/payload", "ethernet/mpls/mpls/ipv6/udp/payload", "ethernet/ipv4/gre/mpls/ipv6/tcp/payload",
		"ethernet/ipv4/udp/geneve/ethernet/ipv4/icmp/payload", "ethernet/ipv4/udp/gtpu/ipv4/tcp/payload",
		"ethernet/ipv6/hopbyhop/destopts/routing/fragment/udp/payload", "ethernet/ipv6/routing/ipv6/tcp/payload",
		"ethernet/ipv6/gre/ipv4/udp/payload", "ethernet/ipv4/icmp/ipv4/udp/payload", "ethernet/vlan/arp",
	}
	have := map[string]bool{}
	for _, s := range allStacks() {
		have[layerNames(s.bytes)] = true
	}
	for _, names := range want {
		if !have[names] {
			t.Errorf("no stack is %s", names)
		}
	}
}

func TestDictionaryChoosesFirstSeeds(t *testing.T) {
	for _, tt := range []struct {
		name, first string
		dictionary  [][]byte
	}{
		{"nothing known", "ethernet/ipv4/tcp/payload", nil},
		{"ipv6 and udp", "ethernet/ipv6/udp/payload", [][]byte{{0xdd, 0x86}, {17, 0, 0, 0}, {0x86, 0xdd}}},
		{"arp", "ethernet/arp", [][]byte{{0, 0, 0x08, 0x06}}},
		{"vxlan over ipv4", "ethernet/ipv4/udp/payload", [][]byte{{0x08, 0x00}, {17}, {0x12, 0xb5}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			shape := &corpus.Shape{Packet: corpus.Bounds{Min: 14, Max: 1500}, Dictionary: tt.dictionary}
			if got := layerNames(Seeds(shape)[0].Steps[0].Packet); got != tt.first {
				t.Errorf("first seed is %s, want %s", got, tt.first)
			}
		})
	}
}

func TestDictionaryValuesAreInSeeds(t *testing.T) {
	shape := &corpus.Shape{Packet: corpus.Bounds{Min: 14, Max: 1500}, Dictionary: [][]byte{{0x11, 0x51}, {132}, {10, 9, 8, 7}}}
	port, proto, address := false, false, false
	for _, in := range Seeds(shape) {
		p := in.Steps[0].Packet
		port = port || len(p) > 37 && p[36] == 0x11 && p[37] == 0x51
		proto = proto || len(p) > 23 && p[12] == 8 && p[13] == 0 && p[23] == 132
		address = address || len(p) > 33 && bytes.Equal(p[30:34], []byte{10, 9, 8, 7})
	}
	if !port || !proto || !address {
		t.Errorf("port %v, protocol %v, address %v", port, proto, address)
	}
}

func TestConversations(t *testing.T) {
	shape := &corpus.Shape{Packet: corpus.Bounds{Min: 14, Max: 1500}, MaxSteps: 4}
	want := map[string]bool{"S>SA<A>PA>": false, "S>RA<": false}
	for _, in := range Seeds(shape) {
		if len(in.Steps) < 2 || layerNames(in.Steps[0].Packet) != "ethernet/ipv4/tcp/payload" {
			continue
		}
		want[flags(in)] = true
	}
	for talk, found := range want {
		if !found {
			t.Errorf("no seed is %s", talk)
		}
	}
}

func TestContextSeeds(t *testing.T) {
	shape := testShapes()["syscall"]
	marks := map[uint64]bool{}
	for _, in := range Seeds(shape) {
		if c := in.Steps[0].Context; len(c) > 0 {
			marks[getField(c, &shape.Context[0])] = true
		}
	}
	if !marks[1] || !marks[0xff] {
		t.Errorf("marks of seeds: %v", marks)
	}
}

func TestConform(t *testing.T) {
	shape := testShapes()["tc"]
	bad := make([]byte, 300)
	for i := range bad {
		bad[i] = 0xff
	}
	for _, tt := range []struct {
		name string
		in   *corpus.Input
		cut  bool
	}{
		{"short packet", onePacket([]byte{1, 2, 3}), false},
		{"short ipv6", onePacket([]byte{12: 0x86, 13: 0xdd}), false},
		{"long packet", onePacket(make([]byte, 9000)), true},
		{"many steps", &corpus.Input{Steps: lettered("aaaaaaaaaaaaaa").Steps}, true},
		{"long context", &corpus.Input{Steps: []corpus.Step{{Packet: make([]byte, 60), Context: bytes.Clone(bad)}}}, true},
		{"short context", &corpus.Input{Steps: []corpus.Step{{Packet: make([]byte, 60), Context: append(make([]byte, 0, 200), bad[:17]...)}}}, false},
		{"context without room", &corpus.Input{Steps: []corpus.Step{{Packet: make([]byte, 60), Context: bad[:17:17]}}}, true},
		{"metadata where there is none", &corpus.Input{Steps: []corpus.Step{{Packet: make([]byte, 60), Meta: make([]byte, 8)}}}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if cut := Conform(shape, tt.in); cut != tt.cut {
				t.Errorf("cut: %v", cut)
			}
			if text := illegal(shape, tt.in); text != "" {
				t.Error(text)
			}
		})
	}
}

func TestConformContext(t *testing.T) {
	shape := testShapes()["tc"]
	in := &corpus.Input{Steps: []corpus.Step{{Packet: make([]byte, 60), Context: bytes.Repeat([]byte{0xff}, 192)}}}
	Conform(shape, in)
	c := in.Steps[0].Context
	for name, want := range map[string]uint64{"mark": 0xffffffff, "priority": 9, "cb[0]": 300} {
		for _, f := range shape.Context {
			if f.Name == name && getField(c, &f) != want {
				t.Errorf("%s is %d, want %d", name, getField(c, &f), want)
			}
		}
	}
}

func TestDictionaryWords(t *testing.T) {
	var d dictionary
	d.add([][]byte{{0, 0, 0, 80}, {0x11, 0x51, 0, 0}, {0, 0, 0, 80}, {}, make([]byte, 1000)})
	if len(d.all) != 2 {
		t.Errorf("%d entries", len(d.all))
	}
	for _, w := range []struct {
		width int
		v     uint64
	}{{4, 80}, {2, 80}, {1, 80}, {2, 0x5111}} {
		found := false
		for _, v := range d.words[w.width] {
			found = found || v == w.v
		}
		if !found {
			t.Errorf("no %#x of %d bytes in %x", w.v, w.width, d.words)
		}
	}
}

func FuzzMutate(f *testing.F) {
	for _, s := range plainStacks() {
		f.Add(s.bytes, []byte{1, 2, 3}, uint64(1))
	}
	shape := testShapes()["tc"]
	m, dst := New(shape, Options{}), slots(shape)
	f.Fuzz(func(t *testing.T, src, other []byte, seed uint64) {
		m.Seed(seed)
		a := &corpus.Input{Steps: []corpus.Step{{Packet: src}, {Packet: other}}}
		b := onePacket(other)
		for range 20 {
			m.Mutate(dst, a, b)
			if text := illegal(shape, dst); text != "" {
				t.Fatal(text)
			}
		}
	})
}

// FuzzAdapt checks that any bytes are an input of every shape, and the same one again.
func FuzzAdapt(f *testing.F) {
	shapes := testShapes()
	for _, shape := range shapes {
		f.Add(corpus.Encode(Seeds(shape)[0]))
	}
	f.Add(corpus.Encode(&corpus.Input{
		Maps:  []corpus.MapEntry{{Map: "missing", Key: []byte{1}, Value: []byte{2}}},
		Steps: []corpus.Step{{Packet: make([]byte, 5000), Meta: make([]byte, 7), Context: make([]byte, 3)}},
	}))
	f.Fuzz(func(t *testing.T, b []byte) {
		in := corpus.Decode(b)
		for name, shape := range shapes {
			fitted, cut := Adapt(shape, in)
			if err := shape.Check(fitted); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if again, lost := Adapt(shape, fitted); lost || !again.Equal(fitted) {
				t.Fatalf("%s: adapted again it is %+v, it was %+v", name, again, fitted)
			}
			if got, err := Fit(shape, in); (err != nil) != cut || err == nil && !got.Equal(fitted) {
				t.Fatalf("%s: it is cut: %t, but Fit says %v", name, cut, err)
			}
		}
	})
}
