package bpf

import (
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/mutate"
	"github.com/bpffuzz/bpffuzz/triage"
)

// Each assertion that fails is a finding of its own, in batches as well, and those that
// hold are none.
func TestAssertions(t *testing.T) {
	needKernel(t)
	obj, err := Open("testdata/asserts.o")
	if err != nil {
		t.Fatal(err)
	}
	for program, want := range map[string][]string{
		"wrong": {"bpffuzz_assert(h->count < 200) at asserts.c:42", "bpffuzz_assert(h->length != 0x1234) at asserts.c:44"},
		"right": nil,
		"bare":  nil,
	} {
		t.Run(program, func(t *testing.T) {
			target, err := NewTarget(obj, Options{Program: program})
			if err != nil {
				t.Fatal(err)
			}
			oracles, relations, err := triage.Oracles(target.Shape(), triage.OracleOptions{})
			if err != nil {
				t.Fatal(err)
			}
			asked := slices.ContainsFunc(oracles, func(o triage.Oracle) bool { return o.Name == "assert" })
			if asked != (program != "bare") {
				t.Errorf("the oracle is asked: %t", asked)
			}
			result, err := fuzz.Run(t.Context(), target, fuzz.Options{
				Seed: 1, Execs: 200_000, Workers: 1, Seeds: mutate.Seeds(target.Shape()), Judge: triage.NewJudge(oracles, relations),
				Triage: triage.Options{Program: program, Table: target.Table(), Shape: target.Shape()},
				Warn:   func(err error) { t.Error(err) },
			})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range result.Findings {
				if f.Oracle == "assert" {
					got = append(got, strings.TrimPrefix(f.Title, "the program's own assertion failed: "))
				} else {
					t.Errorf("%s: %s", f.Oracle, f.Title)
				}
			}
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("findings %q, want %q", got, want)
			}
		})
	}
}

// Without BPFFUZZ there is nothing of an assertion in a program.
func TestAssertionsAreFree(t *testing.T) {
	obj, err := Open("testdata/asserts_off.o")
	if err != nil {
		t.Fatal(err)
	}
	programs := obj.spec.Programs
	for _, name := range []string{"wrong", "right"} {
		with, without := programs[name].Instructions, programs["bare"].Instructions
		if !slices.EqualFunc(with, without, func(a, b asm.Instruction) bool {
			return a.OpCode == b.OpCode && a.Dst == b.Dst && a.Src == b.Src && a.Offset == b.Offset && a.Constant == b.Constant
		}) {
			t.Errorf("%s has the code\n%v\nand without assertions\n%v", name, with, without)
		}
	}
	if m := obj.spec.Maps[corpus.AssertMap]; m != nil {
		t.Errorf("the object has the map %v", m)
	}
}
