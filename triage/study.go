package triage

import (
	"context"
	"math/bits"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// DefaultStudyExecs is how many runs of the program a study may take. A packet of
// three headers takes about 150.
const DefaultStudyExecs = 1000

// Study says which parts of a minimised input matter: those with which the failure
// goes away when they change, all else being equal.
type Study struct {
	// Parts are all parts that were changed, in the order of the input.
	Parts []Part
	// Nearest is the least change that makes the failure go away; nil where none does.
	Nearest *Change
	// Execs is how many runs of the program it took.
	Execs int
	// Cut says that there are parts that no run was left for.
	Cut bool
}

// Place says what of an input a part belongs to.
type Place uint8

// Places. A part of an entry of a map belongs to Input.Maps[Index], any other to
// Input.Steps[Index].
const (
	InPacket Place = iota
	InMeta
	InContext
	InChance
	InKey
	InValue
)

// String names the place as reports do.
func (p Place) String() string {
	return [...]string{"packet", "metadata", "context", "chance", "key", "value"}[p]
}

// Part is a field of an input, or a byte that is no field.
type Part struct {
	Place Place
	// Index is the number of the step, or of the map entry.
	Index int
	// Name is "ipv4.ttl" for a field of a packet, "mark" for one of a context or entry, and
	// "byte 37" for a byte.
	Name string
	// Bit is where the part begins, counted from the first bit of its place, Bits how wide it is.
	Bit, Bits int
	// Big says that the value is in network order, as are all fields of packets.
	Big bool
	// Value is what the part is.
	Value uint64
	// Matters says that the failure goes away with another value, of which Passes is the
	// one with the fewest changed bits.
	Matters bool
	Passes  uint64
}

// Bytes returns the part's range of bytes in its place, To not included.
func (p *Part) Bytes() (from, to int) { return p.Bit / 8, (p.Bit + p.Bits + 7) / 8 }

// Change is a part with another value, and what the input gives then.
type Change struct {
	Part
	// Input has the value Passes, Steps is what it gives.
	Input *corpus.Input
	Steps []StepSummary
}

// student changes one part of an input after the other.
type student struct {
	v     *investigation
	in    *corpus.Input
	study *Study
	limit int // of v.execs
	least int // bits that the nearest change has
	err   error
}

// studyInput finds out which parts of a finding's input matter. What ends it early, such
// as an interrupt, leaves the rest untold.
func (v *investigation) studyInput(ctx context.Context, f *Finding) {
	most := v.opts.StudyExecs
	if most == 0 {
		most = DefaultStudyExecs
	}
	if most < 0 || f.Input == nil || f.Reliability < f.Runs {
		return
	}
	before := v.execs
	s := &student{v: v, in: f.Input, study: &Study{}, limit: before + most, least: 1 << 30}
	for _, p := range parts(v.opts.Shape, f.Input) {
		if s.try(ctx, &p); s.err != nil {
			s.study.Cut = true
			break
		}
		s.study.Parts = append(s.study.Parts, p)
	}
	s.describe(context.WithoutCancel(ctx))
	s.study.Execs = v.execs - before
	f.Study = s.study
}

// try gives a part other values.
func (s *student) try(ctx context.Context, p *Part) {
	for _, value := range others(p) {
		n := bits.OnesCount64(value ^ p.Value)
		if p.Matters && n >= bits.OnesCount64(p.Passes^p.Value) {
			continue
		}
		changed := s.in.Clone()
		p.set(changed, value)
		passes := s.passes(ctx, changed)
		if s.err != nil {
			return
		}
		if !passes {
			continue
		}
		p.Matters, p.Passes = true, value
		if n <= s.least { // the last one of several: what comes first decides the way there
			s.least, s.study.Nearest = n, &Change{Part: *p, Input: changed}
		}
	}
}

// passes runs an input and reports whether the oracle is content with it.
func (s *student) passes(ctx context.Context, in *corpus.Input) bool {
	v := s.v
	if v.opts.Shape != nil && v.opts.Shape.Check(in) != nil {
		return false
	}
	if v.execs >= s.limit {
		s.err = errBudget
		return false
	}
	if s.err = ctx.Err(); s.err != nil {
		return false
	}
	f, _, err := v.look(ctx, in)
	s.err = err
	return err == nil && f == nil
}

// describe runs the nearest change once more, with nothing left of earlier runs, for what
// it gives.
func (s *student) describe(ctx context.Context) {
	c := s.study.Nearest
	if c == nil {
		return
	}
	f, _, err := s.v.afresh(ctx, c.Input)
	if err == nil && f == nil {
		var out *corpus.Outcome
		if out, err = s.v.rerun(ctx, c.Input, alone); err == nil {
			c.Steps = summarise(s.v.opts.Shape, c.Input, out)
			return
		}
	}
	s.study.Nearest = nil
}

// others returns values to try, those that are nearest first.
func others(p *Part) []uint64 {
	most := ^uint64(0) >> (64 - uint(p.Bits))
	var list []uint64
	for _, v := range [...]uint64{p.Value ^ 1, p.Value ^ 1<<(p.Bits-1), (p.Value + 1) & most, (p.Value - 1) & most, 0, most, ^p.Value & most} {
		fresh := v != p.Value
		for _, had := range list {
			fresh = fresh && v != had
		}
		if fresh {
			list = append(list, v)
		}
	}
	return list
}

// bytesOf returns the bytes that a part lies in.
func (p *Part) bytesOf(in *corpus.Input) []byte {
	switch p.Place {
	case InPacket:
		return in.Steps[p.Index].Packet
	case InMeta:
		return in.Steps[p.Index].Meta
	case InContext:
		return in.Steps[p.Index].Context
	case InChance:
		return in.Steps[p.Index].Chance
	case InKey:
		return in.Maps[p.Index].Key
	}
	return in.Maps[p.Index].Value
}
