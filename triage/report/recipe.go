package report

import (
	"bytes"
	"strings"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/triage"
)

// Recipe says how an input is run by other loaders than the fuzzer's, and where a test
// of go test finds the program. It is what the exports of a finding are written from.
type Recipe struct {
	// Target is what repro_test.go needs.
	Target TestTarget
	// Object is the object as it is to be loaded, with variables, time and chance built
	// in. Nil means that none can be made, and Limits say why.
	Object []byte
	// Program is the program that runs, Load all that have to be loaded, those that it
	// tail-calls included.
	Program string
	Load    []string
	// Kind is the program's type by number where its section does not say it, else 0.
	Kind uint32
	// Contents are put into maps before the first step, in this order.
	Contents []Content
	// Calls are the steps of the input, in order.
	Calls []Call
	// Limits say what exports cannot do, one for each obstacle.
	Limits []Limit
}

// TestTarget is the program as fuzztest.Target names it. Paths are absolute.
type TestTarget struct {
	Object, TargetFile, Program string
	Invariants                  []string
	Oracles                     map[string]bool
	RealHelpers, Faults         bool
	CheckVerifier               bool
	MaxInsns                    uint64
}

// Content is an entry of a map.
type Content struct {
	Map string
	// Key is nil in queues, stacks and bloom filters.
	Key []byte
	// Value has the size of one CPU's value; PerCPU says that each of them gets it.
	Value  []byte
	PerCPU bool
	// Program is the name of a program that takes the place of Value in a prog array.
	Program string
	// ReadOnly says that the value is in Object already and that userspace may not
	// write it.
	ReadOnly bool
}

// Call is one call of BPF_PROG_RUN.
type Call struct {
	// Data and Context are data_in and ctx_in, nil for none.
	Data, Context []byte
	Flags, CPU    uint32
	// Before is stored in maps before the call.
	Before []Content
	// GivesData and GivesContext say that the type fills data_out and ctx_out.
	GivesData, GivesContext bool
	// Hidden is how many bytes at the packet's start come back as zeros.
	Hidden int
}

// Limit is a reason why exports do not reproduce a finding.
type Limit struct {
	// Exports are the files that the reason holds for.
	Exports []string
	Why     string
}

// Files of a finding that run its input.
const (
	testFile   = "repro_test.go"
	shellFile  = "repro.sh"
	cFile      = "repro.c"
	objectFile = "repro.o"
	scapyFile  = "repro.py"
)

// Loaders are the exports that run a program without the fuzzer.
func Loaders() []string { return []string{shellFile, cFile} }

// unseen says why comparing what a run gives with what was found does not show the
// failure, "" where it does.
func unseen(f *triage.Finding) string {
	switch f.Oracle {
	case "nondeterministic":
		return "the failure is that two runs differ, and it compares one with what was found"
	case "uninitialised", "headroom":
		return "the failure is that runs differ with other bytes in memory that the program has not written, which the fuzzer puts there"
	case "checksum-complete":
		return "the failure is an answer to a flag that the input itself does not have"
	case triage.Slow:
		return "the failure is how many instructions are executed, and it compares what comes back"
	case triage.MapFull, triage.MapLeak:
		return "the failure is how full a map is, and it compares return values, packets and contexts"
	case triage.ClaimOracle:
		return "what registers hold is seen by the fuzzer only"
	}
	if strings.Contains(f.Title, "insns") && strings.HasPrefix(f.Oracle, "invariant") {
		return "the invariant is about how many instructions are executed, and it compares what comes back"
	}
	if strings.Contains(f.Title, "map(") {
		return "the invariant is about the contents of maps, and it compares return values, packets and contexts"
	}
	return ""
}

// can reports whether an export reproduces the finding; the reason is "" then.
func (r *Recipe) can(export string) (why string) {
	for _, l := range r.Limits {
		for _, name := range l.Exports {
			if name == export {
				return l.Why
			}
		}
	}
	return ""
}

// wanted is what a step gave when the failure was found.
type wanted struct {
	ret           uint32
	errno         int
	data, context []byte // nil where they are not compared
}

// found returns what the step of a call gave. A step that did not run gave nothing.
func found(f *triage.Finding, i int, c *Call) (w wanted, ok bool) {
	if i >= len(f.Steps) {
		return w, false
	}
	out := &f.Steps[i]
	w = wanted{ret: out.Ret, errno: int(out.Errno)}
	if out.Errno != 0 {
		return w, true
	}
	if c.GivesData && len(out.Packet) > 0 {
		w.data = append(bytes.Clone(out.Meta), out.Packet...)
		clear(w.data[:min(c.Hidden, len(w.data))])
	}
	if c.GivesContext && len(out.Context) > 0 {
		w.context = out.Context
	}
	return w, true
}

// stepFile names a file of a step: "repro.data", or "repro-1.data" where there are several.
func stepFile(in *corpus.Input, i int, what string) string {
	if len(in.Steps) == 1 {
		return "repro." + what
	}
	return "repro-" + itoa(i) + "." + what
}
