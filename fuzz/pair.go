package fuzz

import (
	"fmt"
	"slices"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

// Pair is a Target that runs each input in two programs that should do the same, such as
// two builds of one. What they do is the old one's outcome; where the new one's differs,
// it has an event for each kind of difference, see Differences. Both guide the fuzzer: the
// edges of the table are the old one's, then the new one's. A Pair is immutable.
type Pair struct {
	was, now Target
	shape    corpus.Shape
	table    cover.Table
	globals  []global
	ignored  Ignored
}

// NewPair makes a target of two. They have to take the same inputs: the error says what
// keeps them from that. Maps that only one of them has, or that have other sizes in the
// other, are not compared, and inputs bring no entries of them.
func NewPair(was, now Target, ignored Ignored) (*Pair, error) {
	a, b := was.Shape(), now.Shape()
	if a.Type != b.Type || a.ContextSize != b.ContextSize || a.Payload != b.Payload {
		return nil, fmt.Errorf("comparing %s with %s: the one is %s, the other %s, which take different inputs", a.Program, b.Program, a.Type, b.Type)
	}
	p := &Pair{was: was, now: now, ignored: ignored, shape: joinShapes(a, b), table: joinTables(was.Table(), now.Table())}
	p.globals = sharedGlobals(a, b)
	if err := ignored.check(&p.shape, p.globals); err != nil {
		return nil, err
	}
	return p, nil
}

// Shape implements Target.
func (p *Pair) Shape() *corpus.Shape { return &p.shape }

// Table implements Target.
func (p *Pair) Table() *cover.Table { return &p.table }

// joinShapes describes the inputs that both programs take.
func joinShapes(a, b *corpus.Shape) corpus.Shape {
	s := *a
	s.Packet = bothBounds(a.Packet, b.Packet)
	s.Meta = bothBounds(a.Meta, b.Meta)
	s.MaxSteps = min(max(a.MaxSteps, 1), max(b.MaxSteps, 1))
	s.ChanceSize = max(a.ChanceSize, b.ChanceSize)
	s.Flags, s.Poison = a.Flags&b.Flags, a.Poison&b.Poison
	s.Claims = nil
	if len(a.Faults) != len(b.Faults) {
		s.Faults = nil // the n-th call of one is not the n-th of the other
	}
	s.Dictionary = append(slices.Clone(a.Dictionary), b.Dictionary...)
	s.Lasting = append(slices.Clone(a.Lasting), b.Lasting...)
	s.Maps = nil
	for i := range a.Maps {
		if other := mapShape(b, a.Maps[i].Name); other != nil && other.KeySize == a.Maps[i].KeySize && other.ValueSize == a.Maps[i].ValueSize {
			s.Maps = append(s.Maps, a.Maps[i])
		}
	}
	return s
}

func bothBounds(a, b corpus.Bounds) corpus.Bounds {
	return corpus.Bounds{Min: max(a.Min, b.Min), Max: min(a.Max, b.Max)}
}

func mapShape(s *corpus.Shape, name string) *corpus.MapShape {
	for i := range s.Maps {
		if s.Maps[i].Name == name {
			return &s.Maps[i]
		}
	}
	return nil
}

// joinTables has the probes of both tables one behind the other, then their loops.
func joinTables(a, b *cover.Table) cover.Table {
	t := cover.Table{
		Edges: slices.Clone(a.Edges), Loops: slices.Clone(a.Loops), Probes: a.Probes + b.Probes, Comparisons: slices.Clone(a.Comparisons),
	}
	shift := len(a.Edges)
	for _, e := range b.Edges {
		e.ID = ^e.ID // else it might be that of an edge of the other
		if e.Probe >= 0 {
			e.Probe += a.Probes
		}
		e.Via = shifted(e.Via, shift)
		t.Edges = append(t.Edges, e)
	}
	t.Loops = append(t.Loops, shifted(b.Loops, shift)...)
	for _, c := range b.Comparisons {
		if c.Fall >= 0 {
			c.Fall += shift
		}
		if c.Taken >= 0 {
			c.Taken += shift
		}
		t.Comparisons = append(t.Comparisons, c)
	}
	return t
}

func shifted(list []int, by int) []int {
	out := make([]int, len(list))
	for i, v := range list {
		out[i] = v + by
	}
	return out
}

// join writes the features of both programs in the order of the joint table.
func (p *Pair) join(dst, was, now []byte) {
	a, b := p.was.Table(), p.now.Table()
	n := copy(dst, was[:min(a.Probes, len(was))])
	n += copy(dst[n:], now[:min(b.Probes, len(now))])
	n += copy(dst[n:], loopsOf(was, a))
	copy(dst[n:], loopsOf(now, b))
}

func loopsOf(features []byte, t *cover.Table) []byte {
	return features[min(t.Probes, len(features)):min(t.Probes+len(t.Loops), len(features))]
}
