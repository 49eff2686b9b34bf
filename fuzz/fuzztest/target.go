// Package fuzztest makes an eBPF program a fuzz target of go test. A FuzzXxx
// function calls Run with an object and a function that judges each execution:
//
//	func FuzzFirewall(f *testing.F) {
//		fuzztest.Run(f, fuzztest.Target{Object: "firewall_bpfel.o", Program: "firewall"},
//			func(t *fuzztest.T, in *corpus.Input, out *corpus.Outcome) {
//				if out.Steps[0].Ret > 4 {
//					t.Errorf("returned %d", out.Steps[0].Ret)
//				}
//			})
//	}
//
// A plain go test runs the seeds and every saved failure as subtests; go test -fuzz
// runs the engine of this module behind Go's own flags.
package fuzztest

import (
	"github.com/cilium/ebpf"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf"
	"github.com/bpffuzz/bpffuzz/mutate"
)

// Target says which program is fuzzed and how it is set up. One of Object, Spec and
// TargetFile has to be there; every other field may be left out. Paths are relative
// to the directory of the test, where go test runs it.
type Target struct {
	// Object is the path of a compiled object, what clang -target bpf or bpf2go made.
	Object string
	// Spec takes the place of Object: what bpf2go's load functions return. It is copied.
	Spec *ebpf.CollectionSpec
	// TargetFile is the path of a target file (docs/target-file.md). What is set here
	// as well has precedence, invariants and seeds are taken from both.
	TargetFile string
	// Program is the name of the program; "" means the only one that can be run.
	Program string
	// Setup is done before the program is loaded: values of globals, contents of maps,
	// tail calls.
	Setup bpf.Setup

	// Seeds are inputs to start from, besides those of f.Add: captures (pcap, pcapng),
	// corpus files, raw packets, or directories of such.
	Seeds []string
	// Dictionary holds byte strings worth trying, besides the constants of the program.
	Dictionary [][]byte
	// Operators are mutators of the caller, tried beside the built-in ones.
	Operators []mutate.Operator
	// Invariants are expressions that are true as long as all is well
	// (docs/invariants.md).
	Invariants []string
	// Oracles switches built-in oracles on or off by name, against their default.
	Oracles map[string]bool
	// MaxInsns is how many instructions of the program a step may execute; 0 means any
	// number, or what the target file says.
	MaxInsns uint64
	// CheckVerifier has each execution check what the kernel's verifier claims of numbers in
	// registers (docs/verifier.md); the oracle verifier-claim judges. Where nothing can be
	// checked a note says why. With Setup.Faults it is an error.
	CheckVerifier bool

	// Need is what the function reads of an outcome besides return value, errno and
	// packet. Methods of T that read maps and contexts add to it by themselves.
	// HaveMaps, HaveContext or HaveDuration mean one system call for each execution
	// instead of batches.
	Need corpus.Have
	// MaxSteps bounds the packets of one input; 0 leaves the choice to the program.
	MaxSteps int
	// Executor is "batch", "single", or "auto" or "" for what suits the program.
	Executor string
	// Native has Go's own engine fuzz, guided by the program's coverage; see
	// docs/fuzztest.md for when that pays. Of a table or a pair of programs the first
	// decides. Dictionary, Operators, Need, Executor and Seed are the other engine's.
	Native bool
	// Seed determines every random choice of the engine; 0 means another one each
	// time, which is printed.
	Seed uint64
}
