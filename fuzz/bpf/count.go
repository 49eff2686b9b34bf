package bpf

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
)

// hotLines is how many lines an outcome lists at most.
const hotLines = 5

// counted reports whether it can be told how many instructions a run executes.
func (t *Target) counted() bool {
	return t.plan.Counts(t.step.Rung) && t.row.trigger == nil && t.live == nil && t.loaded == nil
}

// TryCount returns why instructions cannot be counted on this kernel, nil where they can.
func (t *Target) TryCount() error {
	if !t.shape.Counted {
		return fmt.Errorf("counting instructions of program %q: programs of type %s, as this one is loaded and run, are not counted", t.program, t.shape.Type)
	}
	return t.inLab(func() error {
		inst, err := t.loadOnly(instrument.Count)
		if err != nil {
			return t.explainCount(err)
		}
		return inst.Close()
	})
}

func (t *Target) explainCount(err error) error {
	if _, rejected := errors.AsType[*RejectedError](err); rejected {
		return fmt.Errorf("counting instructions: the kernel does not accept program %q with counters on its edges: leave out limits on instructions", t.program)
	}
	return err
}

// countAlone runs the input once more, in the variant that counts instructions.
func (e *executor) countAlone(in *corpus.Input, out *corpus.Outcome) error {
	if !e.target.shape.Counted {
		return nil
	}
	if e.count == nil {
		inst, err := e.target.load(instrument.Count)
		if err != nil {
			return e.target.explainCount(err)
		}
		e.count = inst
	}
	if err := e.prepare(e.count, in); err != nil {
		return err
	}
	lines := map[line]uint64{}
	for i := range in.Steps {
		clear(e.count.mem[:4*len(e.count.layout.CellEdges)])
		var unread corpus.StepOutcome
		if err := e.step(e.count, &in.Steps[i], &unread, e.unread(), nil); err != nil {
			return err
		}
		sum := uint64(0)
		e.target.plan.Executed(&e.count.layout, e.count.mem, func(x instrument.Executed) {
			sum += x.Instructions
			lines[line{x.Func, x.Pos.File, x.Pos.Line}] += x.Instructions
		})
		out.Steps[i].Insns = sum
	}
	out.Lines, out.Have = hottest(out.Lines, lines), out.Have|corpus.HaveInsns
	return nil
}

// line is a source line of a function.
type line struct {
	fn, file string
	line     int
}

// hottest appends the lines with most instructions to dst.
func hottest(dst []corpus.LineCost, lines map[line]uint64) []corpus.LineCost {
	for l, insns := range lines {
		dst = append(dst, corpus.LineCost{Func: l.fn, Pos: cover.Pos{File: l.file, Line: l.line}, Insns: insns})
	}
	slices.SortFunc(dst, func(a, b corpus.LineCost) int {
		return cmp.Or(cmp.Compare(b.Insns, a.Insns), cmp.Compare(a.Func, b.Func), cmp.Compare(a.Pos.File, b.Pos.File), cmp.Compare(a.Pos.Line, b.Pos.Line))
	})
	return dst[:min(len(dst), hotLines)]
}
