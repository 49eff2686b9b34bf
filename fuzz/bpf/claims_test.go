package bpf

import (
	"context"
	"errors"
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

// claimTarget makes a target that checks claims of an object.
func claimTarget(t *testing.T, path, program string, falsify func([]instrument.Claim)) *Target {
	t.Helper()
	obj, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	target, err := NewTarget(obj, Options{Program: program, CheckVerifier: true, falsify: falsify})
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func TestClaimsHold(t *testing.T) {
	needKernel(t)
	target := claimTarget(t, "../../examples/firewall/firewall.o", "", nil)
	t.Logf("%+v", target.Claims())
	if found := fuzzClaims(t, target, 10_000); len(found) > 0 {
		t.Errorf("claims do not hold: %q", found)
	}
}

// A claim that is made false is found, and said with its place and the value.
func TestFalseClaimIsFound(t *testing.T) {
	needKernel(t)
	target := claimTarget(t, "../../examples/firewall/firewall.o", "", func(claims []instrument.Claim) {
		for i := range claims {
			if c := &claims[i]; c.Bounds.Umax == 0xffff {
				c.Bounds = verifier.Exactly(8)
				return
			}
		}
	})
	found := fuzzClaims(t, target, 10_000)
	if len(found) == 0 {
		t.Fatal("nothing was found")
	}
	for _, words := range []string{"instruction 10 of firewall", "firewall.bpf.c:266", "takes r1 for 0x8", "and it was 0x"} {
		if !strings.Contains(found[0], words) {
			t.Errorf("%q does not say %q", found[0], words)
		}
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
			t.Run(p.Name, func(t *testing.T) {
				target, err := NewTarget(obj, Options{Program: p.Name, CheckVerifier: true})
				if _, rejected := errors.AsType[*RejectedError](err); rejected {
					t.Skip(err)
				}
				if err != nil {
					t.Skipf("not a program to fuzz: %v", err)
				}
				c := target.Claims()
				t.Logf("%+v", c)
				if c.Checked == 0 {
					if !strings.Contains(strings.Join(target.Notes(), "\n"), c.Off) || c.Off == "" {
						t.Errorf("nothing is checked and the notes do not say why: %q", target.Notes())
					}
					return
				}
				checked++
				if found := fuzzClaims(t, target, 2000); len(found) > 0 {
					t.Errorf("claims do not hold: %q", found)
				}
			})
		}
	}
	if checked == 0 {
		t.Error("no claim of any program is checked")
	}
}
