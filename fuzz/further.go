package fuzz

import (
	"context"
	"fmt"
	mathbits "math/bits"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

const (
	// defaultFurtherAfter is how many executions without a new edge are few.
	defaultFurtherAfter = 1_000_000
	// furtherEvery says that the outcomes of one batch in so many are looked through.
	furtherEvery = 4
	// furtherSample says that one input in so many is run alone for features that
	// batches do not show. Such a run costs as much as dozens in a batch.
	furtherSample = 4096
)

// further looks at more than edges when no new ones are found: a program of fifty
// edges has passed them all in seconds, and what it does with them is still to be seen.
type further struct {
	worker *worker
	on     bool
	newest uint64        // executions when the last edge or loop count was new
	tried  cover.Further // of batches; an input was run alone for each
	known  cover.Further // of inputs that ran alone
	rounds int
	found  []int // inputs of the batch that may have something new
	next   int   // inputs until the next one of the sample
}

// grown is told of each new edge or loop count.
func (f *further) grown() { f.newest = f.worker.execs.Load() }

// turn decides whether the next batch is looked at: when as many executions as it took
// to get here, and not just a few, brought no new edge.
func (f *further) turn() {
	opts := &f.worker.run.opts
	quiet := f.worker.execs.Load() - f.newest
	f.on = !opts.NoFurther && quiet >= max(opts.FurtherAfter, f.newest)
}

// note finds inputs of the batch that gave what none before did. It reads outcomes, so
// it comes before anything runs alone.
func (f *further) note(batch *Batch) {
	f.found = f.found[:0]
	if !f.on {
		return
	}
	if f.rounds++; f.rounds%furtherEvery != 0 {
		return
	}
	for i := range batch.Len() {
		var has cover.Further
		addResults(&has, batch.Input(i), batch.Outcome(i))
		if has.Adds(&f.tried) {
			f.tried.Merge(&has)
			f.found = append(f.found, i)
		}
	}
}

// look runs alone the inputs that note found, and those that the sample falls on.
func (f *further) look(ctx context.Context, batch *Batch) error {
	if !f.on {
		return nil
	}
	for _, i := range f.found {
		if err := f.try(ctx, batch.Input(i)); err != nil {
			return err
		}
	}
	for ; f.next < batch.Len(); f.next += 1 + int(f.worker.rng.Uint64()%(2*furtherSample-1)) {
		if err := f.try(ctx, batch.Input(f.next)); err != nil {
			return err
		}
	}
	f.next -= batch.Len()
	return nil
}

// try runs an input alone and keeps it if it has a further feature that is new.
func (f *further) try(ctx context.Context, in *corpus.Input) error {
	if ctx.Err() != nil {
		return nil
	}
	w := f.worker
	out, err := w.alone(ctx, in, corpus.HaveRet|corpus.HavePacket|corpus.HaveCover|corpus.HaveTrace)
	if err != nil {
		return err
	}
	if w.seen.Adds(out.Cover) {
		return w.keep(ctx, in, out.Cover)
	}
	has := furtherOf(w.run.target.Table(), in, out)
	if !has.Adds(&f.known) {
		return nil
	}
	f.known.Merge(&has)
	entry, added := w.run.corpus.AddFurther(in, out.Cover, &has)
	if !added {
		return nil // another worker was first
	}
	w.solve.entry(entry.Input)
	if err := w.judgeAlone(ctx, entry.Input); err != nil {
		return fmt.Errorf("judging a corpus entry with further features: %w", err)
	}
	return nil
}

// furtherOf returns the further features of an input that ran alone.
func furtherOf(t *cover.Table, in *corpus.Input, out *corpus.Outcome) (f cover.Further) {
	addResults(&f, in, out)
	for i := range out.Steps {
		if s := &out.Steps[i]; s.Errno == 0 {
			addOutput(&f, in.Steps[i].Packet, s.Packet)
		}
	}
	if n := len(out.Steps); n > 0 && out.Steps[n-1].Errno == 0 {
		f.AddTrace(t, out.Trace, out.Steps[n-1].Ret)
	}
	return f
}

// addResults adds what each step returned with how its packet's length changed.
func addResults(f *cover.Further, in *corpus.Input, out *corpus.Outcome) {
	for i := range out.Steps {
		if s := &out.Steps[i]; s.Errno == 0 {
			f.Set(cover.Results, uint64(s.Ret)<<8|uint64(magnitude(len(s.Packet)-len(in.Steps[i].Packet))))
		}
	}
}

// addOutput adds where the packet was changed; none where it was not.
func addOutput(f *cover.Further, before, after []byte) {
	first, count := -1, 0
	for i := range min(len(before), len(after)) {
		if before[i] != after[i] {
			if count++; first < 0 {
				first = i
			}
		}
	}
	if grown := magnitude(len(after) - len(before)); count > 0 || grown != 0 {
		f.Set(cover.Outputs, uint64(first+1)<<16|uint64(magnitude(count))<<8|uint64(grown))
	}
}

// magnitude returns the sign of n and its logarithm.
func magnitude(n int) uint8 {
	if n < 0 {
		return 0x80 | uint8(mathbits.Len(uint(-n)))
	}
	return uint8(mathbits.Len(uint(n)))
}
