package mutate

import (
	"fmt"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/packet"
)

// testShapes are targets of several types, as fuzz/bpf describes them.
func testShapes() map[string]*corpus.Shape {
	dict := [][]byte{
		{0x08, 0x00},
		{0x00, 0x08},
		{0x86, 0xdd},
		{6},
		{17},
		{0x11, 0x51},
		{10, 9, 8, 7},
		{0, 0, 0, 0, 0, 0, 0, 80},
		[]byte("a longer entry than any field"),
		{0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9},
	}
	skb := []corpus.Field{
		{Name: "mark", Offset: 8, Size: 4, Values: []uint64{1, 0xff}},
		{Name: "priority", Offset: 32, Size: 4, Min: 2, Max: 9},
		{Name: "cb[0]", Offset: 48, Size: 4, Big: true, Max: 300},
		{Name: "tstamp", Offset: 152, Size: 8, Values: []uint64{1 << 40}},
		{Name: "wire_len", Offset: 160, Size: 1, Min: 3},
		{Name: "outside", Offset: 190, Size: 8},
	}
	return map[string]*corpus.Shape{
		"xdp": {
			Type: "xdp", Packet: corpus.Bounds{Min: 14, Max: 3520}, Meta: corpus.Bounds{Max: 32},
			ContextSize: 24, Context: skb[:1], Dictionary: dict, MaxSteps: 1,
		},
		"tc": {
			Type: "sched_cls", Packet: corpus.Bounds{Min: 14, Max: 3712}, MinIPv4: 34, MinIPv6: 54,
			ContextSize: 192, Context: skb, Dictionary: dict, MaxSteps: 8,
		},
		"netfilter":      {Type: "netfilter", Packet: corpus.Bounds{Min: 34, Max: 1000}, NoResult: true, MaxSteps: 3},
		"short":          {Type: "xdp", Packet: corpus.Bounds{Min: 14, Max: 60}, MinIPv4: 34, MinIPv6: 54, Meta: corpus.Bounds{Min: 4, Max: 7}},
		"syscall":        {Type: "syscall", ContextSize: 192, Context: skb, Dictionary: dict},
		"raw_tracepoint": {Type: "raw_tracepoint", CPUs: 4, ContextSize: 8, Context: []corpus.Field{{Name: "arg", Size: 8}}, MaxSteps: 70},
		"nothing":        {Type: "tracing"},
	}
}

// slots makes an input with room for steps, as a batch does.
func slots(shape *corpus.Shape) *corpus.Input {
	steps := make([]corpus.Step, max(shape.MaxSteps, 1))
	for i := range steps {
		steps[i] = corpus.Step{
			Packet:  make([]byte, 0, shape.Packet.Max),
			Meta:    make([]byte, 0, shape.Meta.Max),
			Context: make([]byte, 0, shape.ContextSize),
		}
	}
	return &corpus.Input{Steps: steps[:0]}
}

// illegal says what of the shape an input breaks, or "".
func illegal(shape *corpus.Shape, in *corpus.Input) string {
	if n := len(in.Steps); n < 1 || n > max(shape.MaxSteps, 1) {
		return fmt.Sprintf("%d steps", n)
	}
	for i := range in.Steps {
		s := &in.Steps[i]
		if n := len(s.Packet); n < shape.Packet.Min || n > shape.Packet.Max || n < minPacket(shape, s.Packet) {
			return fmt.Sprintf("step %d: packet of %d bytes: %x", i, n, s.Packet[:min(n, 64)])
		}
		if n := len(s.Meta); n%4 != 0 || n < shape.Meta.Min || n > shape.Meta.Max {
			return fmt.Sprintf("step %d: %d bytes of metadata", i, n)
		}
		if text := illegalContext(shape, s.Context); text != "" {
			return fmt.Sprintf("step %d: %s", i, text)
		}
	}
	return ""
}

func illegalContext(shape *corpus.Shape, context []byte) string {
	if n := len(context); n != 0 && n != shape.ContextSize {
		return fmt.Sprintf("context of %d bytes", n)
	}
	if len(context) == 0 {
		return ""
	}
	rest := append([]byte(nil), context...)
	for _, f := range legalFields(shape) {
		v := getField(context, &f)
		if v < f.Min || f.Max != 0 && v > f.Max {
			return fmt.Sprintf("%s = %d", f.Name, v)
		}
		putField(rest, &f, 0)
	}
	for i, c := range rest {
		if c != 0 {
			return fmt.Sprintf("byte %d of the context is %d", i, c)
		}
	}
	return ""
}

