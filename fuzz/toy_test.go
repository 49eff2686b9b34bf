package fuzz

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

// toy is a target whose program is a Go function.
type toy struct {
	shape corpus.Shape
	table cover.Table
	prog  func(r *toyRun, packet []byte) uint32
	calls int // of Compare
	// shared has the inputs of a batch share state, as those of a kernel's batch do.
	shared bool
	have   corpus.Have // that Alone records besides the usual
}

// comparing makes the toy's executors tell what they compare: comparison i has edges
// 2i+1, not taken, and 2i+2, taken.
func (t *toy) comparing(sites ...cover.Comparison) *toy {
	for i := range sites {
		if sites[i].Size == 0 {
			sites[i].Size = 8
		}
		sites[i].Fall, sites[i].Taken = 2*i+1, 2*i+2
	}
	t.table.Comparisons = sites
	return t
}

// newToy returns a target with n edges.
func newToy(n int, prog func(r *toyRun, packet []byte) uint32) *toy {
	t := &toy{prog: prog, shape: corpus.Shape{
		Program: "toy", Type: "xdp", Packet: corpus.Bounds{Min: 14, Max: 200}, MaxSteps: 4,
		Verdicts: []corpus.Verdict{{Value: 1, Name: "XDP_DROP"}, {Value: 2, Name: "XDP_PASS"}}, Closed: true,
	}}
	t.table.Probes = n
	for i := range n {
		t.table.Edges = append(t.table.Edges, cover.Edge{
			ID: uint64(i + 1), Func: "toy", Kind: cover.Taken, From: i, To: i + 1, Probe: i,
			FromPos: cover.Pos{File: "toy.go", Line: i + 1}, ToPos: cover.Pos{File: "toy.go", Line: i + 2},
		})
	}
	return t
}

func (t *toy) Shape() *corpus.Shape { return &t.shape }
func (t *toy) Table() *cover.Table  { return &t.table }

func (t *toy) NewExecutor(int) (Executor, error) {
	e := &toyExecutor{
		toy: t, batch: NewBatch(64, t.shape.MaxSteps, Room{Packet: t.shape.Packet.Max}),
		run: toyRun{cover: make([]byte, t.table.Len()), state: map[string]int{}, sites: t.table.Comparisons},
	}
	if len(t.table.Comparisons) > 0 {
		return &toyComparer{e}, nil
	}
	return e, nil
}

// toyComparer is an executor that can tell what a run compared.
type toyComparer struct{ *toyExecutor }

func (e *toyComparer) Compare(ctx context.Context, in *corpus.Input, dst []cover.Compared) ([]cover.Compared, error) {
	e.toy.calls++
	e.run.compared, e.run.keys = map[int]cover.Compared{}, nil
	if _, err := e.Alone(ctx, in, 0); err != nil {
		return nil, err
	}
	for i := range e.toy.table.Comparisons {
		if c, ok := e.run.compared[i]; ok {
			dst = append(dst, c)
		}
	}
	e.run.compared = nil
	return dst, nil
}

func (e *toyComparer) Keys(dst []cover.Lookup) []cover.Lookup { return append(dst, e.run.keys...) }

// toyRun is what a program sees.
type toyRun struct {
	cover []byte
	trace []int
	state map[string]int // from the start of an input
	keep  map[string]int // from the start of the executor: state that Recreate alone resets
	out   []byte

	sites    []cover.Comparison
	compared map[int]cover.Compared // nil where nobody asks
	keys     []cover.Lookup
	step     int
}

// lookup asks a map of the shape for a key.
func (r *toyRun) lookup(m *corpus.MapShape, key []byte) bool {
	found := slices.ContainsFunc(m.Keys, func(k []byte) bool { return bytes.Equal(k, key) })
	if r.compared != nil {
		r.keys = append(r.keys, cover.Lookup{Map: m.Name, Key: bytes.Clone(key), Found: found})
	}
	return found
}

// compare is a branch of the program.
func (r *toyRun) compare(site int, a, b uint64) bool {
	if r.compared != nil {
		r.compared[site] = cover.Compared{Site: site, Step: r.step, A: a, B: b}
	}
	c := &r.sites[site]
	if c.Holds(a, b) {
		r.hit(c.Taken)
		return true
	}
	r.hit(c.Fall)
	return false
}

func (r *toyRun) hit(edge int) {
	r.cover[edge] = 1
	r.trace = append(r.trace, edge)
}

type toyExecutor struct {
	toy    *toy
	batch  *Batch
	run    toyRun
	closed bool
	order  []int
	alone  corpus.Outcome
}

func (e *toyExecutor) Describe() string { return "toy" }
func (e *toyExecutor) Batch() *Batch    { return e.batch }
func (e *toyExecutor) Cover() []byte    { return e.run.cover }
func (e *toyExecutor) Close() error     { e.closed = true; return nil }

func (e *toyExecutor) Recreate(context.Context) error {
	e.run.keep = nil
	return nil
}

func (e *toyExecutor) Run(context.Context) error {
	clear(e.run.cover)
	e.run.trace = e.run.trace[:0]
	clear(e.run.state)
	for i := range e.batch.Len() {
		if !e.toy.shared {
			clear(e.run.state)
		}
		e.input(e.batch.Input(i), e.batch.Outcome(i).Steps)
	}
	if e.toy.shared {
		e.order = e.order[:0]
		for i := range e.batch.Slots() {
			e.order = append(e.order, i)
		}
		e.batch.SetOrder(e.order)
	}
	return nil
}

func (e *toyExecutor) input(in *corpus.Input, outcomes []corpus.StepOutcome) {
	for i := range in.Steps {
		packet := in.Steps[i].Packet
		if n := len(packet); n < e.toy.shape.MinPacket(packet) || n > e.toy.shape.Packet.Max {
			panic(fmt.Sprintf("a packet of %d bytes reached the executor", n))
		}
		e.run.step = i
		e.run.out = append(outcomes[i].Packet[:0], packet...)
		outcomes[i].Ret = e.toy.prog(&e.run, packet)
		outcomes[i].Packet = e.run.out
	}
}

func (e *toyExecutor) Alone(_ context.Context, in *corpus.Input, _ corpus.Have) (*corpus.Outcome, error) {
	clear(e.run.cover)
	e.run.trace = e.run.trace[:0]
	clear(e.run.state)
	e.alone.Have = e.toy.have | corpus.HaveRet | corpus.HavePacket | corpus.HaveCover | corpus.HaveTrace
	e.alone.Steps = make([]corpus.StepOutcome, len(in.Steps))
	e.input(in, e.alone.Steps)
	e.alone.Cover, e.alone.Trace = e.run.cover, e.run.trace
	return &e.alone, nil
}
