package bpf

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/triage"
)

// watchers are the programs that watch the kernel's self-test functions, and what
// BPF_PROG_RUN may return. For fmod_ret that is the sum of the functions' results,
// and above bit 16 how many of them were entered: the program takes the place of
// the first one, and newer kernels have a second one, whose result is 29.
func watchers() []struct {
	program string
	returns []uint32
} {
	return []struct {
		program string
		returns []uint32
	}{
		{"fentry", []uint32{0}},
		{"fexit", []uint32{0}},
		{"fmod_ret", []uint32{7, 1<<16 | 7 + 29}},
	}
}

// Programs that watch the kernel's functions are attached while they run, and are
// not afterwards.
func TestTracingRuns(t *testing.T) {
	for _, tt := range watchers() {
		t.Run(tt.program, func(t *testing.T) {
			target := newWatcher(t, tt.program)
			isolated(t, func() {
				e, err := newExecutor(target, 0)
				if err != nil {
					t.Fatal(err)
				}
				out := alone(t, e, &corpus.Input{Steps: make([]corpus.Step, 1)})
				if got := out.Steps[0].Ret; !slices.Contains(tt.returns, got) {
					t.Errorf("returned %#x, want one of %#x", got, tt.returns)
				}
				if bugReached().Judge(nil, out) == nil {
					t.Error("the program did not see the arguments of the kernel's test")
				}
				covered, total := target.Table().Count(out.Cover), target.Table().Observable()
				if covered < 2 || covered >= total {
					t.Errorf("%d of %d edges are covered, want the entry and one way of each branch", covered, total)
				}
				traced, err := e.Alone(t.Context(), &corpus.Input{Steps: make([]corpus.Step, 1)}, wantAll|corpus.HaveTrace)
				if err != nil {
					t.Fatal(err)
				}
				if len(traced.Trace) != covered || target.Table().Count(traced.Cover) != covered {
					t.Errorf("with a trace, edges %v are passed and %d covered, and without %d", traced.Trace, target.Table().Count(traced.Cover), covered)
				}
				prog := programID(t, e, tt.program)
				if n := linksOf(t, prog); n == 0 {
					t.Error("the program is not attached")
				}
				if err := e.Close(); err != nil {
					t.Error(err)
				}
				if n := linksOf(t, prog); n != 0 {
					t.Errorf("%d links are left behind", n)
				}
			})
		})
	}
}

// A campaign finds what these programs do wrong, though it cannot choose the input.
func TestTracingFindsPlantedBugs(t *testing.T) {
	for _, tt := range watchers() {
		t.Run(tt.program, func(t *testing.T) {
			target := newWatcher(t, tt.program)
			oracles, relations, err := triage.Oracles(target.Shape(), triage.OracleOptions{Invariants: []triage.Oracle{bugReached()}})
			if err != nil {
				t.Fatal(err)
			}
			result, err := fuzz.Run(t.Context(), target, fuzz.Options{
				Seed: 1, Execs: 1000, StopOnFinding: true, Judge: triage.NewJudge(oracles, relations),
			})
			if err != nil {
				t.Fatalf("%+v", err)
			}
			t.Logf("%s runs: %d executions, %d of %d edges", tt.program, result.Stats.Execs, result.Stats.Edges, result.Stats.Total)
			if len(result.Findings) != 1 || result.Findings[0].Oracle != "reached" {
				t.Errorf("%d findings, want the planted bug: %+v", len(result.Findings), result.Findings)
			}
		})
	}
}

// newWatcher skips the test where the kernel refuses the program, with a message
// that has to say so.
func newWatcher(t *testing.T, program string) *Target {
	t.Helper()
	needKernel(t)
	obj, err := Open("testdata/types/tracing.o")
	if err != nil {
		t.Fatal(err)
	}
	target, err := NewTarget(obj, Options{Program: program})
	if errors.Is(err, unix.EPERM) {
		if !strings.Contains(err.Error(), program) || !strings.Contains(err.Error(), "EPERM") {
			t.Errorf("%v does not say what the kernel answers to which type", err)
		}
		t.Skipf("this kernel loads no %s programs: %v", program, err)
	}
	if err != nil && strings.Contains(err.Error(), notModifiable) {
		t.Skipf("this kernel is built without error injection: %v", err)
	}
	if err != nil {
		t.Fatalf("%+v", err)
	}
	return target
}

// notModifiable is in what the verifier says of fmod_ret programs where a kernel has
// no list of functions whose results may be replaced.
const notModifiable = "is not modifiable"

func programID(t *testing.T, e *executor, name string) uint32 {
	t.Helper()
	info, err := e.hot.coll.Programs[name].Info()
	if err != nil {
		t.Fatal(err)
	}
	id, ok := info.ID()
	if !ok {
		t.Fatal("the kernel does not say which program it is")
	}
	return uint32(id)
}

// linksOf returns how many links the kernel has to a program.
func linksOf(t *testing.T, program uint32) int {
	t.Helper()
	it := new(link.Iterator)
	defer it.Close()
	n := 0
	for it.Next() {
		info, err := it.Link.Info()
		if err != nil {
			t.Fatal(err)
		}
		if uint32(info.Program) == program {
			n++
		}
	}
	if err := it.Err(); err != nil {
		t.Fatal(err)
	}
	return n
}