// evolve mutates generation after generation, each child from random parents of
// the last ones, so that operators meet what other operators made.
func evolve(t testing.TB, shape *corpus.Shape, seed uint64, rounds int, visit func(child *corpus.Input)) {
	m := New(shape, Options{Seed: seed, Dictionary: [][]byte{{0xde, 0xad, 0xbe, 0xef}}})
	parents := Seeds(shape)
	if len(parents) == 0 {
		t.Fatal("no seeds")
	}
	pick := source{}
	pick.seed(seed + 1)
	dst := slots(shape)
	for range rounds {
		src, other := parents[pick.below(len(parents))], parents[pick.below(len(parents))]
		if pick.oneIn(8) {
			other = nil
		}
		m.Mutate(dst, src, other)
		visit(dst)
		if pick.oneIn(4) {
			parents[pick.below(len(parents))] = dst.Clone()
		}
	}
}

func TestChildrenObeyTheShape(t *testing.T) {
	for name, shape := range testShapes() {
		t.Run(name, func(t *testing.T) {
			evolve(t, shape, 1, 30000, func(child *corpus.Input) {
				if text := illegal(shape, child); text != "" {
					t.Fatal(text)
				}
			})
		})
	}
}

func TestChildrenOfIllegalParentsObeyTheShape(t *testing.T) {
	for name, shape := range testShapes() {
		t.Run(name, func(t *testing.T) {
			m := New(shape, Options{})
			dst := slots(shape)
			huge := &corpus.Input{Steps: make([]corpus.Step, 100)}
			for i := range huge.Steps {
				p := make([]byte, 5000-i*50)
				if len(p) > 14 {
					p[12], p[13] = 0x08, 0
				}
				huge.Steps[i] = corpus.Step{Packet: p, Meta: make([]byte, 77), Context: make([]byte, 5)}
			}
			tiny := &corpus.Input{Steps: []corpus.Step{{Packet: []byte{1}, Meta: []byte{1}, Context: []byte{1}}}}
			for _, src := range []*corpus.Input{huge, tiny, {}} {
				for range 1000 {
					m.Mutate(dst, src, huge)
					if text := illegal(shape, dst); text != "" {
						t.Fatal(text)
					}
				}
			}
		})
	}
}

func TestMutateKeepsBuffersAndParents(t *testing.T) {
	shape := testShapes()["tc"]
	m := New(shape, Options{})
	dst := slots(shape)
	all := dst.Steps[:cap(dst.Steps)]
	src, other := Seeds(shape)[0], Seeds(shape)[30]
	src.Steps = append(src.Steps, other.Clone().Steps...)
	before, beforeOther := src.Clone(), other.Clone()
	var homes []*byte
	for i := range all {
		homes = append(homes, &all[i].Packet[:1][0])
	}
	for range 20000 {
		m.Mutate(dst, src, other)
		for i := range all {
			if &all[i].Packet[:1][0] != homes[i] || cap(all[i].Packet) != shape.Packet.Max {
				t.Fatalf("buffer of step %d has moved", i)
			}
		}
	}
	if !src.Equal(before) || !other.Equal(beforeOther) {
		t.Error("a parent was written")
	}
}

func TestSameSeedSameChildren(t *testing.T) {
	shape := testShapes()["tc"]
	run := func(seed uint64) (children []*corpus.Input) {
		evolve(t, shape, seed, 500, func(child *corpus.Input) { children = append(children, child.Clone()) })
		return children
	}
	a, b, c := run(7), run(7), run(8)
	different := 0
	for i := range a {
		if !a[i].Equal(b[i]) {
			t.Fatalf("child %d differs between two runs", i)
		}
		if !a[i].Equal(c[i]) {
			different++
		}
	}
	if different < len(a)/2 {
		t.Errorf("only %d of %d children differ for another seed", different, len(a))
	}
}

func TestReseedingStartsOver(t *testing.T) {
	shape := testShapes()["xdp"]
	src := Seeds(shape)[0]
	m, dst := New(shape, Options{Seed: 3}), slots(shape)
	m.Mutate(dst, src, nil)
	first := dst.Clone()
	for range 10 {
		m.Mutate(dst, Seeds(shape)[1], src)
	}
	m.Seed(3)
	m.Mutate(dst, src, nil)
	if !dst.Equal(first) {
		t.Error("the same seed gave another child")
	}
}

