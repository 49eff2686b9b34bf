package bpf

import (
	"encoding/binary"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/mutate"
	"github.com/bpffuzz/bpffuzz/triage"
)

// asksFor stores what helpers return into the packet, 8 bytes each.
func asksFor(typ ebpf.ProgramType, helpers ...asm.BuiltinFunc) *ebpf.CollectionSpec {
	data, end := int16(0), int16(xdpOffDataEnd)
	if typ != ebpf.XDP {
		data, end = 76, 80
	}
	code := asm.Instructions{
		asm.LoadMem(asm.R7, asm.R1, data, asm.Word).WithSymbol("asks"),
		asm.LoadMem(asm.R3, asm.R1, end, asm.Word),
		asm.Mov.Reg(asm.R4, asm.R7),
		asm.Add.Imm(asm.R4, int32(14+8*len(helpers))),
		asm.Mov.Imm(asm.R0, 0),
		jumpOver(asm.JLE, asm.R4, asm.R3, 1),
		asm.Return(),
	}
	for i, fn := range helpers {
		code = append(code, fn.Call(), asm.StoreMem(asm.R7, int16(14+8*i), asm.R0, asm.DWord))
	}
	code = append(code, asm.Mov.Imm(asm.R0, 0), asm.Return())
	return &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{"asks": {Name: "asks", Type: typ, License: "GPL", Instructions: code}}}
}

// answers runs the input alone and returns what was stored in the last step.
func answers(t *testing.T, e *executor, n int, steps ...[]byte) []uint64 {
	t.Helper()
	in := &corpus.Input{}
	for _, chance := range steps {
		in.Steps = append(in.Steps, corpus.Step{Packet: frame(14+8*n, 0), Chance: chance})
	}
	out := alone(t, e, in)
	var got []uint64
	for i := range n {
		got = append(got, binary.NativeEndian.Uint64(out.Steps[len(steps)-1].Packet[14+8*i:]))
	}
	return got
}

func TestVirtualHelpersAnswerFromTheInput(t *testing.T) {
	needKernel(t)
	helpers := []asm.BuiltinFunc{
		asm.FnGetPrandomU32, asm.FnKtimeGetNs, asm.FnGetSmpProcessorId, asm.FnKtimeGetBootNs,
		asm.FnGetSmpProcessorId, asm.FnKtimeGetCoarseNs, asm.FnJiffies64, asm.FnGetPrandomU32, asm.FnKtimeGetTaiNs,
	}
	target, err := NewTarget(FromSpec("asks.o", asksFor(ebpf.XDP, helpers...)), Options{MaxSteps: 2})
	if err != nil {
		t.Fatal(err)
	}
	if shape := target.Shape(); shape.ChanceSize == 0 || len(shape.Chance) > 0 {
		t.Errorf("the shape has room for %d bytes and unanswered %v", shape.ChanceSize, shape.Chance)
	}
	native := binary.NativeEndian
	chance := native.AppendUint32(nil, 0xdeadbeef)
	chance = native.AppendUint64(chance, 5)
	chance = append(chance, 0xff)
	chance = native.AppendUint64(chance, 0xffff<<48|7)
	chance = native.AppendUint64(chance, 1)
	chance = native.AppendUint64(chance, 4_000_000)
	chance = append(chance, 1, 2) // too few for a number: zeros follow
	const boot = 1 << 32
	cpu := uint64(0xff % target.machine.cpus)
	want := []uint64{0xdeadbeef, boot + 5, cpu, boot + 12, cpu, boot + 13, (boot + 4_000_013) / 4_000_000, 0x201, boot + 4_000_013}
	zeros := []uint64{0, boot, 0, boot, 0, boot, boot / 4_000_000, 0, boot}
	isolated(t, func() {
		e := open(t, target)
		for _, tt := range []struct {
			name  string
			steps [][]byte
			want  []uint64
		}{
			{"bytes", [][]byte{chance}, want},
			{"none", [][]byte{nil}, zeros},
			{"again", [][]byte{chance}, want},
			{"more than there is room for", [][]byte{make([]byte, 4096)}, zeros},
			{"a second step, later", [][]byte{chance, native.AppendUint64(make([]byte, 4), 3)}, []uint64{
				0, boot + 4_000_016, 0, boot + 4_000_016, 0, boot + 4_000_016, (boot + 4_000_016) / 4_000_000, 0, boot + 4_000_016,
			}},
		} {
			got := answers(t, e, len(helpers), tt.steps...)
			for i := range tt.want {
				if got[i] != tt.want[i] {
					t.Errorf("%s: %s gives %#x, want %#x", tt.name, helpers[i], got[i], tt.want[i])
				}
			}
		}
	})
}

