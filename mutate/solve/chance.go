package solve

import "github.com/bpffuzz/bpffuzz/corpus"

// withChance returns in with all the bytes for virtual helpers that its steps may
// have. Bytes that are missing count as zeros, so it is the same input, but one in
// which such bytes can be changed.
func withChance(shape *corpus.Shape, in *corpus.Input) *corpus.Input {
	if shape.ChanceSize == 0 {
		return in
	}
	full := in.Clone()
	for i := range full.Steps {
		s := &full.Steps[i]
		chance := make([]byte, max(shape.ChanceSize, len(s.Chance)))
		copy(chance, s.Chance)
		s.Chance = chance
	}
	return full
}
