package bpf

import (
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
)

// looping returns a program that compares in each of so many turns of a loop, all of
// which the verifier follows: filler instructions in each bring it near its limit of a
// million, and turns near that of 8192 branches on a path.
func looping(turns int32, filler int) *ebpf.CollectionSpec {
	code := asm.Instructions{
		asm.Mov.Imm(asm.R7, 0).WithSymbol("looping"),
		asm.LoadMem(asm.R6, asm.R1, xdpOffQueue, asm.Word),
		jump(asm.JNE, asm.R6, 0x1234, 1),
		asm.Mov.Imm(asm.R0, 1),
		asm.Mov.Imm(asm.R0, 0),
	}
	for range filler {
		code = append(code, asm.Mov.Imm(asm.R0, 0))
	}
	code = append(code,
		asm.Add.Imm(asm.R7, 1),
		jump(asm.JLT, asm.R7, turns, int16(-6-filler)),
		asm.Mov.Imm(asm.R0, 2),
		asm.Return(),
	)
	return &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{
		"looping": {Name: "looping", Type: ebpf.XDP, License: "GPL", Instructions: code},
	}}
}

func jump(op asm.JumpOp, r asm.Register, with int32, over int16) asm.Instruction {
	return asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(op).SetSource(asm.ImmSource), Dst: r, Constant: int64(with), Offset: over}
}

// TestCompareVariantIsRejected has a program that the kernel accepts with all probes,
// and with no code that logs or scores what it compares. It is fuzzed, and says so.
func TestCompareVariantIsRejected(t *testing.T) {
	needBatches(t)
	const logs, scores = "the kernel accepts no code of this program that logs what is compared", "the kernel accepts no code of this program that scores"
	var target *Target
	for _, filler := range []int{46, 48, 50, 52, 54} { // kernels differ a little in what they count
		next, err := NewTarget(FromSpec("looping.o", looping(8000, filler)), Options{MaxSteps: 1})
		if err != nil {
			t.Fatal(err)
		}
		if target = next; target.compare.Rung == instrument.None {
			break
		}
	}
	if target.compare.Rung != instrument.None || target.step.Rung == instrument.None {
		t.Fatalf("coverage %v, comparisons %v: the program is no test of what is rejected", target.step, target.compare)
	}
	if notes := target.Notes(); !slices.ContainsFunc(notes, func(note string) bool { return strings.HasPrefix(note, logs) }) {
		t.Errorf("notes %q lack one that begins with %q", notes, logs)
	}
	isolated(t, func() {
		got, err := open(t, target).Compare(t.Context(), &corpus.Input{Steps: []corpus.Step{{Packet: frame(60, 0)}}}, nil)
		if err != nil || len(got) > 0 {
			t.Errorf("Compare gives %v, %v", got, err)
		}
	})
	var warned []string
	result, err := fuzz.Run(t.Context(), target, fuzz.Options{Seed: 1, Execs: 30_000, Warn: func(err error) { warned = append(warned, err.Error()) }})
	if err != nil {
		t.Fatal(err)
	}
	if result.Stats.Edges == 0 || result.Stats.Execs < 30_000 {
		t.Errorf("%d edges in %d executions", result.Stats.Edges, result.Stats.Execs)
	}
	if len(warned) != 1 || !strings.HasPrefix(warned[0], scores) {
		t.Errorf("warnings are %q, want one that begins with %q", warned, scores)
	}
}

// TestThousandsOfComparisons has two thousand of them in a row.
func TestThousandsOfComparisons(t *testing.T) {
	needBatches(t)
	const many = 2000
	code := asm.Instructions{asm.Mov.Imm(asm.R0, 2).WithSymbol("many")}
	for i := range int32(many) { // loaded anew, since the verifier remembers what it was compared with
		code = append(code, asm.LoadMem(asm.R6, asm.R1, xdpOffQueue, asm.Word), jump(asm.JNE, asm.R6, 1000+i, 1), asm.Mov.Imm(asm.R0, 2))
	}
	target := targetOf(t, append(code, asm.Mov.Imm(asm.R0, 2), asm.Return()))
	if n := len(target.table.Comparisons); n != many {
		t.Fatalf("%d comparisons, want %d", n, many)
	}
	logged := len(target.plan.Layout(target.compare.Rung, instrument.Compare).Operands)
	said := slices.ContainsFunc(target.Notes(), func(note string) bool {
		return strings.Contains(note, "comparisons") || strings.Contains(note, "what is compared")
	})
	if (logged < many) != said {
		t.Errorf("%d of %d are logged, notes are %q", logged, many, target.Notes())
	}
	result, err := fuzz.Run(t.Context(), target, fuzz.Options{Seed: 1, Execs: 30_000})
	if err != nil {
		t.Fatal(err)
	}
	if result.Stats.Edges == 0 {
		t.Error("no edges")
	}
	t.Logf("%d of %d comparisons are logged, %d edges", logged, many, result.Stats.Edges)
}

// TestSequencesLongerThanDeclared are refused with the number that is allowed.
func TestSequencesLongerThanDeclared(t *testing.T) {
	needKernel(t)
	target := targetOf(t, asm.Instructions{asm.Mov.Imm(asm.R0, 2).WithSymbol("short"), asm.Return()})
	in := &corpus.Input{Steps: []corpus.Step{{Packet: frame(60, 0)}, {Packet: frame(60, 0)}}}
	_, err := fuzz.Run(t.Context(), target, fuzz.Options{Execs: 100, Seeds: []*corpus.Input{in}})
	if want := "checking seed 0: 2 steps, at most 1 are allowed"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %q", err, want)
	}
}