// With the real helpers nothing is taken from inputs, and the target says so.
func TestRealHelpers(t *testing.T) {
	needKernel(t)
	target, err := NewTarget(FromSpec("asks.o", asksFor(ebpf.XDP, asm.FnKtimeGetNs)), Options{Setup: Setup{RealHelpers: true}})
	if err != nil {
		t.Fatal(err)
	}
	if shape := target.Shape(); shape.ChanceSize != 0 || len(shape.Chance) != 1 {
		t.Errorf("the shape has room for %d bytes and unanswered %v", shape.ChanceSize, shape.Chance)
	}
	isolated(t, func() {
		e := open(t, target)
		if a, b := answers(t, e, 1, nil)[0], answers(t, e, 1, nil)[0]; a >= b {
			t.Errorf("the time was %d and then %d", a, b)
		}
	})
}

// TestVirtualHelpersInBatches: a batch answers as single runs do, in programs of both
// kinds and inputs of several steps.
func TestVirtualHelpersInBatches(t *testing.T) {
	needBatches(t)
	for _, typ := range []ebpf.ProgramType{ebpf.XDP, ebpf.SchedCLS} {
		spec := asksFor(typ, asm.FnGetPrandomU32, asm.FnKtimeGetNs, asm.FnGetSmpProcessorId, asm.FnJiffies64)
		target, err := NewTarget(FromSpec("asks.o", spec), Options{MaxSteps: 3})
		if err != nil {
			t.Fatal(err)
		}
		isolated(t, func() {
			b, ref := mustBatch(t, target), open(t, target)
			mut := mutate.New(target.shape, mutate.Options{Seed: 5})
			seeds := []*corpus.Input{{Steps: []corpus.Step{{Packet: frame(60, 0)}}}}
			answered := 0
			for range 4 {
				fillSequences(b, mut, seeds)
				for i := range b.batch.Len() {
					for _, s := range b.batch.Input(i).Steps {
						if len(s.Chance) > 0 {
							answered++
						}
					}
				}
				if err := b.Run(t.Context()); err != nil {
					t.Fatal(err)
				}
				for i := range b.batch.Len() {
					in := b.batch.Input(i).Clone()
					var want []string
					for n := range alone(t, ref, in).Steps {
						want = append(want, outcomeText(&ref.result.Steps[n]))
					}
					for n := range want {
						if got := outcomeText(&b.batch.Outcome(i).Steps[n]); got != want[n] {
							t.Fatalf("%s: input %d, step %d: in a batch %.200s, alone %.200s", typ, i, n, got, want[n])
						}
					}
				}
			}
			if answered == 0 {
				t.Error("no input has bytes for virtual helpers")
			}
		})
	}
}

// Time-outs are found, and what needs a certain random number.
func TestFuzzingFindsTimeAndChance(t *testing.T) {
	needKernel(t)
	code := asm.Instructions{
		asm.FnKtimeGetNs.Call().WithSymbol("late"),
		asm.Mov.Reg(asm.R6, asm.R0),
		asm.FnKtimeGetNs.Call(),
		asm.Sub.Reg(asm.R0, asm.R6),
		asm.LoadImm(asm.R1, 30_000_000_000, asm.DWord),
		jumpOver(asm.JGT, asm.R0, asm.R1, 2),
		asm.Mov.Imm(asm.R0, 2),
		asm.Return(),
		asm.FnGetPrandomU32.Call(),
		{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.JEq).SetSource(asm.ImmSource), Dst: asm.R0, Constant: 0x5eed5eed, Offset: 2},
		asm.Mov.Imm(asm.R0, 2),
		asm.Return(),
		asm.Mov.Imm(asm.R0, 1),
		asm.Return(),
	}
	target := targetOf(t, code)
	result, err := fuzz.Run(t.Context(), target, fuzz.Options{
		Seed: 1, Execs: 50_000, Workers: 1, Seeds: mutate.Seeds(target.Shape()), Judge: judgeOf(t, target),
		Triage: triage.Options{Program: "late", Table: target.Table(), Shape: target.Shape()},
		Warn:   func(err error) { t.Log(err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	s := result.Stats
	t.Logf("%d of %d edges after %d runs, stability %.2f", s.Edges, s.Total, s.Execs, s.Stability)
	if s.Edges != s.Total || s.Stability < 1 {
		t.Errorf("%d of %d edges, stability %.2f", s.Edges, s.Total, s.Stability)
	}
	for _, f := range result.Findings {
		if f.Oracle == "nondeterministic" {
			t.Errorf("%s: %x", f.Key, f.Input.Steps)
		}
	}
}
