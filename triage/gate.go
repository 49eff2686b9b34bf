package triage

import "github.com/bpffuzz/bpffuzz/corpus"

// gated reports whether the gate knows of executions to which o does not object.
func (o *Oracle) gated() bool { return o.Returns != nil || o.packets != nil }

// gate lets executions pass to which none of the simple oracles objects, which is
// nearly all executions and oracles, in one look for all of these.
type gate struct {
	need corpus.Have
	// legal and kept have a bit for each return value from -1 on: that it is right,
	// and that the packet matters then. Programs hardly ever return another one.
	legal, kept uint64
	packets     *survival
	sums        bool // more is judged of packets than their lengths
}

// newGate joins what is known of the oracles; others are left out.
func newGate(oracles []Oracle) gate {
	g := gate{legal: ^uint64(0)}
	for i := range oracles {
		o := &oracles[i]
		if !o.gated() {
			continue
		}
		g.need |= o.Need
		if o.packets != nil {
			g.packets, g.sums = o.packets, g.sums || o.sums
		}
		for bit := range uint32(64) {
			if o.Returns != nil && !o.Returns(bit-1) {
				g.legal &^= 1 << bit
			}
			if o.packets != nil && o.packets.judges(bit-1) {
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
		if g.kept>>bit&1 != 0 && (g.sums || !g.packets.fits(&in.Steps[i], s)) && !g.packets.unharmed(&in.Steps[i], s) {
			return false
		}
	}
	return true
}
