package triage

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/bpffuzz/bpffuzz/corpus"
)

func unconfirmed(oracle string, n int) *Unconfirmed {
	in := &corpus.Input{Steps: []corpus.Step{{Packet: []byte{byte(n), byte(n >> 8)}}}}
	return &Unconfirmed{Oracle: oracle, Title: "wrong", Program: "p", Type: "xdp", Failing: in, Batch: in}
}

// A program that depends on chance fails all the time: what is kept stays bounded,
// over runs too.
func TestAsideIsBounded(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "unconfirmed")
	for run := range 3 {
		a, err := OpenAside(dir, func(*Unconfirmed) (map[string][]byte, error) {
			return map[string][]byte{"report.txt": []byte("text")}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			for n := range 100 {
				if _, err := a.Add(unconfirmed(fmt.Sprintf("invariant-%d", i), 100*run+n)); err != nil {
					t.Fatal(err)
				}
			}
			if want := min(DefaultPerOracle*(i+1), DefaultMost); run == 0 && a.Len() != want {
				t.Fatalf("%d are kept after oracle %d, want %d", a.Len(), i, want)
			}
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != DefaultMost {
		t.Errorf("%d directories, want %d: %v", len(entries), DefaultMost, err)
	}
	for _, e := range entries {
		in, err := corpus.ReadFile(filepath.Join(dir, e.Name(), inputFile))
		if err != nil || len(in.Steps) != 1 {
			t.Errorf("%s: %v, %v", e.Name(), in, err)
		}
		if b, err := os.ReadFile(filepath.Join(dir, e.Name(), "report.txt")); err != nil || string(b) != "text" {
			t.Errorf("%s: report %q, %v", e.Name(), b, err)
		}
	}
}

// The name of one oracle may be the beginning of another's.
func TestAsideTellsOraclesApart(t *testing.T) {
	a, err := OpenAside(filepath.Join(t.TempDir(), "unconfirmed"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 10 {
		for _, oracle := range []string{"invariant-a", "invariant-a-p"} {
			kept, err := a.Add(unconfirmed(oracle, n))
			if err != nil || kept != (n < DefaultPerOracle) {
				t.Errorf("%s, number %d: kept %t, %v", oracle, n, kept, err)
			}
			if again, err := a.Add(unconfirmed(oracle, n)); again || err != nil {
				t.Errorf("%s, number %d is kept twice: %v", oracle, n, err)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(a.Dir(), unconfirmed("invariant-a", 0).Key())); err != nil {
		t.Error(err)
	}
}

func TestAsideExpires(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "unconfirmed")
	a, err := OpenAside(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := range DefaultPerOracle {
		if kept, err := a.Add(unconfirmed("errno", n)); !kept || err != nil {
			t.Fatalf("failure %d: %v, %v", n, kept, err)
		}
	}
	now := time.Now()
	for n := range 2 {
		if err := os.Chtimes(filepath.Join(dir, unconfirmed("errno", n).Key()), now, now.Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if removed, err := a.Expire(now.Add(-time.Minute)); removed != 2 || err != nil {
		t.Errorf("%d are removed, %v; want 2", removed, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != DefaultPerOracle-2 || a.Len() != len(entries) {
		t.Errorf("%d directories, %d are counted; %v", len(entries), a.Len(), err)
	}
	if kept, err := a.Add(unconfirmed("errno", 100)); !kept || err != nil {
		t.Errorf("there is no room for another one: %v, %v", kept, err)
	}
}
