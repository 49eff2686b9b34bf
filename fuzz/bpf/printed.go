package bpf

import (
	"fmt"
	"slices"

	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
)

// maxEvents bounds the lines of a program's output that an outcome has.
const maxEvents = 100

// eventSource is the source of what programs print with bpf_printk.
const eventSource = "trace"

// ears hear what the programs of an executor print on its thread. The zero value is
// ready to be used.
type ears struct {
	output *kernel.Printk // nil until somebody wants to hear
	deaf   error          // why nothing can be heard
}

// listen readies ears to hear what the target prints, where it may print and a trace
// is wanted, since who looks that closely wants the words as well.
func (e *ears) listen(t *Target, want corpus.Have) error {
	if want&corpus.HaveTrace == 0 || !t.prints() || e.deaf != nil {
		return nil
	}
	if e.output == nil {
		if e.output, e.deaf = kernel.OpenPrintk(); e.deaf != nil {
			return nil
		}
	}
	_, err := e.output.Read() // of the runs before
	return err
}

// hear adds what was printed to an outcome, or why that is not known.
func (e *ears) hear(t *Target, out *corpus.Outcome) error {
	if e.deaf != nil && t.loaded == nil {
		out.Events = append(out.Events, corpus.Event{Source: eventSource, Text: e.deaf.Error()})
	}
	if e.output == nil {
		return nil
	}
	lines, err := e.output.Read()
	for i, line := range lines {
		if i == maxEvents {
			line = fmt.Sprintf("(%d more lines)", len(lines)-maxEvents)
		}
		out.Events = append(out.Events, corpus.Event{Source: eventSource, Text: line})
		if i == maxEvents {
			break
		}
	}
	return err
}

// Close ends listening.
func (e *ears) Close() error {
	if e.output == nil {
		return nil
	}
	err := e.output.Close()
	e.output = nil
	return err
}

// prints reports whether the target's programs may call bpf_printk. Of a program that
// was loaded by somebody else this is not known, so it may.
func (t *Target) prints() bool {
	if t.loaded != nil {
		return true
	}
	for _, p := range t.spec.Programs {
		if slices.ContainsFunc(p.Instructions, func(ins asm.Instruction) bool {
			return ins.IsBuiltinCall() && (ins.Constant == int64(asm.FnTracePrintk) || ins.Constant == int64(asm.FnTraceVprintk))
		}) {
			return true
		}
	}
	return false
}

// RawStep returns the call that runs a step, with its output asked for.
func (l *Loaded) RawStep(s *corpus.Step) (RawRun, error) {
	if l.refused != nil {
		return RawRun{}, l.refused
	}
	limits, err := l.row.limits(l.spec)
	if err != nil {
		return RawRun{}, err
	}
	var nowhere machine
	shape := l.row.shape(emptySpec(), l.spec, limits, &nowhere)
	r := RawRun{Data: slices.Concat(s.Meta, s.Packet), Flags: s.Flags, CPU: uint32(max(s.CPU, 0))}
	if l.row.noPacket {
		r.Data = nil
	}
	if len(s.Context) > 0 || len(s.Meta) > 0 || l.row.needsContext {
		r.Context = make([]byte, shape.ContextSize)
		copy(r.Context, s.Context)
		l.row.fixContext(shape, r.Context, s.Packet, len(s.Meta))
	}
	return r, nil
}

// Repeats reports whether one call can run the program more than once.
func (l *Loaded) Repeats() bool { return !l.row.noPacket }
