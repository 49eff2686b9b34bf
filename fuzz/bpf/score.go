package bpf

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf/link"

	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
)

// Score implements fuzz.Scorer. Inputs that do not fit into batches have no scores.
func (b *batchExecutor) Score(ctx context.Context, scores []fuzz.Score) error {
	for i := range scores {
		scores[i].Input = -1
	}
	if err := b.openScorer(); err != nil {
		return err
	}
	if b.scorer == nil {
		return b.Run(ctx)
	}
	mem, cells := b.scorer.mem, b.scorer.layout.Scores
	native := binary.NativeEndian
	for i := range cells {
		cell := &cells[i]
		native.PutUint64(mem[cell.Off:], scores[cell.Site].Distance)
		native.PutUint32(mem[cell.IndexAt():], 0)
	}
	b.inst = b.scorer
	if err := b.run(ctx); err != nil {
		return err
	}
	for i := range cells {
		cell := &cells[i]
		if index := int(native.Uint32(mem[cell.IndexAt():])); index > 0 && index <= len(b.jobs) {
			scores[cell.Site] = fuzz.Score{Distance: native.Uint64(mem[cell.Off:]), Input: b.inputOf(b.jobs[index-1].slot)}
		}
	}
	return nil
}

// inputOf returns the input that a slot belongs to.
func (b *batchExecutor) inputOf(slot int) int {
	for i := range b.batch.Len() {
		if slot -= len(b.batch.Input(i).Steps); slot < 0 {
			return i
		}
	}
	return -1
}

// openScorer loads the variant that scores, with the first share of comparisons that the
// kernel accepts. Where there is none, scorer stays nil.
func (b *batchExecutor) openScorer() error {
	if b.scorerTried {
		return nil
	}
	b.scorerTried = true
	t := b.target()
	for _, scored := range []instrument.Rung{instrument.Full, instrument.Half, instrument.Quarter, instrument.Eighth} {
		if len(t.plan.CoverLayout(t.step.Rung, scored, b.hot.batch).Scores) == 0 {
			return nil
		}
		inst, err := t.loadScorer(b.hot, scored)
		if err == nil {
			b.scorer = inst
			return nil
		}
		if _, rejected := errors.AsType[*RejectedError](err); !rejected {
			return err
		}
	}
	return nil
}

// loadScorer loads the variant of hot that scores comparisons, over the same slots.
func (t *Target) loadScorer(hot *batchInstance, scored instrument.Rung) (*batchInstance, error) {
	spec, err := t.rewrittenBatch(hot.batch, scored)
	if err != nil {
		return nil, err
	}
	inst, err := t.instantiate(spec, t.plan.CoverLayout(t.step.Rung, scored, hot.batch), batchMap, hot.coll.Maps[batchMap])
	if err != nil {
		return nil, err
	}
	b := &batchInstance{batch: hot.batch, instance: inst, value: hot.value, shares: true}
	if b.batch.Packets != instrument.XDP {
		return b, nil
	}
	// The interface of the thread's namespace has its program already.
	where, err := kernel.Elsewhere(func() (err error) {
		b.attached, err = link.AttachXDP(link.XDPOptions{
			Program: inst.coll.Programs[t.program], Interface: lo, Flags: link.XDPGenericMode,
		})
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("attaching %q to the loopback interface of another private network namespace: %w%s", t.program, err, kernel.Explain(err)), b.Close())
	}
	b.also(where.Close)
	return b, nil
}

// Scored implements fuzz.Scorer.
func (b *batchExecutor) Scored() (sites []int, short string, err error) {
	if err := b.openScorer(); err != nil {
		return nil, "", err
	}
	if b.scorer != nil {
		for i := range b.scorer.layout.Scores {
			sites = append(sites, b.scorer.layout.Scores[i].Site)
		}
		slices.Sort(sites)
	}
	return sites, b.explainScores(len(sites)), nil
}

// explainScores says why fewer comparisons are scored than there would be at the top of
// the ladder; "" where none are missing.
func (b *batchExecutor) explainScores(scored int) string {
	t := b.target()
	all := len(t.plan.CoverLayout(t.step.Rung, instrument.Full, b.hot.batch).Scores)
	switch {
	case scored >= all:
		return ""
	case scored == 0:
		return "the kernel accepts no code of this program that scores how near comparisons are to going the other way: computed values are found by mutation alone"
	}
	return fmt.Sprintf("how near they are to going the other way is scored for %d of %d comparisons: with more the verifier's limits are near", scored, all)
}
