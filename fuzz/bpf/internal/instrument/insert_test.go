package instrument

import (
	"testing"

	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/cfg"
)

func branch(op asm.JumpOp, dst asm.Register, value int32, off int16) asm.Instruction {
	ins := op.Imm(dst, value, "").WithReference("")
	ins.Offset = off
	return ins
}

func ja(off int16) asm.Instruction {
	return asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Ja), Offset: off}
}

// machine interprets the few instructions that these tests need: it adds to r0,
// branches on r1, and keeps a log of the numbers moved to r9.
func machine(t *testing.T, code asm.Instructions, r1 int64) (r0 int64, log []int64) {
	t.Helper()
	f, err := cfg.Split(code)
	if err != nil {
		t.Fatal(err)
	}
	regs := [11]int64{1: r1}
	for pc, steps := 0, 0; steps < 1_000_000; steps++ {
		ins := &f[0].Insns[pc]
		pc++
		switch {
		case cfg.IsExit(ins):
			return regs[0], log
		case cfg.IsJa(ins):
			pc = f[0].Targets[pc-1]
		case cfg.IsBranch(ins):
			taken := regs[ins.Dst] == ins.Constant
			if ins.OpCode.JumpOp() == asm.JLT {
				taken = regs[ins.Dst] < ins.Constant
			}
			if taken {
				pc = f[0].Targets[pc-1]
			}
		case ins.OpCode.ALUOp() == asm.Add:
			regs[ins.Dst] += ins.Constant
		case ins.Dst == asm.R9:
			log = append(log, ins.Constant)
		case ins.OpCode.ALUOp() == asm.Mov || ins.OpCode.IsDWordLoad():
			regs[ins.Dst] = ins.Constant
		default:
			t.Fatalf("the machine does not know %v", ins)
		}
	}
	t.Fatal("the machine does not come to an end")
	return 0, nil
}

// TestInsertPlaces puts a number at each place of a program and looks at which
// are passed, and in which order.
func TestInsertPlaces(t *testing.T) {
	program := asm.Instructions{
		asm.Add.Imm(asm.R0, 1).WithSymbol("f"), // 0: a loop that jumps to the entry
		branch(asm.JLT, asm.R0, 2, -2),         // 1
		branch(asm.JEq, asm.R1, 0, 1),          // 2: to 4
		branch(asm.JEq, asm.R1, 1, 3),          // 3: to 6, over the wide load and 5
		asm.LoadImm(asm.R2, 0, asm.DWord),      // 4: two slots, from 2 and 3
		asm.Add.Imm(asm.R0, 10),                // 5
		branch(asm.JEq, asm.R1, 2, 1),          // 6
		ja(1),                                  // 7
		asm.Add.Imm(asm.R0, 100),               // 8: only 6 leads here
		asm.Return(),                           // 9
	}
	for name, test := range map[string]struct {
		at   insertion
		want [3]int // how often it is passed for r1 = 0, 1, 2
	}{
		"entry":                      {insertion{place: onEntry}, [3]int{1, 1, 1}},
		"before the entry":           {insertion{place: before, insn: 0}, [3]int{2, 2, 2}},
		"back edge":                  {insertion{place: onTaken, insn: 1}, [3]int{1, 1, 1}},
		"out of the loop":            {insertion{place: onFall, insn: 1}, [3]int{1, 1, 1}},
		"taken to a join":            {insertion{place: onTaken, insn: 2}, [3]int{1, 0, 0}},
		"not taken":                  {insertion{place: onFall, insn: 2}, [3]int{0, 1, 1}},
		"taken over a wide load":     {insertion{place: onTaken, insn: 3}, [3]int{0, 1, 0}},
		"fallen into a join":         {insertion{place: onFall, insn: 3}, [3]int{0, 0, 1}},
		"before a join":              {insertion{place: before, insn: 4}, [3]int{1, 0, 1}},
		"behind straight code":       {insertion{place: onFall, insn: 5}, [3]int{1, 0, 1}},
		"before a branch":            {insertion{place: before, insn: 6}, [3]int{1, 1, 1}},
		"taken to a single way in":   {insertion{place: onTaken, insn: 6}, [3]int{0, 0, 1}},
		"before an unconditional":    {insertion{place: before, insn: 7}, [3]int{1, 1, 0}},
		"taken by an unconditional":  {insertion{place: onTaken, insn: 7}, [3]int{1, 1, 0}},
		"before a single way in":     {insertion{place: before, insn: 8}, [3]int{0, 0, 1}},
		"behind, into the exit":      {insertion{place: onFall, insn: 8}, [3]int{0, 0, 1}},
		"before the exit, all joins": {insertion{place: before, insn: 9}, [3]int{1, 1, 1}},
	} {
		for r1, want := range test.want {
			funcs, err := cfg.Split(program)
			if err != nil {
				t.Fatal(err)
			}
			test.at.code = asm.Instructions{asm.Mov.Imm(asm.R9, 7)}
			code, err := insert(funcs[0], funcs[0].Insns, []insertion{test.at})
			if err != nil {
				t.Fatal(err)
			}
			wantRet, _ := machine(t, program, int64(r1))
			ret, log := machine(t, code, int64(r1))
			if ret != wantRet || len(log) != want {
				t.Errorf("%s, r1 = %d: result %d, want %d; passed %d times, want %d\n%v", name, r1, ret, wantRet, len(log), want, code)
			}
		}
	}
}

