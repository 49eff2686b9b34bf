package mutate

import "github.com/bpffuzz/bpffuzz/corpus"

// Operator changes inputs in a way of the caller's.
type Operator struct {
	// Name is for people.
	Name string
	// Weight is relative to those of the built-in operators, which have 230 between
	// them for a program that takes packets; 0 means 20, as for the strongest of them.
	Weight int
	// Apply changes one step in place and reports whether it could; false means that
	// it changed nothing. It stays within the capacity of the step's buffers, and
	// allocates nothing. Every random choice comes from r, so that a run can be
	// repeated. What the shape does not allow is put right afterwards, as are lengths
	// and checksums for most children. It is called by all workers at once.
	Apply func(r *Rand, s *corpus.Step) bool
}

// Rand gives an Operator its random numbers.
type Rand struct{ source *source }

// Uint64 returns a random number.
func (r *Rand) Uint64() uint64 { return r.source.next() }

// Below returns a random number in [0, n), and 0 for n <= 0.
func (r *Rand) Below(n int) int { return r.source.below(n) }

const ownWeight = 20

// own makes operators of the caller's.
func own(all []Operator) []operator {
	var ops []operator
	for _, op := range all {
		weight := op.Weight
		if weight <= 0 {
			weight = ownWeight
		}
		ops = append(ops, operator{op.Name, weight, 0, func(m *Mutator, s *corpus.Step) bool {
			m.caller.source = &m.rand
			if !op.Apply(&m.caller, s) {
				return false
			}
			m.stale()
			m.legalize(s)
			conformContext(m.fields, s.Context)
			return true
		}})
	}
	return ops
}
