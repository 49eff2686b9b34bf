package bpf

import (
	"slices"

	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
)

// Printed reads what programs print with bpf_printk when they run on the thread that
// called OpenPrinted.
type Printed struct{ printk *kernel.Printk }

// OpenPrinted begins to listen on the calling thread, to which the goroutine has to
// be locked, as it is after NewExecutor. Errors say why the kernel does not let it.
func OpenPrinted() (*Printed, error) {
	p, err := kernel.OpenPrintk()
	if err != nil {
		return nil, err
	}
	return &Printed{p}, nil
}

// Read returns the lines since the last call.
func (p *Printed) Read() ([]string, error) { return p.printk.Read() }

// Close ends listening.
func (p *Printed) Close() error { return p.printk.Close() }

// Prints reports whether the target's programs may call bpf_printk. Of a program that
// was loaded by somebody else this is not known, so it may.
func (t *Target) Prints() bool {
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