func TestInsertOrder(t *testing.T) {
	program := asm.Instructions{asm.Mov.Imm(asm.R0, 0).WithSymbol("f"), branch(asm.JEq, asm.R1, 0, 0), asm.Return()}
	note := func(n int32) asm.Instructions { return asm.Instructions{asm.Mov.Imm(asm.R9, n)} }
	funcs, err := cfg.Split(program)
	if err != nil {
		t.Fatal(err)
	}
	code, err := insert(funcs[0], funcs[0].Insns, []insertion{
		{place: before, insn: 2, code: note(5)},
		{place: onTaken, insn: 1, code: note(4)},
		{place: before, insn: 0, code: note(3)},
		{place: onEntry, code: note(1)},
		{place: onEntry, code: note(2)},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, log := machine(t, code, 0)
	for i := range log {
		if log[i] != int64(i+1) {
			t.Fatalf("passed in the order %v\n%v", log, code)
		}
	}
	if len(log) != 5 {
		t.Errorf("passed %v", log)
	}
}

// TestInsertMovesIdentity: what the kernel wants at the start of a function is
// there, once.
func TestInsertMovesIdentity(t *testing.T) {
	fn := &btf.Func{Name: "f"}
	first := btf.WithFuncMetadata(asm.LoadMapPtr(asm.R1, 0).WithReference("m").WithSymbol("f").WithSource(asm.Comment("line 1")), fn)
	program := asm.Instructions{first, asm.Mov.Imm(asm.R0, 0), asm.Return()}
	funcs, err := cfg.Split(program)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []place{onEntry, before} {
		code, err := insert(funcs[0], funcs[0].Insns, []insertion{{place: at, code: asm.Instructions{asm.Mov.Imm(asm.R9, 1)}}})
		if err != nil {
			t.Fatal(err)
		}
		if code[0].Symbol() != "f" || btf.FuncMetadata(&code[0]) != fn || code[0].Source() == nil {
			t.Errorf("the first instruction is %+v", code[0])
		}
		if code[1].Symbol() != "" || btf.FuncMetadata(&code[1]) != nil || code[1].Reference() != "m" {
			t.Errorf("the old first instruction is %+v", code[1])
		}
		if program[0].Symbol() != "f" || btf.FuncMetadata(&program[0]) != fn {
			t.Error("the original has changed")
		}
	}
}

// TestInsertRelaxesJumps makes every kind of jump too far for 16 bits.
func TestInsertRelaxesJumps(t *testing.T) {
	const filler = 33_000
	program := asm.Instructions{asm.Mov.Imm(asm.R0, 0).WithSymbol("f")}
	program = append(program,
		branch(asm.JEq, asm.R1, 1, 2), // 1: to 4
		branch(asm.JEq, asm.R1, 2, 1), // 2: to 4
		ja(2),                         // 3: to 6
		asm.Add.Imm(asm.R0, 1),        // 4
		asm.Return(),                  // 5
		asm.Add.Imm(asm.R0, 2),        // 6
		branch(asm.JLT, asm.R0, 6, -2),
		asm.Return(),
	)
	funcs, err := cfg.Split(program)
	if err != nil {
		t.Fatal(err)
	}
	much := make(asm.Instructions, filler)
	for i := range much {
		much[i] = asm.Add.Imm(asm.R3, 1)
	}
	code, err := insert(funcs[0], funcs[0].Insns, []insertion{
		{place: onFall, insn: 2, code: much}, {place: before, insn: 4, code: much}, {place: onFall, insn: 6, code: much},
	})
	if err != nil {
		t.Fatal(err)
	}
	long := 0
	for i := range code {
		if cfg.IsLongJump(&code[i]) {
			long++
		}
	}
	if long != 4 {
		t.Errorf("%d long jumps, want 4", long)
	}
	for r1 := range int64(3) {
		want, _ := machine(t, program, r1)
		if got, _ := machine(t, code, r1); got != want {
			t.Errorf("r1 = %d: result %d, want %d", r1, got, want)
		}
	}
}
