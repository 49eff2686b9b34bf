package bpf

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/verifier"
	"github.com/bpffuzz/bpffuzz/triage"
)

// fuzzClaims fuzzes a target that checks claims, by the oracle of claims alone, and
// returns what it found.
func fuzzClaims(t *testing.T, target *Target, execs uint64) []string {
	t.Helper()
	oracles, _, err := triage.Oracles(target.Shape(), triage.OracleOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var only []triage.Oracle
	for _, o := range oracles {
		if o.Name == "verifier-claim" {
			only = append(only, o)
		}
	}
	if len(only) != 1 {
		t.Fatalf("there are %d oracles of claims", len(only))
	}
	var mu sync.Mutex
	var found []string
	_, err = fuzz.Run(context.Background(), target, fuzz.Options{
		Workers: 1, Seed: 1, Execs: execs, Judge: triage.NewJudge(only, nil),
		Triage: triage.Options{Table: target.Table(), Shape: target.Shape()},
		Report: func(f *triage.Finding) error {
			mu.Lock()
			defer mu.Unlock()
			found = append(found, f.Title)
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// examplePaths lists the objects of examples.
func examplePaths(t *testing.T) []string {
	t.Helper()
	var paths []string
	for _, pattern := range []string{"../../examples/*/*.o", "../../examples/puzzles/*/*.o"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	if len(paths) == 0 {
		t.Fatal("there are no examples")
	}
	return paths
}

// The verifier is right about every example.
func TestClaimsOfExamplesHold(t *testing.T) {
	needKernel(t)
	for name, c := range holdAll(t, examplePaths(t)) {
		if c.Checked == 0 {
			t.Errorf("%s: no claim is checked: %+v", name, c)
		}
	}
}

// It is right about every program of objects that nobody here wrote.
func TestClaimsOfPackagedObjectsHold(t *testing.T) {
	needKernel(t)
	checked := 0
	for _, c := range holdAll(t, packaged(t)) {
		checked += c.Checked
	}
	if checked == 0 {
		t.Error("no claim of any program is checked")
	}
}

// holdAll has the claims about all programs of objects checked, and returns what came of
// those that could be run, by object and program. Programs are verified side by side: what takes
// the time is the kernel writing logs of up to 100 MB.
func holdAll(t *testing.T, paths []string) map[string]ClaimCheck {
	t.Helper()
	var mu sync.Mutex
	each := map[string]ClaimCheck{}
	t.Run("programs", func(t *testing.T) {
		for _, path := range paths {
			obj, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range obj.Programs() {
				name := filepath.Base(path) + "/" + p.Name
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					c := holds(t, obj, p.Name)
					mu.Lock()
					defer mu.Unlock()
					each[name] = c
				})
			}
		}
	})
	var all ClaimCheck
	for _, c := range each {
		all.Claims, all.Checked, all.Doubtful = all.Claims+c.Claims, all.Checked+c.Checked, all.Doubtful+c.Doubtful
	}
	t.Logf("in all: %+v", all)
	return each
}

// holds fuzzes a program and fails where a claim does not hold, or where none is checked
// and nobody is told.
func holds(t *testing.T, obj *Object, program string) ClaimCheck {
	t.Helper()
	target, err := NewTarget(obj, Options{Program: program, CheckVerifier: true})
	if _, rejected := errors.AsType[*RejectedError](err); rejected {
		t.Skip(err)
	}
	if err != nil {
		t.Skipf("not a program to fuzz: %v", err)
	}
	c := target.Claims()
	t.Logf("%+v", c)
	if c.Checked == 0 {
		if c.Off == "" || !strings.Contains(strings.Join(target.Notes(), "\n"), c.Off) {
			t.Errorf("the notes do not say why nothing is checked: %q", target.Notes())
		}
		return c
	}
	if found := fuzzClaims(t, target, 3000); len(found) > 0 {
		t.Errorf("claims do not hold: %q", found)
	}
	return c
}

// A claim that is made false is found, and said with its place and the value, however
// packets run.
func TestFalseClaimIsFound(t *testing.T) {
	needKernel(t)
	for _, executor := range []string{executorBatch, executorSingle} {
		t.Run(executor, func(t *testing.T) {
			obj, err := Open("../../examples/firewall/firewall.o")
			if err != nil {
				t.Fatal(err)
			}
			target, err := NewTarget(obj, Options{CheckVerifier: true, Executor: executor, falsify: func(claims []instrument.Claim) {
				for i := range claims {
					if c := &claims[i]; c.Bounds.Umax == 0xffff {
						c.Bounds = verifier.Exactly(8)
						return
					}
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			found := fuzzClaims(t, target, 10_000)
			if len(found) == 0 {
				t.Fatal("nothing was found")
			}
			for _, words := range []string{"instruction 10 of firewall", "firewall.bpf.c:266", "takes r1 for 0x8", "and it was 0x"} {
				if !strings.Contains(found[0], words) {
					t.Errorf("%q does not say %q", found[0], words)
				}
			}
		})
	}
}

// The claims about programs of several types hold; a note says where none is checked.
func TestClaimsOfTypesHold(t *testing.T) {
	needKernel(t)
	checked := 0
	for _, file := range []string{"xdp", "skb", "variables", "faults"} {
		obj, err := Open("testdata/types/" + file + ".o")
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range obj.Programs() {
			t.Run(p.Name, func(t *testing.T) { checked += holds(t, obj, p.Name).Checked })
		}
	}
	if checked == 0 {
		t.Error("no claim of any program is checked")
	}
}
