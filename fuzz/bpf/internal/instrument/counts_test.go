package instrument_test

import (
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
)

// first puts the packet's first byte into r2, with nine instructions that are executed.
func first(rest ...asm.Instruction) asm.Instructions {
	return append(asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, 0, asm.Word),
		asm.LoadMem(asm.R3, asm.R1, 4, asm.Word),
		asm.Mov.Imm(asm.R0, 2),
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, 14),
		asm.JGT.Reg(asm.R4, asm.R3, "out"),
		asm.LoadMem(asm.R2, asm.R2, 0, asm.Byte),
		asm.And.Imm(asm.R2, 7),
		asm.JEq.Imm(asm.R2, 0, "out"),
	}, rest...)
}

// resolved gives jumps their offsets, as they have them after an ELF was read; symbols of
// functions stay.
func resolved(code asm.Instructions, functions ...string) asm.Instructions {
	at, slot := map[string]int{}, 0
	for i := range code {
		at[code[i].Symbol()] = slot
		slot += int(code[i].Width())
	}
	slot = 0
	for i := range code {
		ins := &code[i]
		slot += int(ins.Width())
		if to := ins.Reference(); to != "" && !ins.IsFunctionCall() {
			ins.Offset = int16(at[to] - slot)
			*ins = ins.WithReference("")
		}
		if !slices.Contains(functions, ins.Symbol()) {
			*ins = ins.WithSymbol("")
		}
	}
	return code
}

// TestInstructionsAreCounted: as many as were executed, by hand.
func TestInstructionsAreCounted(t *testing.T) {
	needKernel(t)
	tests := []struct {
		name string
		code asm.Instructions
		want func(first int) int
	}{
		{
			"straight",
			asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.LoadImm(asm.R1, 1<<40, asm.DWord), asm.Return()},
			func(int) int { return 3 },
		},
		{
			"branch", first(
				asm.JGT.Imm(asm.R2, 3, "large"),
				asm.Mov.Imm(asm.R0, 1),
				asm.Ja.Label("out"),
				asm.Mov.Imm(asm.R0, 2).WithSymbol("large"),
				asm.Mov.Imm(asm.R0, 2),
				asm.Return().WithSymbol("out"),
			),
			func(first int) int {
				switch {
				case first == 0:
					return 10
				case first > 3:
					return 13
				}
				return 13
			},
		},
		{
			"loop", first(
				asm.Add.Imm(asm.R2, -1).WithSymbol("again"),
				asm.JNE.Imm(asm.R2, 0, "again"),
				asm.Return().WithSymbol("out"),
			),
			func(first int) int { return 10 + 2*first },
		},
		{
			"loop with two ways", first(
				asm.Mov.Imm(asm.R5, 0),
				asm.Add.Imm(asm.R2, -1).WithSymbol("again"),
				asm.Add.Imm(asm.R5, 1),
				asm.JLE.Imm(asm.R2, 3, "small"),
				asm.Mov.Imm(asm.R4, 1),
				asm.Mov.Imm(asm.R4, 2),
				asm.Ja.Label("next"),
				asm.Mov.Imm(asm.R4, 3).WithSymbol("small"),
				asm.JNE.Imm(asm.R2, 0, "again").WithSymbol("next"),
				asm.Return().WithSymbol("out"),
			),
			func(first int) int {
				if first == 0 {
					return 10
				}
				n := 11
				for left := first - 1; left >= 0; left-- {
					if n += 5; left > 3 {
						n += 2
					}
				}
				return n
			},
		},
		{
			"call", first(
				asm.Mov.Reg(asm.R1, asm.R2),
				asm.Call.Label("double"),
				asm.Mov.Imm(asm.R0, 2),
				asm.Return().WithSymbol("out"),
				asm.Mov.Reg(asm.R0, asm.R1).WithSymbol("double"),
				asm.Add.Reg(asm.R0, asm.R1),
				asm.Return(),
			),
			func(first int) int {
				if first == 0 {
					return 10
				}
				return 16
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			spec := &ebpf.CollectionSpec{Maps: map[string]*ebpf.MapSpec{}, Programs: map[string]*ebpf.ProgramSpec{
				"counted": {Name: "counted", Type: ebpf.XDP, License: "GPL", Instructions: test.code},
			}}
			resolved(test.code, "double")
			spec.Programs["counted"].Instructions[0] = spec.Programs["counted"].Instructions[0].WithSymbol("counted")
			plan, err := instrument.Analyze([]instrument.Program{program(spec)}, instrument.Options{})
			if err != nil {
				t.Fatal(err)
			}
			s := newSubject(t, spec, instrument.Options{}, instrument.Full, instrument.Count)
			for first := range 8 {
				packet := make([]byte, 60)
				packet[0] = byte(first)
				s.run(t, packet)
				got := 0
				exact := plan.Executed(&s.layout, s.value, func(x instrument.Executed) { got += int(x.Instructions) })
				if want := test.want(first); got != want || !exact {
					t.Errorf("first byte %d: %d instructions (exact: %t), want %d", first, got, exact, want)
				}
			}
		})
	}
}
