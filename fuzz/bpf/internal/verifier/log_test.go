package verifier

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func readLog(t testing.TB, kernel string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", kernel+".log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// describe writes what was read of a log, a line for each edge with numbers.
func describe(log *Log) []string {
	var lines []string
	for _, edge := range slices.SortedFunc(maps.Keys(log.Edges), func(a, b Edge) int { return (a.From-b.From)*1000 + a.To - b.To }) {
		c := log.Edges[edge]
		line := fmt.Sprintf("%d to %d:", edge.From, edge.To)
		for i := range c.Bounds {
			if c.Known&(1<<i) != 0 {
				line += fmt.Sprintf(" r%d is %v", i, c.Bounds[i])
			}
		}
		lines = append(lines, line)
	}
	return lines
}

// The same program under three kernels: what its log says of it, read from golden logs.
func TestReadGolden(t *testing.T) {
	for _, tt := range []struct {
		kernel    string
		processed int
		pruned    []int
		says      []string
	}{
		{"6.1", 45, []int{12, 20, 32}, []string{
			"6 to 7: r2 is umax=0xf,var_off=(0x0; 0xf)",
			"11 to 12: r3 is umin=0x1,umax=0xfffffffffffffffd,smin=-99,smax=8089,umax32=0xfffffffd,var_off=(0x1; 0xfffffffffffffffc)",
		}},
		{"6.12", 45, []int{12, 20, 32}, []string{
			"6 to 7: r2 is umax=0xf,smin=0,smax=15,umax32=0xf,smin32=0,smax32=15,var_off=(0x0; 0xf)",
			"14 to 15: r4 is umin=0x5,umax=0xffffffff,smin=5,smax=4294967295,umin32=0x5,var_off=(0x0; 0xffffffff)",
		}},
		{"6.18", 55, []int{12, 32}, []string{
			"6 to 7: r2 is umax=0xf,smin=0,smax=15,umax32=0xf,smin32=0,smax32=15,var_off=(0x0; 0xf)",
			"16 to 17: r5 is umax=0xf,smin=0,smax=15,umax32=0xf,smin32=0,smax32=15,var_off=(0x0; 0xf)",
			"20 to 21: r8 is umin=0x1,umax=0x3,smin=1,smax=3,umin32=0x1,umax32=0x3,smin32=1,smax32=3,var_off=(0x0; 0x3)",
			"21 to 22: r8 is 0x3",
			"26 to 27: r0 is umin=0x1,umax=0x2,smin=1,smax=2,umin32=0x1,umax32=0x2,smin32=1,smax32=2,var_off=(0x0; 0x3)",
		}},
	} {
		t.Run(tt.kernel, func(t *testing.T) {
			log, err := Read(readLog(t, tt.kernel))
			if err != nil {
				t.Fatal(err)
			}
			if log.Stats.Processed != tt.processed || log.Stats.Limit != 1_000_000 || log.Stats.Time == 0 || log.Stats.Deepest() != 8 {
				t.Errorf("statistics %+v", log.Stats)
			}
			if pruned := slices.Sorted(maps.Keys(log.Pruned)); !slices.Equal(pruned, tt.pruned) {
				t.Errorf("paths were given up at %v, want %v", pruned, tt.pruned)
			}
			said := describe(log)
			for _, line := range tt.says {
				if !slices.Contains(said, line) {
					t.Errorf("%q is not among\n%s", line, strings.Join(said, "\n"))
				}
			}
		})
	}
}

// What is not known is an error, with the line.
func TestReadRefuses(t *testing.T) {
	text := readLog(t, "6.18")
	for _, tt := range []struct{ name, old, new, want string }{
		{"another word for numbers", "R2=scalar(smin=", "R2=scalar(least=", "least"},
		{"another way to write bits", "var_off=(0x0; 0xf)", "var_off=(0x0/0xf)", "0x0/0xf"},
		{"a register too many", "R5=scalar", "R12=scalar", "R12"},
		{"no opcode", "6: (57) r2", "6: (and) r2", "(and)"},
		{"another instruction at a place", "20: (07) r8 += 1                      ; R8=2", "20: (0f) r8 += 1                      ; R8=2", "was 0x07"},
		{"paths of speculation", "from 14 to 18:", "from 14 to 18 (speculative execution):", "CAP_PERFMON"},
		{"a path from nowhere", "from 14 to 18:", "from 14 of 18:", "from where to where"},
		{"a line that is missing", "6: (57) r2 &= 15", "", "54 instructions"},
		{"no statistics", "processed 55 insns", "looked at 55 insns", "how many"},
		{"statistics without a number", "processed 55 insns", "processed many insns", "many"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			broken := text
			if i := strings.Index(text, "0: R1=ctx()"); i >= 0 {
				broken = text[:i] + strings.ReplaceAll(text[i:], tt.old, tt.new)
			}
			if broken == text {
				t.Fatal("the log is as it was")
			}
			_, err := Read(broken)
			if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("the error is %v, which does not say %q", err, tt.want)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add(readLog(f, "6.18"))
	f.Fuzz(func(t *testing.T, text string) {
		if log, err := Read(text); err == nil && log.Stats.Processed == 0 && len(log.Opcodes) > 0 {
			t.Error("instructions are shown that were not looked at")
		}
	})
}

func TestStatsTellAnomalies(t *testing.T) {
	text := "REG INVARIANTS VIOLATION (true_reg1): range bounds violation u64=[0x1, 0x0]\nstack depth 32+0+16 max 48\nverification time 12 usec\n" +
		"processed 9 insns (limit 1000000) max_states_per_insn 1 total_states 3 peak_states 2 mark_read 1\n"
	s, err := ReadStats(text)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Warnings) != 1 || !strings.HasPrefix(s.Warnings[0], "REG INVARIANTS") {
		t.Errorf("warnings %q", s.Warnings)
	}
	if !slices.Equal(s.Stack, []int{32, 0, 16}) || s.Deepest() != 32 || s.TotalStates != 3 || s.PeakStates != 2 || s.MaxStates != 1 || s.MarkRead != 1 {
		t.Errorf("statistics %+v", s)
	}
}
