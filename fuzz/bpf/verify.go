package bpf

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cilium/ebpf"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/verifier"
	"github.com/bpffuzz/bpffuzz/triage/kernellog"
)

// NearLimit is the share of the verifier's limit above which a program is close to it: a
// change of the program, or another kernel, may have it rejected.
const NearLimit = 0.8

// Verification is what the kernel's verifier says of a program that it accepts. What a
// kernel does not tell is 0.
type Verification struct {
	// Program is the program's name.
	Program string
	// Variant is "plain" for the program as it is, or what is loaded to be fuzzed: "cover",
	// "batch", "trace", "compare".
	Variant string
	// Processed is how many instructions the verifier looked at, of at most Limit.
	Processed, Limit int
	// TotalStates is how many states it kept, PeakStates how many at a time, MaxStates how
	// many at one instruction.
	TotalStates, PeakStates, MaxStates int
	// Stack is how many bytes of stack each function uses: the program's, then those that
	// it calls.
	Stack []int
	// Time is how long verification took.
	Time time.Duration
	// Warnings are lines in which the verifier contradicts itself.
	Warnings []string
}

// Share returns how much of the limit verification took, from 0 to 1.
func (v *Verification) Share() float64 {
	if v.Limit <= 0 {
		return 0
	}
	return float64(v.Processed) / float64(v.Limit)
}

// Deepest returns how many bytes the function with the largest stack uses.
func (v *Verification) Deepest() int { return slices.Max(append([]int{0}, v.Stack...)) }

// LoadFinding is what loading a program shows to be wrong, without any input.
type LoadFinding struct {
	// Kind is "load" for a program that the kernel rejects as it is, "verifier" where the
	// verifier contradicts itself, "limit" for a program that is too close to its limit.
	Kind             string
	Program, Variant string
	// Title says what is wrong in one line, Lines are those of the log that decide.
	Title string
	Lines []string
}

// Verified is what loading a program and its variants showed.
type Verified struct {
	Programs []Verification
	Findings []LoadFinding
	// Notes are what else a user should know, a line each.
	Notes []string
}

