package triage

import (
	"fmt"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// newPieces compares an input whose packets lie in one piece with the same in two, as
// drivers hand over large packets: a program that takes such is to do the same with both.
func newPieces(shape *corpus.Shape) Relation {
	lives := newSurvival(shape)
	return Relation{
		Name: "linear-frags", Need: corpus.HaveRet | corpus.HavePacket | corpus.HaveContext, When: Sampled,
		Twin: func(dst, src *corpus.Input, _ *corpus.Outcome) bool {
			found := false
			for i := range src.Steps {
				found = found || len(src.Steps[i].Packet) > corpus.FirstPiece
			}
			if found {
				*dst = *withFlags(src, corpus.InPieces)
			}
			return found
		},
		Judge: func(a, b *corpus.Outcome) error {
			for i := range min(len(a.Steps), len(b.Steps)) {
				if lives.gone(&a.Steps[i], &b.Steps[i]) {
					continue
				}
				if err := samePieces(shape, &a.Steps[i], &b.Steps[i]); err != nil {
					return fmt.Errorf("step %d, in one piece and then in two: %w", i, err)
				}
			}
			return nil
		},
	}
}

// samePieces is sameStep without the context, which says how long the pieces are, and for
// kernels that take packets in one piece only.
func samePieces(shape *corpus.Shape, a, b *corpus.StepOutcome) error {
	if b.Errno != 0 {
		return nil
	}
	one, two := *a, *b
	one.Context, two.Context = nil, nil
	return sameStep(shape, &one, &two)
}
