package bpf

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
	"github.com/bpffuzz/bpffuzz/triage"
)

// mayGoto is the opcode of the jump that the kernel takes when a loop has run for too long.
const mayGoto = 0xe5

// listener hears what the kernel complains of in its log. The zero value is ready to be used. The log is the
// machine's: what it says while a program runs need not be about that program.
type listener struct {
	log  *kernel.LogReader // nil until somebody wants to hear
	deaf bool
}

// findListeners finds out what can be heard, and says once what cannot.
func (t *Target) findListeners() error {
	var l listener
	if err := l.open(); err != nil {
		t.notes = append(t.notes, fmt.Sprintf("oracle %s hears nothing: %v", triage.KernelSplat, err))
	} else {
		t.shape.Log = true
	}
	if err := l.Close(); err != nil || !t.complains() {
		return err
	}
	inst, err := t.loadPlainly()
	if err != nil {
		return err
	}
	if _, err := kernel.OpenStderr(inst.Programs[t.program].FD()); err != nil {
		t.notes = append(t.notes, fmt.Sprintf("oracle %s hears nothing: %v", triage.Stderr, err))
	} else {
		t.shape.Stderr = true
	}
	inst.Close()
	return nil
}

// loadPlainly loads the programs as they are.
func (t *Target) loadPlainly() (*ebpf.Collection, error) {
	spec := t.spec.Copy()
	dropSockets(spec)
	coll, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: t.reused})
	if err != nil {
		return nil, t.explain(err)
	}
	return coll, nil
}

// complains reports whether there may be text on the error stream of the programs: theirs,
// or the kernel's about a loop, a lock or an address in an arena.
func (t *Target) complains() bool {
	for _, m := range t.spec.Maps {
		if m.Type == ebpf.Arena {
			return true
		}
	}
	for _, p := range t.spec.Programs {
		if slices.ContainsFunc(p.Instructions, func(ins asm.Instruction) bool {
			name := ins.Reference()
			return ins.OpCode&0xff == mayGoto ||
				ins.IsKfuncCall() && (strings.HasPrefix(name, "bpf_stream_") || strings.HasPrefix(name, "bpf_res_spin_"))
		}) {
			return true
		}
	}
	return false
}

func (l *listener) open() (err error) {
	l.log, err = kernel.OpenLog()
	return err
}

// hear appends what the kernel complained of since the last call, and what the programs of the instance
// wrote to their error streams.
func (l *listener) hear(t *Target, inst *instance, events []corpus.Event) ([]corpus.Event, error) {
	if t.shape.Log && l.log == nil && !l.deaf {
		l.deaf = l.open() != nil // it could be read when the target was made
	}
	if l.log != nil {
		list, err := l.log.Complaints()
		if events = triage.AddComplaints(events, list); err != nil {
			return events, err
		}
	}
	for _, s := range inst.stderr {
		lines, err := s.Lines()
		if events = addEvents(events, triage.SourceStderr, lines); err != nil {
			return events, err
		}
	}
	return events, nil
}

// addEvents appends lines, up to a limit.
func addEvents(events []corpus.Event, source string, lines []string) []corpus.Event {
	for i, line := range lines {
		if i == maxEvents {
			return append(events, corpus.Event{Source: source, Text: fmt.Sprintf("(%d more lines)", len(lines)-i)})
		}
		events = append(events, corpus.Event{Source: source, Text: line})
	}
	return events
}

// Close ends listening.
func (l *listener) Close() error {
	if l.log == nil {
		return nil
	}
	err := l.log.Close()
	l.log = nil
	return err
}

// openStderr opens the error streams of an instance's programs.
func (i *instance) openStderr(t *Target) error {
	if !t.shape.Stderr {
		return nil
	}
	var errs error
	for _, p := range i.coll.Programs {
		s, err := kernel.OpenStderr(p.FD())
		if err != nil {
			errs = errors.Join(errs, err)
			continue
		}
		i.stderr = append(i.stderr, s)
	}
	return errs
}

// Heard implements fuzz.Listener.
func (e *executor) Heard(events []corpus.Event) ([]corpus.Event, error) {
	return e.listener.hear(e.target, e.hot, events)
}

// Heard implements fuzz.Listener.
func (b *batchExecutor) Heard(events []corpus.Event) ([]corpus.Event, error) {
	events, err := b.single.listener.hear(b.target(), b.inst.instance, events)
	if err != nil {
		return events, err
	}
	return b.single.Heard(events)
}
