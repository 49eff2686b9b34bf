package instrument_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
)

func seeded(n uint64) *rand.Rand { return rand.New(rand.NewPCG(n, n)) }

// packets makes frames that get past the first checks of a parser now and then.
func packets(rng *rand.Rand, n int) [][]byte {
	ethertypes := []uint16{0x0800, 0x0800, 0x86dd, 0x86dd, 0x8100, 0x88a8, 0x0806}
	protos := []byte{6, 17, 1, 58, 0, 43, 60, 44}
	list := make([][]byte, n)
	for i := range list {
		b := make([]byte, 64+rng.IntN(128))
		for j := range b {
			b[j] = byte(rng.Uint32())
			if rng.IntN(3) == 0 {
				b[j] &= 7
			}
		}
		at := 12
		for depth := 0; depth < 4; depth++ {
			e := ethertypes[rng.IntN(len(ethertypes))]
			b[at], b[at+1] = byte(e>>8), byte(e)
			if e != 0x8100 && e != 0x88a8 {
				break
			}
			at += 4
		}
		b[at+2] = b[at+2]&0xf0 | byte(4+rng.IntN(3))
		if rng.IntN(4) > 0 {
			b[at+2] = []byte{0x45, 0x60}[rng.IntN(2)]
		}
		b[at+2+9], b[at+2+6] = protos[rng.IntN(len(protos))], protos[rng.IntN(len(protos))]
		list[i] = b
	}
	return list
}

// subject is a loaded program with its coverage.
type subject struct {
	*ebpf.Collection
	name   string
	table  *cover.Table
	layout instrument.Layout
	value  []byte
}

// newSubject loads the only program of spec at a rung, or at the next that the kernel accepts.
func newSubject(t testing.TB, spec *ebpf.CollectionSpec, opts instrument.Options, rung instrument.Rung, variant instrument.Variant) *subject {
	t.Helper()
	plan, err := instrument.Analyze([]instrument.Program{program(spec)}, opts)
	if err != nil {
		t.Fatal(err)
	}
	c, step := climb(t, spec, plan, rung, variant)
	if c == nil {
		t.Fatalf("%s: the %s variant is accepted at no rung from %s on", program(spec).Name, variant, rung)
	}
	t.Cleanup(c.Close)
	return &subject{Collection: c, name: program(spec).Name, table: plan.Table(step.Rung), layout: plan.Layout(step.Rung, variant)}
}

// run runs one packet and reads what it recorded.
func (s *subject) run(t testing.TB, packet []byte) string {
	t.Helper()
	out := make([]byte, 4096)
	opts := &ebpf.RunOptions{Data: packet, DataOut: out}
	m := s.Maps[coverMap]
	if m != nil {
		if err := m.Put(uint32(0), make([]byte, s.layout.Size)); err != nil {
			t.Fatal(err)
		}
	}
	ret, err := s.Programs[s.name].Run(opts)
	if err != nil {
		return "error " + err.Error()
	}
	if m != nil {
		if s.value, err = m.LookupBytes(uint32(0)); err != nil {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf("%d %x", ret, opts.DataOut)
}

func (s *subject) counters() []byte { return s.value[s.layout.Counters:][:4*s.layout.Loops] }

// TestRunsAlike runs packets through each program plain, pruned, unpruned,
// traced and poisoned, and at each rung: verdict, bytes, edges and loop counts must agree.
func TestRunsAlike(t *testing.T) {
	needKernel(t)
	for _, object := range objects(t) {
		spec, err := ebpf.LoadCollectionSpec(object)
		if err != nil {
			continue // the other test says so
		}
		for _, name := range names(spec.Programs) {
			one := alone(spec, name)
			if one == nil || (one.Programs[name].Type != ebpf.XDP && one.Programs[name].Type != ebpf.SchedCLS) {
				continue
			}
			c, err := load(one)
			if err != nil {
				continue
			}
			t.Run(filepath.Base(object)+"/"+name, func(t *testing.T) { runsAlike(t, one, &subject{Collection: c, name: name}) })
			c.Close()
		}
	}
}

func runsAlike(t *testing.T, spec *ebpf.CollectionSpec, plain *subject) {
	opts := options(spec)
	pruned := newSubject(t, spec, opts, instrument.Full, instrument.Cover)
	marks := newSubject(t, spec, opts, instrument.Marks, instrument.Cover)
	eighth := newSubject(t, spec, opts, instrument.Eighth, instrument.Cover)
	trace := newSubject(t, spec, opts, instrument.Full, instrument.Trace)
	poisoned := newSubject(t, spec, opts, instrument.Full, instrument.Poison)
	counted := newSubject(t, spec, opts, instrument.Full, instrument.Count)
	opts.Unpruned = true
	full := newSubject(t, spec, opts, instrument.Full, instrument.Cover)
	rng := seeded(1)
	edges := map[int]bool{}
	for _, packet := range packets(rng, 150) {
		want := plain.run(t, packet)
		for _, s := range []*subject{pruned, marks, eighth, trace, poisoned, counted, full} {
			if got := s.run(t, packet); got != want {
				t.Fatalf("packet %x: plain %.40s, instrumented %.40s", packet, want, got)
			}
		}
		truth := full.table.Expand(nil, full.value)
		for i, hit := range pruned.table.Expand(nil, pruned.value) {
			if hit != truth[i] {
				t.Fatalf("packet %x: edge %s is hit: %v with pruning, %v without", packet, pruned.table.Edges[i].Label(), hit, truth[i])
			}
			if hit {
				edges[i] = true
			}
		}
		for i, hit := range eighth.table.Expand(nil, eighth.value) {
			if eighth.table.Edges[i].Skipped == "" && hit != truth[i] {
				t.Fatalf("packet %x: edge %s is hit: %v sampled, %v in truth", packet, eighth.table.Edges[i].Label(), hit, truth[i])
			}
		}
		if !bytes.Equal(pruned.counters(), full.counters()) || !bytes.Equal(marks.counters(), full.counters()) {
			t.Fatalf("packet %x: loop counts %x and %x, without pruning %x", packet, pruned.counters(), marks.counters(), full.counters())
		}
		checkTrace(t, trace, truth)
	}
	t.Logf("%d of %d edges", len(edges), len(pruned.table.Edges))
}

// checkTrace checks that cells are set for the edges that were hit, each with a
// number of its own.
func checkTrace(t *testing.T, s *subject, truth []bool) {
	t.Helper()
	seen := map[uint32]bool{}
	for n, edge := range s.layout.CellEdges {
		at := native(s.value[s.layout.Cells+4*n:])
		if (at != 0) != truth[edge] {
			t.Fatalf("edge %s: cell %d, hit %v", s.table.Edges[edge].Label(), at, truth[edge])
		}
		if at != 0 && seen[at] {
			t.Fatalf("edge %s: number %d is not its own", s.table.Edges[edge].Label(), at)
		}
		seen[at] = true
	}
}