// Verify loads a program of an object, those that it tail-calls and all their variants,
// and reports what the verifier says. Budget is the share of the verifier's limit above
// which a program as it is becomes a finding; with 0 there is a note above NearLimit. A
// program that is rejected as it is is a finding, no error.
func Verify(obj *Object, opts Options, budget float64) (*Verified, error) {
	v := &Verified{}
	log, err := kernel.OpenLog()
	if err != nil {
		v.Notes = append(v.Notes, err.Error()+"; what the kernel says of its verifier there is not seen")
	}
	t, err := NewTarget(obj, opts)
	if rejected, ok := errors.AsType[*RejectedError](err); ok {
		v.Findings, err = append(v.Findings, rejected.Finding()), nil
	}
	if t != nil && err == nil {
		err = t.verify(v, budget)
	}
	if log != nil {
		err = errors.Join(err, v.listen(log), log.Close())
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

// Verified loads all variants of the target and reports what the verifier says. A program
// that was loaded by somebody else gives nothing.
func (t *Target) Verified() (*Verified, error) {
	v := &Verified{}
	if t.loaded != nil {
		return v, nil
	}
	return v, t.inLab(func() error { return t.verify(v, 0) })
}

// Finding is the rejection of a program as it is.
func (e *RejectedError) Finding() LoadFinding {
	f := LoadFinding{Kind: "load", Program: e.Program, Variant: "plain"}
	cause := e.Err
	if v, ok := errors.AsType[*ebpf.VerifierError](e.Err); ok {
		cause, f.Lines = v.Cause, verifier.Decisive(v.Log)
	}
	f.Title = fmt.Sprintf("the kernel rejects the program: %v", cause)
	if n := len(f.Lines); n > 0 {
		f.Title += ": " + f.Lines[n-1]
	}
	return f
}

// listen adds what the kernel's log complains of the verifier.
func (v *Verified) listen(log *kernel.LogReader) error {
	list, err := log.Complaints()
	for i := range list {
		if c := &list[i]; c.Kind == kernellog.KindVerifier || slices.ContainsFunc(c.Lines, verifier.IsAnomaly) {
			v.Findings = append(v.Findings, LoadFinding{
				Kind: "verifier", Title: "the kernel's log complains of the verifier while the program is loaded: " + c.String(), Lines: c.Lines,
			})
		}
	}
	return err
}

// verify adds the target's programs, variant by variant.
func (t *Target) verify(v *Verified, budget float64) error {
	variants, err := t.variants()
	if err != nil {
		return err
	}
	for _, variant := range variants {
		if variant.spec == nil {
			v.Notes = append(v.Notes, fmt.Sprintf("there is no variant %q of program %q: %s", variant.name, t.program, variant.why))
			continue
		}
		list, err := t.verifications(variant.name, variant.spec)
		if _, rejected := errors.AsType[*RejectedError](err); rejected && variant.name != "plain" {
			v.Notes = append(v.Notes, fmt.Sprintf("the kernel does not accept variant %q of program %q", variant.name, t.program))
			continue
		}
		if err != nil {
			return err
		}
		for i := range list {
			v.judge(&list[i], budget)
		}
		v.Programs = append(v.Programs, list...)
	}
	return nil
}

// judge adds what is wrong with a program that was accepted.
func (v *Verified) judge(p *Verification, budget float64) {
	for _, line := range p.Warnings {
		v.Findings = append(v.Findings, LoadFinding{
			Kind: "verifier", Program: p.Program, Variant: p.Variant, Title: "the verifier contradicts itself: " + line, Lines: []string{line},
		})
	}
	if p.Variant != "plain" {
		return
	}
	text := fmt.Sprintf("the verifier looks at %d instructions of at most %d, %.0f %%", p.Processed, p.Limit, 100*p.Share())
	switch {
	case budget > 0 && p.Share() > budget:
		v.Findings = append(v.Findings, LoadFinding{
			Kind: "limit", Program: p.Program, Variant: p.Variant, Title: fmt.Sprintf("%s, more than the budget of %.0f %%", text, 100*budget),
		})
	case budget == 0 && p.Share() > NearLimit:
		v.Notes = append(v.Notes, fmt.Sprintf("program %q is close to the verifier's limit: %s", p.Program, text))
	}
}

// loadVariant is a way to load a target; spec is nil where there is none, and why says
// why.
type loadVariant struct {
	name string
	spec *ebpf.CollectionSpec
	why  string
}

// variants lists all of them, the programs as they are first.
func (t *Target) variants() ([]loadVariant, error) {
	plain := t.spec.Copy()
	dropSockets(plain)
	list := []loadVariant{{name: "plain", spec: plain}}
	for _, variant := range []instrument.Variant{instrument.Cover, instrument.Trace, instrument.Compare} {
		if t.stepOf(variant).Rung == instrument.None {
			list = append(list, loadVariant{name: variant.String(), why: "the kernel accepts no code for it, or there is nothing to record"})
			continue
		}
		spec, err := t.rewritten(variant)
		if err != nil {
			return nil, err
		}
		list = append(list, loadVariant{name: variant.String(), spec: spec})
	}
	layout, err := t.batchLayout()
	if err != nil {
		return append(list, loadVariant{name: "batch", why: err.Error()}), nil
	}
	spec, err := t.rewrittenBatch(layout, instrument.None)
	return append(list, loadVariant{name: "batch", spec: spec}), err
}

// verifications loads the programs of a collection and returns what that took.
func (t *Target) verifications(variant string, spec *ebpf.CollectionSpec) ([]Verification, error) {
	logs, err := t.logsOf(spec, ebpf.LogLevelStats, 0)
	if err != nil {
		return nil, err
	}
	var list []Verification
	for _, name := range t.names {
		s, err := verifier.ReadStats(logs[name])
		if err != nil {
			return nil, fmt.Errorf("program %q, variant %s: %w", name, variant, err)
		}
		list = append(list, Verification{
			Program: name, Variant: variant, Processed: s.Processed, Limit: s.Limit, TotalStates: s.TotalStates,
			PeakStates: s.PeakStates, MaxStates: s.MaxStates, Stack: s.Stack, Time: s.Time, Warnings: s.Warnings,
		})
	}
	return list, nil
}

// logsOf loads a collection and returns the verifier's logs by program. Size is how many
// bytes a log is expected to have; 0 leaves that to the library.
func (t *Target) logsOf(spec *ebpf.CollectionSpec, level ebpf.LogLevel, size uint32) (map[string]string, error) {
	coll, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{
		MapReplacements: t.reused, Programs: ebpf.ProgramOptions{LogLevel: level, LogSizeStart: size},
	})
	if err != nil {
		return nil, t.explain(err)
	}
	defer coll.Close()
	logs := make(map[string]string, len(coll.Programs))
	for name, prog := range coll.Programs {
		logs[name] = prog.VerifierLog
	}
	return logs, nil
}
