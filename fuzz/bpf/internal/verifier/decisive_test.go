package verifier

import (
	"slices"
	"testing"
)

// Lines of logs and of the kernel's log as they were seen, or as the kernel's sources
// write them.
func TestIsAnomaly(t *testing.T) {
	for _, tt := range []struct {
		name, line string
		want       bool
	}{
		{"6.18", "verifier bug: REG INVARIANTS VIOLATION (true_reg2): range bounds violation u64=[0x0, 0xffffffffffffffff]", true},
		{"since 6.8", "REG INVARIANTS VIOLATION (false_reg1): range bounds violation u64=[0x1, 0x0] s64=[0x1, 0x0] u32=[0x1, 0x0] s32=[0x1, 0x0] var_off=(0x0, 0x0)", true},
		{"before", "BUG regs 1", true},
		{"internal", "verifier internal error: misconfigured ref_obj_id", true},
		{"warning", "WARNING: CPU: 1 PID: 77 at kernel/bpf/verifier.c:2731 reg_bounds_sanity_check+0x163/0x220", true},
		{"warning of recent kernels", "WARNING: kernel/bpf/verifier.c:2748 at reg_bounds_sanity_check+0x1b5/0x2a0, CPU#0: t/112", true},
		{"warning about something else", "WARNING: CPU: 1 PID: 77 at kernel/bpf/core.c:100 bpf_prog_free+0x1/0x2", false},
		{"rejection", "R1 invalid mem access 'scalar'", false},
		{"source", "; /* a verifier could bug out */ @ a.c:1", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if IsAnomaly(tt.line) != tt.want {
				t.Errorf("%q: %v", tt.line, !tt.want)
			}
		})
	}
}

func TestDecisive(t *testing.T) {
	cost := []string{"verification time 48 usec", "stack depth 0", "processed 4 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0", ""}
	states := []string{"0: R1=ctx() R10=fp0", "; int f() @ a.c:1", "0: (b7) r0 = 0 ; R0=0"}
	reason := []string{"; return *p; @ a.c:3", "3: (71) r0 = *(u8 *)(r2 +0)", "invalid access to packet, off=0 size=1"}
	many := slices.Repeat([]string{"1: (b7) r0 = 0"}, 20)
	for _, tt := range []struct {
		name      string
		log, want []string
	}{
		{"from the source line on", slices.Concat(states, reason, cost), reason},
		{"without lines of cost", slices.Concat(states, reason), reason},
		{"no source near", slices.Concat(reason, many), many[:maxDecisive]},
		{"no source at all", []string{"too many errors"}, []string{"too many errors"}},
		{"cost alone", cost, nil},
		{"nothing", nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Decisive(tt.log); !slices.Equal(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
