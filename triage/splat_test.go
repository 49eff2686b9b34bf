package triage

import (
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
)

func TestSplatOf(t *testing.T) {
	for _, test := range []struct {
		line string
		want Splat
	}{
		{"WARNING: CPU: 1 PID: 812 at kernel/bpf/verifier.c:2731 reg_bounds_sanity_check+0x1f4/0x210", Warned},
		{"BUG: KASAN: slab-out-of-bounds in bpf_skb_load_bytes+0x6a/0xd0", Warned},
		{"UBSAN: shift-out-of-bounds in kernel/bpf/core.c:1723:2", Warned},
		{"verifier bug: REG INVARIANTS VIOLATION (true_reg1): range bounds violation", Warned},
		{"BUG: kernel NULL pointer dereference, address: 0000000000000008", Harmed},
		{"BUG: unable to handle page fault for address: ffffc90000a3d000", Harmed},
		{"Oops: 0000 [#1] PREEMPT SMP NOPTI", Harmed},
		{"rcu: INFO: rcu_preempt self-detected stall on CPU", Harmed},
		{"watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [fuzz:812]", Harmed},
		{"INFO: task fuzz:812 blocked for more than 120 seconds.", Harmed},
		{"kernel BUG at net/core/skbuff.c:2674!", Harmed},
		{"eth0: renamed from veth1", Sound},
		{"audit: type=1400 WARNING: not a splat", Sound},
		{"systemd[1]: BUG: of somebody else", Sound},
		{"", Sound},
	} {
		if got := SplatOf(test.line); got != test.want {
			t.Errorf("%q is %d, want %d", test.line, got, test.want)
		}
	}
}

func TestHeard(t *testing.T) {
	judge := NewJudge([]Oracle{newKernelSplat(nil), newStderr(nil)}, nil)
	for _, test := range []struct {
		name, source, text, oracle string
		harmed                     bool
	}{
		{"a warning", SourceLog, "WARNING: CPU: 0 PID: 1 at net/core/filter.c:2", KernelSplat, false},
		{"an oops", SourceLog, "Oops: general protection fault", KernelSplat, true},
		{"another line", SourceLog, "eth0: link up", "", false},
		{"text of the program", SourceStderr, "port 5", Stderr, false},
		{"what a program prints", "trace", "WARNING: me", "", false},
	} {
		f, harmed := judge.Heard([]corpus.Event{{Source: test.source, Text: test.text}})
		got := ""
		if f != nil {
			got = f.Oracle
		}
		if got != test.oracle || harmed != test.harmed {
			t.Errorf("%s: oracle %q, harmed %v", test.name, got, harmed)
		}
	}
}
