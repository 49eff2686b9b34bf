// Package solve makes comparisons go the other way: it knows what a run compared
// and where the operands come from, and changes exactly the bytes that decide. It
// runs nothing itself and draws no random numbers, so what it proposes follows from
// the inputs that it is given.
package solve

import (
	"context"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

// Engine is what a Solver asks of the fuzzer. An error ends what the Solver was asked
// to do and is returned by it.
type Engine interface {
	// Compare runs an input from the initial state and returns what it compared and
	// which keys it looked up. Both are valid until the next call of the engine.
	Compare(ctx context.Context, in *corpus.Input) ([]cover.Compared, []cover.Lookup, error)
	// Try runs an input, judges it, and keeps it where it is of interest.
	Try(ctx context.Context, in *corpus.Input) error
	// Open reports whether one side of a comparison, a site of the table, has never
	// been seen: the branch taken or not taken.
	Open(site int, taken bool) bool
}

// Solver works for one target. It is not safe for concurrent use.
type Solver struct {
	shape  *corpus.Shape
	sites  []cover.Comparison
	engine Engine
	opts   Options
	state  []site
	hard   []*corpus.Input // inputs whose goals took more than the operands tell, the newest last
	sweeps []sweep
	ways   []way          // of the comparisons of the input that is worked on
	asked  map[string]int // inputs that were studied for keys, by map
	stats  Stats
}

// Stats counts what a Solver has done.
type Stats struct {
	// Solved counts comparisons that went the other way because the solver made them.
	Solved int
	// Runs counts what it asked the engine to run.
	Runs uint64
}

// site is what a Solver remembers of a comparison.
type site struct {
	last    cover.Compared
	climbs  int  // logs in a row in which one operand went up by one
	counter bool // it counts a loop
	met     [2]int
	studied [2]int // inputs that were taken apart for a side
}

// New makes a solver for the comparisons of a table and inputs of a shape, neither of
// which may change later.
func New(shape *corpus.Shape, table *cover.Table, engine Engine, opts Options) *Solver {
	n := len(table.Comparisons)
	return &Solver{
		shape: shape, sites: table.Comparisons, engine: engine, opts: opts,
		state: make([]site, n), ways: make([]way, n), asked: map[string]int{},
	}
}

// Stats returns the counts so far.
func (s *Solver) Stats() Stats { return s.stats }

// goal is a side of a comparison that an input came by and that no run has taken.
type goal struct {
	cover.Compared
	taken bool
}

const (
	// maxGoals bounds the goals of one input, so that a program with thousands of
	// comparisons does not stand still at each of its inputs.
	maxGoals = 256
	// maxTries bounds what is tried for one goal of one input.
	maxTries = 12
	// patience is how many inputs are used for one side of a comparison; after that,
	// one in so many is.
	patience = 48
)

// Solve tries what follows at once from the operands that in, a new input worth
// keeping, compares. What is not solved by that is left for Study.
func (s *Solver) Solve(ctx context.Context, in *corpus.Input) error {
	in = withChance(s.shape, in)
	compared, keys, err := s.twice(ctx, in)
	if err != nil {
		return err
	}
	more, err := s.bringEntries(ctx, in, keys)
	if err != nil {
		return err
	}
	if more != in {
		in = more
		if compared, keys, err = s.twice(ctx, in); err != nil {
			return err
		}
	}
	s.remember(compared)
	goals := s.goals(compared)
	left := s.missed(in, keys)
	for _, g := range goals {
		if s.uses(Operands) {
			err = s.direct(ctx, in, g)
		}
		if err != nil {
			return err
		}
		left = left || s.engine.Open(g.Site, g.taken)
	}
	if s.uses(Operands) {
		err = s.together(ctx, in, goals)
	}
	if err != nil {
		return err
	}
	if left && s.uses(studying) {
		s.later(in)
	}
	return nil
}

func (s *Solver) compare(ctx context.Context, in *corpus.Input) ([]cover.Compared, []cover.Lookup, error) {
	s.stats.Runs++
	compared, keys, err := s.engine.Compare(ctx, in)
	for i := range compared {
		s.state[compared[i].Site].note(compared[i])
	}
	return compared, keys, err
}

// maxClimbs is how many logs in a row may look like those of a loop counter.
const maxClimbs = 3

// note recognizes loop counters: solving them would only run the loop longer.
func (t *site) note(c cover.Compared) {
	up := c.A == t.last.A+1 && c.B == t.last.B || c.B == t.last.B+1 && c.A == t.last.A
	if t.climbs++; !up {
		t.climbs = 0
	}
	t.counter = t.counter || t.climbs > maxClimbs
	t.last = c
}

// goals returns what is to be solved of what an input compared.
func (s *Solver) goals(compared []cover.Compared) []goal {
	var goals []goal
	for _, c := range compared {
		taken := !s.sites[c.Site].Holds(c.A, c.B)
		if !s.engine.Open(c.Site, taken) {
			continue
		}
		t := &s.state[c.Site]
		met := &t.met[index(taken)]
		if *met++; t.counter || *met > patience && *met%patience != 0 {
			continue
		}
		if goals = append(goals, goal{c, taken}); len(goals) == maxGoals {
			break
		}
	}
	return goals
}

func index(taken bool) int {
	if taken {
		return 1
	}
	return 0
}

// direct tries the changes that follow from where the operands come from.
func (s *Solver) direct(ctx context.Context, in *corpus.Input, g goal) error {
	list := s.changes(in, g)
	for _, edits := range list {
		if err := s.try(ctx, in, g, edits); err != nil || !s.engine.Open(g.Site, g.taken) {
			return err
		}
	}
	if len(list) == 0 {
		return nil
	}
	return s.mend(ctx, in, g, list[0])
}

// try runs in with edits, once with lengths and checksums right and once as they are.
func (s *Solver) try(ctx context.Context, in *corpus.Input, g goal, edits []edit) error {
	changed := apply(s.shape, in, edits...)
	if changed == nil {
		return nil
	}
	for _, candidate := range [...]*corpus.Input{repaired(s.shape, changed, edits), changed} {
		if candidate == nil {
			continue
		}
		s.stats.Runs++
		err := s.engine.Try(ctx, candidate)
		solved := !s.engine.Open(g.Site, g.taken)
		if solved {
			s.stats.Solved++
		}
		if err != nil || solved {
			return err
		}
	}
	return nil
}

// changes lists changes of in that may reach a goal, the most promising first.
func (s *Solver) changes(in *corpus.Input, g goal) [][]edit {
	c := &s.sites[g.Site]
	var list [][]edit
	if c.Length {
		list = lengths(s.shape, in, c, g) // and then the bytes that say where it ends
	}
	for _, w := range wanted(c, g.Compared, g.taken) {
		o, now := &c.A, g.A
		if w.second {
			o, now = &c.B, g.B
		}
		if e, ok := s.resized(in, g.Step, o, now, c.Size, w); ok {
			list = append(list, []edit{e})
		}
		for _, p := range places(s.shape, in, g.Step, o, now, c.Size) {
			x := uint64(0)
			if b := p.bytes(in); b != nil {
				x = load(b)
			}
			if x, ok := invert(o.Transforms, o.Size, x, w.value, w.care); ok {
				list = append(list, []edit{integer(p, x)})
			}
		}
		if len(list) >= maxTries {
			break
		}
	}
	return list
}

// together tries the first change for every goal at once: a program may look at all
// of its comparisons before it decides.
func (s *Solver) together(ctx context.Context, in *corpus.Input, goals []goal) error {
	var all []edit
	n := 0
	for _, g := range goals {
		if list := s.changes(in, g); len(list) > 0 && s.sites[g.Site].Relation <= cover.NotEqual {
			all = append(all, list[0]...)
			n++
		}
	}
	if n < 2 {
		return nil
	}
	changed := apply(s.shape, in, all...)
	if changed == nil {
		return nil
	}
	s.stats.Runs++
	return s.engine.Try(ctx, changed)
}

// places returns where in has, for one of its steps, the bytes of an operand that is
// now so much.
func places(shape *corpus.Shape, in *corpus.Input, step int, o *cover.Operand, now uint64, size int) []place {
	if step >= len(in.Steps) {
		return nil
	}
	if o.Offset < 0 {
		return scan(in, step, o, now, size)
	}
	var list []place
	add := func(p place) {
		if b := p.bytes(in); b != nil && (o.Eval(load(b))^now)&widest(size) == 0 {
			list = append(list, p)
		}
	}
	p := place{index: step, at: o.Offset, size: o.Size}
	switch o.Source {
	case cover.PacketBytes:
		p.at += shape.Hidden
		add(p)
	case cover.MetaBytes:
		p.part = metaPart
		add(p)
	case cover.ContextField:
		if p.part = contextPart; len(in.Steps[step].Context) == 0 && p.at+p.size <= shape.ContextSize {
			return []place{p} // what a default context has there is not known here
		}
		add(p)
	case cover.MapValueBytes:
		for i := range in.Maps {
			if in.Maps[i].Map == o.Name {
				add(place{mapPart, i, o.Offset, o.Size})
			}
		}
	}
	return list
}

// resized returns the edit that gives the packet the length with which an operand,
// computed from it, is as wanted.
func (s *Solver) resized(in *corpus.Input, step int, o *cover.Operand, now uint64, size int, w want) (edit, bool) {
	if o.Source != cover.PacketLength || step >= len(in.Steps) {
		return edit{}, false
	}
	length := len(in.Steps[step].Packet)
	x := uint64(max(length-s.shape.Hidden, 0))
	if (o.Eval(x)^now)&widest(size) != 0 {
		return edit{}, false
	}
	y, ok := invert(o.Transforms, o.Size, x, w.value, w.care)
	next := length + int(y) - int(x)
	return edit{place: place{index: step}, grow: true, size: next}, ok && y <= uint64(s.shape.Packet.Max) && next >= 0
}

// maxScanned bounds the places of which one is taken for an operand's.
const maxScanned = 4

// scan returns where a packet has the value of an operand that lies at an offset which
// depends on the packet; nil where that are so many places that it says nothing.
func scan(in *corpus.Input, step int, o *cover.Operand, now uint64, size int) []place {
	if o.Source != cover.PacketBytes {
		return nil
	}
	var list []place
	p := place{index: step, size: o.Size}
	for p.at = 0; p.bytes(in) != nil; p.at++ {
		if (o.Eval(load(p.bytes(in)))^now)&widest(size) != 0 {
			continue
		}
		if list = append(list, p); len(list) > maxScanned {
			return nil
		}
	}
	return list
}

// lengths lists the packet lengths next to the one that a comparison asks for.
func lengths(shape *corpus.Shape, in *corpus.Input, c *cover.Comparison, g goal) [][]edit {
	upTo, length := g.A, g.B
	if c.Swapped {
		upTo, length = length, upTo
	}
	var list [][]edit
	for _, n := range [...]uint64{upTo, upTo + 1, upTo - 1} {
		a, b := upTo, n
		if c.Swapped {
			a, b = b, a
		}
		if c.Holds(a, b) != g.taken {
			continue
		}
		size := int64(len(in.Steps[g.Step].Packet)) + int64(n-length)
		if size >= 0 && size <= int64(shape.Packet.Max) {
			list = append(list, []edit{{place: place{index: g.Step}, grow: true, size: int(size)}})
		}
	}
	return list
}
