package triage

import (
	"context"
	"slices"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// maxClimb bounds the runs that it takes to find a worse input.
const maxClimb = 20_000

// climber looks for an input that is worse in the sense of an oracle's weight.
type climber struct {
	v      *investigation
	weight func(*corpus.Outcome) uint64
	best   *corpus.Input
	heavy  uint64
	limit  int // of v.execs
}

// weigher returns the weight of the oracle that is pursued, nil where it has none.
func (v *investigation) weigher() func(*corpus.Outcome) uint64 {
	for i := range v.judge.oracles {
		if o := &v.judge.oracles[i]; o.Name == v.oracle {
			return o.weight
		}
	}
	return nil
}

// climb returns the worst input with the failure's key that is found near in, by
// changing one byte or length at a time for as long as that helps. It stops early, with
// what it has, when ctx ends.
func (v *investigation) climb(ctx context.Context, in *corpus.Input) (*corpus.Input, error) {
	weight := v.weigher()
	if weight == nil {
		return in, nil
	}
	_, out, err := v.look(ctx, in)
	if err != nil || out == nil {
		return in, err
	}
	c := &climber{v: v, weight: weight, best: in, heavy: weight(out), limit: v.execs + maxClimb}
	for before := uint64(0); before < c.heavy && c.goesOn(ctx); {
		before = c.heavy
		for i := range in.Steps {
			if err := c.step(ctx, i); err != nil {
				return nil, err
			}
		}
	}
	v.floor = c.heavy
	return c.best, nil
}

func (c *climber) goesOn(ctx context.Context) bool { return ctx.Err() == nil && c.v.execs < c.limit }

// step tries other lengths of a step's packet, then other bytes in it.
func (c *climber) step(ctx context.Context, i int) error {
	packet := func() []byte { return c.best.Steps[i].Packet }
	for _, grow := range [...]func(n int) int{
		func(n int) int { return 2 * n }, func(n int) int { return n + 256 }, func(n int) int { return n + 16 }, func(n int) int { return n + 1 },
	} {
		for c.goesOn(ctx) && len(packet()) > 0 {
			better, err := c.try(ctx, func(in *corpus.Input) { lengthen(&in.Steps[i], grow(len(packet()))) })
			if err != nil {
				return err
			}
			if !better {
				break
			}
		}
	}
	for at := 0; at < len(packet()) && c.goesOn(ctx); at++ {
		for _, value := range worthTrying(packet(), at) {
			if packet()[at] == value {
				continue
			}
			if _, err := c.try(ctx, func(in *corpus.Input) { in.Steps[i].Packet[at] = value }); err != nil {
				return err
			}
		}
	}
	return nil
}

// worthTrying returns values for a byte of a packet: its neighbours and extremes, and those
// of other bytes, since what is slow once is often slow wherever it stands.
func worthTrying(packet []byte, at int) []byte {
	const most = 24
	was := packet[at]
	values := []byte{0xff, 0, was + 1, was - 1, was << 1, was >> 1, was ^ 0x80}
	for _, b := range packet {
		if len(values) < most && !slices.Contains(values, b) {
			values = append(values, b)
		}
	}
	return values
}

// lengthen repeats the end of a packet until it has n bytes.
func lengthen(s *corpus.Step, n int) {
	tail := max(len(s.Packet)/2, 1)
	for len(s.Packet) < n {
		s.Packet = append(s.Packet, s.Packet[len(s.Packet)-tail])
	}
}

// try keeps a changed copy of the best input if it is worse in the same way.
func (c *climber) try(ctx context.Context, change func(*corpus.Input)) (better bool, err error) {
	if !c.goesOn(ctx) {
		return false, nil
	}
	candidate := c.best.Clone()
	change(candidate)
	if shape := c.v.opts.Shape; shape != nil && shape.Check(candidate) != nil {
		return false, nil
	}
	f, out, err := c.v.look(ctx, candidate)
	if err != nil || f == nil || !c.v.same(f, out) || c.weight(out) <= c.heavy {
		return false, err
	}
	c.best, c.heavy = candidate, c.weight(out)
	return true, nil
}