// TestMostChildrenAreNew bounds the share of executions that repeat the parent.
func TestMostChildrenAreNew(t *testing.T) {
	for _, name := range []string{"xdp", "tc", "syscall"} {
		shape := testShapes()[name]
		m, dst, src := New(shape, Options{}), slots(shape), Seeds(shape)[1]
		same := 0
		const n = 20000
		for range n {
			m.Mutate(dst, src, nil)
			if dst.Equal(src) {
				same++
			}
		}
		if same > n/10 {
			t.Errorf("%s: %d of %d children equal their parent", name, same, n)
		}
	}
}

// TestMostChildrenAreConsistent is what the fix-up is for; a share must not be.
func TestMostChildrenAreConsistent(t *testing.T) {
	shape := testShapes()["xdp"]
	m, dst := New(shape, Options{}), slots(shape)
	seeds := Seeds(shape)
	invalid := 0
	const n = 20000
	for i := range n {
		m.Mutate(dst, seeds[i%len(seeds)], nil)
		p := dst.Steps[0].Packet
		var l packet.Layout
		l.Parse(p, packet.Ethernet)
		for k := range l.N {
			if l.Checksum(p, k) == packet.SumInvalid {
				invalid++
				break
			}
		}
	}
	if invalid < n/50 || invalid > n/4 {
		t.Errorf("%d of %d children have a wrong checksum", invalid, n)
	}
}

func TestMutateDoesNotAllocate(t *testing.T) {
	for name, shape := range testShapes() {
		t.Run(name, func(t *testing.T) {
			m, dst, seeds := New(shape, Options{}), slots(shape), Seeds(shape)
			i := 0
			if n := testing.AllocsPerRun(5000, func() {
				m.Seed(uint64(i))
				m.Mutate(dst, seeds[i%len(seeds)], seeds[i*7%len(seeds)])
				i++
			}); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

func TestEveryOperatorIsChosen(t *testing.T) {
	shape := testShapes()["tc"]
	shape.Meta.Max, shape.CPUs, shape.ChanceSize, shape.Faults = 32, 2, 64, make([]corpus.FaultSite, 3)
	shape.Maps = fuzzedShape().Maps
	m := New(shape, Options{})
	if len(m.ops) != len(operators()) {
		t.Errorf("%d operators of %d apply to a shape that has everything", len(m.ops), len(operators()))
	}
	count := make([]int, len(m.ops))
	for _, i := range m.choice {
		count[i]++
	}
	for i, op := range m.ops {
		if count[i] == 0 {
			t.Errorf("%s is never chosen", op.name)
		}
	}
}

func BenchmarkMutate(b *testing.B) {
	shape := testShapes()["xdp"]
	src := onePacket(newStack("", packet.Ethernet, packet.IPv4, packet.TCP).bytes[:64])
	fix(src.Steps[0].Packet)
	other := onePacket(newStack("", packet.Ethernet, packet.IPv6, packet.UDP).bytes)
	m, dst := New(shape, Options{Seed: 1}), slots(shape)
	b.ReportAllocs()
	for b.Loop() {
		m.Mutate(dst, src, other)
	}
}

// BenchmarkMutateParents makes eight children of each seed in turn, which are of
// 42 to 142 bytes.
func BenchmarkMutateParents(b *testing.B) {
	shape := testShapes()["xdp"]
	parents := Seeds(shape)
	m, dst := New(shape, Options{Seed: 1}), slots(shape)
	i := 0
	for b.Loop() {
		m.Mutate(dst, parents[i>>3%len(parents)], parents[i%len(parents)])
		i++
	}
}

func BenchmarkMutateCopyOnly(b *testing.B) {
	shape := testShapes()["xdp"]
	src := onePacket(newStack("", packet.Ethernet, packet.IPv4, packet.TCP).bytes[:64])
	dst := slots(shape)
	for b.Loop() {
		dst.CopyFrom(src)
	}
}

// BenchmarkOperator shows what each operator costs, copy of the source included.
func BenchmarkOperator(b *testing.B) {
	shape := testShapes()["tc"]
	shape.Meta.Max, shape.CPUs, shape.ChanceSize, shape.Faults = 32, 2, 64, make([]corpus.FaultSite, 3)
	src := onePacket(newStack("", packet.Ethernet, packet.IPv4, packet.TCP).bytes[:64])
	other := onePacket(newStack("", packet.Ethernet, packet.IPv6, packet.UDP).bytes)
	m, dst := New(shape, Options{Seed: 1}), slots(shape)
	for i := range m.ops {
		b.Run(m.ops[i].name, func(b *testing.B) {
			for b.Loop() {
				dst.CopyFrom(src)
				m.begin(dst, other)
				m.recall(src)
				m.ops[i].apply(m, &dst.Steps[0])
			}
		})
	}
}
