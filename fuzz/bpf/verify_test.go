package bpf

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// What is wrong with a program that was accepted.
func TestVerifiedJudges(t *testing.T) {
	const complaint = "REG INVARIANTS VIOLATION (true_reg1): range bounds violation u64=[0x1, 0x0]"
	for _, tt := range []struct {
		name   string
		p      Verification
		budget float64
		kinds  []string
		notes  int
	}{
		{"fine", Verification{Variant: "plain", Processed: 10, Limit: 100}, 0, nil, 0},
		{"near the limit", Verification{Variant: "plain", Processed: 81, Limit: 100}, 0, nil, 1},
		{"within the budget", Verification{Variant: "plain", Processed: 90, Limit: 100}, 0.9, nil, 0},
		{"beyond the budget", Verification{Variant: "plain", Processed: 91, Limit: 100}, 0.9, []string{"limit"}, 0},
		{"probes alone are near the limit", Verification{Variant: "cover", Processed: 99, Limit: 100}, 0.5, nil, 0},
		{"contradiction", Verification{Variant: "cover", Processed: 1, Limit: 100, Warnings: []string{complaint}}, 0, []string{"verifier"}, 0},
		{"limit not told", Verification{Variant: "plain", Processed: 1}, 0.1, nil, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := &Verified{}
			v.judge(&tt.p, tt.budget)
			var kinds []string
			for _, f := range v.Findings {
				kinds = append(kinds, f.Kind)
				if f.Kind == "verifier" && (!strings.Contains(f.Title, complaint) || !slices.Contains(f.Lines, complaint)) {
					t.Errorf("the finding does not have the line: %+v", f)
				}
			}
			if !slices.Equal(kinds, tt.kinds) || len(v.Notes) != tt.notes {
				t.Errorf("findings %q and notes %q, want %q and %d", kinds, v.Notes, tt.kinds, tt.notes)
			}
		})
	}
}

// A rejection is a finding with the lines that decide, and without what it cost.
func TestRejectionIsFinding(t *testing.T) {
	log := []string{
		"func#0 @0", "0: R1=ctx() R10=fp0", "; return *p; @ a.c:3", "0: (71) r0 = *(u8 *)(r2 +0)", "R2 !read_ok",
		"verification time 48 usec", "processed 1 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0",
	}
	f := (&RejectedError{Program: "p", Err: &ebpf.VerifierError{Cause: unix.EACCES, Log: log}}).Finding()
	if f.Kind != "load" || f.Program != "p" || !strings.HasSuffix(f.Title, "permission denied: R2 !read_ok") || !slices.Equal(f.Lines, log[2:5]) {
		t.Errorf("%+v", f)
	}
	if f := (&RejectedError{Program: "p", Err: errors.New("no log")}).Finding(); f.Title != "the kernel rejects the program: no log" || len(f.Lines) != 0 {
		t.Errorf("%+v", f)
	}
}
