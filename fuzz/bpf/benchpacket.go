package bpf

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/packet"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/triage"
)

// The short run that looks for packets ends after so many executions, or where these
// take long, after a while.
const (
	scoutExecs = 100_000
	scoutTime  = 2 * time.Second
)

// BenchPacket is what is run where nothing is mutated.
type BenchPacket struct {
	Packet []byte
	// Edges of Total observable ones is what it covers.
	Edges, Total int
	// Inputs is how many inputs it was chosen from, which a run of Execs executions
	// had kept; 0 where the packet was given.
	Inputs int
	Execs  uint64
}

// scout has the fuzzer run for a short while, to find what the whole loop begins with,
// a step for each size, and which oracles object to nothing.
func (b *bencher) scout(ctx context.Context) error {
	result, err := fuzz.Run(ctx, b.target, fuzz.Options{
		Seed: b.opts.Seed, Execs: scoutExecs, Duration: scoutTime, Judge: triage.NewJudge(b.opts.Oracles, b.opts.Relations),
		Triage: triage.Options{Program: b.target.program, Table: b.target.table, Shape: b.target.shape},
	})
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("looking for packets to run: %w", err)
	}
	for _, e := range result.Entries {
		b.entries = append(b.entries, e.Input)
	}
	b.appoint(result.Findings)
	return b.choosePackets(ctx, result.Stats.Execs)
}

// appoint makes the judge of the oracles that found nothing.
func (b *bencher) appoint(findings []*triage.Finding) {
	objects := func(name string) bool {
		return slices.ContainsFunc(findings, func(f *triage.Finding) bool { return f.Oracle == name })
	}
	for _, f := range findings {
		b.note("left out: oracle %s, which objects to some packets: investigating them would be measured", f.Oracle)
	}
	oracles := slices.DeleteFunc(slices.Clone(b.opts.Oracles), func(o triage.Oracle) bool { return objects(o.Name) })
	relations := slices.DeleteFunc(slices.Clone(b.opts.Relations), func(r triage.Relation) bool { return objects(r.Name) })
	b.judge = triage.NewJudge(oracles, relations)
}

func (b *bencher) choosePackets(ctx context.Context, execs uint64) error {
	single := *b.target
	single.mode = executorSingle
	return single.withExecutor(func(e fuzz.Executor) error {
		for _, size := range b.opts.Sizes {
			chosen, step, err := b.choose(ctx, e, size)
			if err != nil {
				return err
			}
			if b.opts.Packet == nil {
				chosen.Inputs, chosen.Execs = len(b.entries), execs
			}
			b.steps = append(b.steps, step)
			b.report.Packets = append(b.report.Packets, chosen)
		}
		return nil
	})
}

// choose returns the candidate of that size that covers the most edges, the first of
// several.
func (b *bencher) choose(ctx context.Context, e fuzz.Executor, size int) (best BenchPacket, step corpus.Step, err error) {
	best.Edges = -1
	for _, s := range b.candidates(size) {
		out, err := e.Alone(ctx, &corpus.Input{Steps: []corpus.Step{s}}, corpus.HaveRet|corpus.HaveCover)
		if err != nil {
			return best, step, fmt.Errorf("looking for packets to run: %w", err)
		}
		if out.Steps[0].Errno != 0 {
			continue
		}
		if n := b.target.table.Count(out.Cover); n > best.Edges {
			best, step = BenchPacket{Packet: s.Packet, Edges: n, Total: b.target.table.Observable()}, s
		}
	}
	if best.Edges < 0 {
		return best, step, fmt.Errorf("the kernel runs program %q with none of %d inputs of %d bytes: give another packet or size", b.target.program, len(b.candidates(size)), size)
	}
	return best, step, nil
}

// candidates returns steps of that size: of what the short run kept, the packets as
// they are with zeros behind them, and with lengths that say what they have become.
func (b *bencher) candidates(size int) (all []corpus.Step) {
	if p := b.opts.Packet; p != nil {
		return []corpus.Step{{Packet: grown(p, size)}}
	}
	row := &b.target.row
	for _, in := range b.entries {
		for i := range in.Steps {
			s := corpus.Step{Packet: grown(in.Steps[i].Packet, size)}
			if row.noPacket || row.needsContext || row.trigger != nil {
				s.Context = in.Steps[i].Context
			}
			all = append(all, s)
			if size > 0 && !b.target.shape.Payload {
				s.Packet = lengthened(s.Packet)
				all = append(all, s)
			}
		}
	}
	return all
}

// grown returns a copy of size bytes.
func grown(p []byte, size int) []byte {
	q := make([]byte, size)
	copy(q, p)
	return q
}

// lengthened returns a copy whose lengths and checksums are right.
func lengthened(p []byte) []byte {
	q := grown(p, len(p))
	var l packet.Layout
	l.Parse(q, packet.Ethernet)
	l.FixLengths(q)
	l.FixChecksums(q)
	return q
}

// withExecutor calls do with an executor, on a goroutine that both are given up with.
func (t *Target) withExecutor(do func(fuzz.Executor) error) error {
	done := make(chan error)
	go func() {
		e, err := t.NewExecutor(0)
		if err == nil {
			err = do(e)
			err = errors.Join(err, e.Close())
		}
		done <- err
	}()
	return <-done
}
