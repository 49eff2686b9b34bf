package triage

import "github.com/bpffuzz/bpffuzz/corpus"

// plain is what can be said of a built-in oracle without asking it: it objects to
// no step that ran, returned what returns accepts, and whose packet packets does.
type plain struct {
	// returns reports whether nothing is wrong with a return value; nil means ever.
	returns func(ret uint32) bool
	// packets has the last word on a packet; nil means that none matters.
	packets *checksums
}

// gate lets executions pass to which no built-in oracle objects, which is nearly
// all of them, in one look for all these oracles.
type gate struct {
	need corpus.Have
	// legal and kept have a bit for each return value from -1 on: that it is right,
	// and that the packet matters then. Programs hardly ever return another one.
	legal, kept uint64
	packets     *checksums
}

// newGate joins what is known of the oracles; others are left out.
func newGate(oracles []Oracle) gate {
	g := gate{legal: ^uint64(0)}
	for i := range oracles {
		o := &oracles[i]
		if o.plain == nil {
			continue
		}
		g.need |= o.Need
		if o.plain.packets != nil {
			g.packets = o.plain.packets
		}
		for bit := range uint32(64) {
			if o.plain.returns != nil && !o.plain.returns(bit-1) {
				g.legal &^= 1 << bit
			}
			if o.plain.packets != nil && o.plain.packets.judges(bit-1) {
				g.kept |= 1 << bit
			}
		}
	}
	return g
}

// passes reports whether none of the oracles objects; false means that they have
// to be asked.
func (g *gate) passes(in *corpus.Input, out *corpus.Outcome) bool {
	if g.need&^out.Have != 0 || len(out.Steps) > len(in.Steps) {
		return false
	}
	for i := range out.Steps {
		s := &out.Steps[i]
		bit := s.Ret + 1
		if s.Errno != 0 || bit > 63 || g.legal>>bit&1 == 0 {
			return false
		}
		if g.kept>>bit&1 != 0 && !g.packets.unharmed(&in.Steps[i], s) {
			return false
		}
	}
	return true
}
