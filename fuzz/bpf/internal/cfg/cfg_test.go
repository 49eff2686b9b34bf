package cfg

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/cilium/ebpf/asm"
)

// The programs of these tests are written with raw offsets, as an ELF has them.

func branch(op asm.JumpOp, dst asm.Register, value int32, off int16) asm.Instruction {
	ins := op.Imm(dst, value, "").WithReference("")
	ins.Offset = off
	return ins
}

func ja(off int16) asm.Instruction {
	return asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Ja), Offset: off}
}

func gotol(off int64) asm.Instruction {
	return asm.Instruction{OpCode: asm.OpCode(asm.Jump32Class).SetJumpOp(asm.Ja), Constant: off}
}

func mapPtr(dst asm.Register, name string) asm.Instruction {
	return asm.LoadMapPtr(dst, 0).WithReference(name)
}

func function(t *testing.T, insns ...asm.Instruction) *Func {
	t.Helper()
	insns[0] = insns[0].WithSymbol("f")
	funcs, err := Split(insns)
	if err != nil {
		t.Fatal(err)
	}
	return funcs[0]
}

func TestSplit(t *testing.T) {
	funcs, err := Split(asm.Instructions{
		asm.LoadImm(asm.R0, 1<<40, asm.DWord).WithSymbol("main"),
		asm.FnKtimeGetNs.Call(),
		asm.Return(),
		asm.Mov.Imm(asm.R0, 1).WithSymbol("sub"),
		asm.Return(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(funcs) != 2 || funcs[0].Name != "main" || funcs[1].Name != "sub" || funcs[1].First != 3 {
		t.Errorf("functions %+v", funcs)
	}
	if want := []int{0, 2, 3, 4}; !reflect.DeepEqual(funcs[0].Offsets, want) {
		t.Errorf("offsets %v, want %v", funcs[0].Offsets, want)
	}
}

func TestSplitRefuses(t *testing.T) {
	ret := asm.Return()
	for name, test := range map[string]struct {
		code asm.Instructions
		want string
	}{
		"nothing":                   {nil, "without instructions"},
		"no opcode":                 {asm.Instructions{{OpCode: asm.InvalidOpCode}, ret}, "no opcode"},
		"no register":               {asm.Instructions{asm.Mov.Imm(11, 0), ret}, "does not exist"},
		"a jump behind the end":     {asm.Instructions{ja(1), ret}, "where no instruction"},
		"a jump before the start":   {asm.Instructions{ja(-2), ret}, "where no instruction"},
		"a jump into the middle":    {asm.Instructions{branch(asm.JEq, asm.R1, 0, 1), asm.LoadImm(asm.R0, 1, asm.DWord), ret}, "where no instruction"},
		"a jump out of a function":  {asm.Instructions{ja(1), ret, ret.WithSymbol("g")}, "where no instruction"},
		"a long jump too far":       {asm.Instructions{gotol(1 << 30), ret}, "where no instruction"},
		"a label":                   {asm.Instructions{asm.Ja.Label("x"), ret}, "has not been resolved"},
		"no end":                    {asm.Instructions{asm.Mov.Imm(asm.R0, 0)}, "neither exits nor jumps"},
		"a branch at the end":       {asm.Instructions{ret, branch(asm.JEq, asm.R1, 0, -2)}, "neither exits nor jumps"},
		"a jump through a register": {asm.Instructions{{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Ja).SetSource(asm.RegSource)}, ret}, "address in a register"},
	} {
		if _, err := Split(test.code); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, test.want)
		}
	}
}

func TestEdges(t *testing.T) {
	entry := Edge{From: -1}
	for name, test := range map[string]struct {
		code asm.Instructions
		want []Edge
	}{
		"straight": {
			asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
			[]Edge{entry},
		},
		"diamond": {
			asm.Instructions{
				branch(asm.JEq, asm.R1, 0, 2), asm.Mov.Imm(asm.R0, 1), ja(1), asm.Mov.Imm(asm.R0, 2), asm.Return(),
			},
			[]Edge{
				entry,
				{From: 0, To: 1, TwoWay: true},
				{From: 0, To: 3, TwoWay: true, Taken: true},
				{From: 2, To: 4, Taken: true},
				{From: 3, To: 4},
			},
		},
		"loop over a wide load": {
			asm.Instructions{
				asm.Mov.Imm(asm.R0, 0), asm.LoadImm(asm.R2, 7, asm.DWord), asm.Add.Imm(asm.R0, 1),
				branch(asm.JLT, asm.R0, 9, -4), asm.Return(),
			},
			[]Edge{
				entry,
				{From: 0, To: 1},
				{From: 3, To: 4, TwoWay: true},
				{From: 3, To: 1, TwoWay: true, Taken: true, Back: true},
			},
		},
		"loop closed by a long jump": {
			asm.Instructions{
				asm.Mov.Imm(asm.R0, 0), branch(asm.JGT, asm.R0, 9, 2), asm.Add.Imm(asm.R0, 1), gotol(-3), asm.Return(),
			},
			[]Edge{
				entry,
				{From: 0, To: 1},
				{From: 1, To: 2, TwoWay: true},
				{From: 1, To: 4, TwoWay: true, Taken: true},
				{From: 3, To: 1, Taken: true, Back: true},
			},
		},
		"loop closed by falling": {
			asm.Instructions{
				ja(1), asm.Add.Imm(asm.R0, 1), branch(asm.JGT, asm.R0, 9, 1), ja(-3), asm.Return(),
			},
			[]Edge{
				entry,
				{From: 0, To: 2, Taken: true},
				{From: 1, To: 2, Back: true},
				{From: 2, To: 3, TwoWay: true},
				{From: 2, To: 4, TwoWay: true, Taken: true},
				{From: 3, To: 1, Taken: true},
			},
		},
		"branch to the next instruction": {
			asm.Instructions{branch(asm.JEq, asm.R1, 0, 0), asm.Return()},
			[]Edge{entry, {From: 0, To: 1, TwoWay: true}, {From: 0, To: 1, TwoWay: true, Taken: true}},
		},
		"unreachable code": {
			asm.Instructions{asm.Return(), branch(asm.JEq, asm.R1, 0, 0), asm.Return()},
			[]Edge{entry},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := function(t, test.code...).Edges(); !reflect.DeepEqual(got, test.want) {
				t.Errorf("edges\n%+v, want\n%+v", got, test.want)
			}
		})
	}
}

func TestEffects(t *testing.T) {
	const r0, r1, r2, r3, r6 = asm.R0, asm.R1, asm.R2, asm.R3, asm.R6
	movsx := asm.Mov.Reg(r1, r2)
	movsx.OpCode = movsx.OpCode.SetALUOp(asm.MovSX8)
	for name, test := range map[string]struct {
		ins  asm.Instruction
		want Effect
	}{
		"mov":            {asm.Mov.Reg(r1, r2), Effect{Use: Regs(r2), Def: Regs(r1)}},
		"mov constant":   {asm.Mov.Imm32(r1, 2), Effect{Def: Regs(r1)}},
		"mov sign":       {movsx, Effect{Use: Regs(r2), Def: Regs(r1)}},
		"add":            {asm.Add.Reg(r1, r2), Effect{Use: Regs(r1, r2), Def: Regs(r1)}},
		"big-endian":     {asm.HostTo(asm.BE, r1, asm.Half), Effect{Use: Regs(r1), Def: Regs(r1)}},
		"neg":            {asm.Neg.Imm(r1, 0), Effect{Use: Regs(r1), Def: Regs(r1)}},
		"load":           {asm.LoadMem(r1, r2, 0, asm.Word), Effect{Use: Regs(r2), Def: Regs(r1)}},
		"store":          {asm.StoreMem(r1, 0, r2, asm.Word), Effect{Use: Regs(r1, r2)}},
		"store constant": {asm.StoreImm(r1, 0, 2, asm.Word), Effect{Use: Regs(r1)}},
		"wide load":      {asm.LoadImm(r1, 1, asm.DWord), Effect{Def: Regs(r1)}},
		"packet load":    {asm.LoadAbs(0, asm.Word), Effect{Use: Regs(r6), Def: Regs(r0), Kill: Args}},
		"packet load at": {asm.LoadInd(r0, r3, 0, asm.Word), Effect{Use: Regs(r6, r3), Def: Regs(r0), Kill: Args}},
		"call":           {asm.FnMapLookupElem.Call(), Effect{Use: Args, Def: Regs(r0), Kill: Args}},
		"exit":           {asm.Return(), Effect{Use: Regs(r0)}},
		"jump":           {ja(3), Effect{}},
		"branch":         {branch(asm.JEq, r1, 0, 0), Effect{Use: Regs(r1)}},
		"branch on two":  {asm.JEq.Reg(r1, r2, ""), Effect{Use: Regs(r1, r2)}},
		"atomic add":     {asm.AddAtomic.Mem(r1, r2, asm.DWord, 0), Effect{Use: Regs(r1, r2)}},
		"fetch add":      {asm.FetchAdd.Mem(r1, r2, asm.DWord, 0), Effect{Use: Regs(r1, r2), Def: Regs(r2)}},
		"exchange if":    {asm.CmpXchg.Mem(r1, r2, asm.DWord, 0), Effect{Use: Regs(r0, r1, r2), Def: Regs(r0)}},
		"load acquire":   {asm.LoadAcquire(r1, r2, asm.DWord, 0), Effect{Use: Regs(r2), Def: Regs(r1)}},
		"store release":  {asm.StoreRelease(r1, r2, asm.DWord, 0), Effect{Use: Regs(r1, r2)}},
	} {
		if got := EffectOf(&test.ins); got != test.want {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}

func TestUsage(t *testing.T) {
	f := function(t,
		asm.Mov.Reg(asm.R6, asm.R1),     // 0
		branch(asm.JEq, asm.R6, 0, 1),   // 1
		asm.Mov.Imm(asm.R7, 1),          // 2
		asm.Mov.Imm(asm.R1, 1),          // 3
		asm.FnSkbChangeTail.Call(),      // 4
		asm.Add.Reg(asm.R0, asm.R6),     // 5
		branch(asm.JGT, asm.R0, 10, -2), // 6
		asm.Return(),                    // 7
	)
	u := f.Usage(MainEntry)
	for i, want := range []struct{ live, maybe, surely RegSet }{
		{Args, Regs(1), Regs(1)},
		{Regs(2, 3, 4, 5, 6), Regs(1, 6), Regs(1, 6)},
		{Regs(2, 3, 4, 5, 6), Regs(1, 6), Regs(1, 6)},
		{Regs(2, 3, 4, 5, 6), Regs(1, 6, 7), Regs(1, 6)},
		{Regs(1, 2, 3, 4, 5, 6), Regs(1, 6, 7), Regs(1, 6)},
		{Regs(0, 6), Regs(0, 6, 7), Regs(0, 6)},
		{Regs(0, 6), Regs(0, 6, 7), Regs(0, 6)},
		{Regs(0), Regs(0, 6, 7), Regs(0, 6)},
	} {
		if u.Live[i] != want.live || u.Maybe[i] != want.maybe || u.Surely[i] != want.surely {
			t.Errorf("instruction %d: live %v, maybe %v, surely %v; want %v", i, u.Live[i], u.Maybe[i], u.Surely[i], want)
		}
	}
	room := u.Before(6)
	if room.Free != General&^Regs(0, 6) || room.Savable != Regs(0, 6) {
		t.Errorf("room %+v", room)
	}
	if got := u.On(Edge{From: 6, To: 7}, MainEntry).Free; got != General&^Regs(0) {
		t.Errorf("free on the way out: %v", got)
	}
	if got := u.On(Edge{From: -1}, CallEntry); got.Free != General&^Args || got.Savable != 0 {
		t.Errorf("room on entry: %+v", got)
	}
}

func TestMentioned(t *testing.T) {
	f := function(t, asm.LoadAbs(0, asm.Byte), asm.Mov.Reg(asm.R7, asm.R0), asm.Return())
	if got := f.Mentioned(); got != Args|Regs(0, 6, 7) {
		t.Errorf("mentioned %v", got)
	}
}

func TestStackDepth(t *testing.T) {
	ret := asm.Return()
	for name, test := range map[string]struct {
		code  asm.Instructions
		depth int
		ok    bool
	}{
		"none":             {asm.Instructions{ret}, 0, true},
		"store":            {asm.Instructions{asm.StoreImm(asm.R10, -20, 0, asm.Word), ret}, 20, true},
		"store by a copy":  {asm.Instructions{asm.Mov.Reg(asm.R2, asm.R10), asm.Add.Imm(asm.R2, -24), asm.StoreImm(asm.R2, -8, 0, asm.Word), ret}, 32, true},
		"argument":         {asm.Instructions{asm.Mov.Reg(asm.R2, asm.R10), asm.Add.Imm(asm.R2, -40), asm.FnMapLookupElem.Call(), ret}, 40, true},
		"indexed":          {asm.Instructions{asm.Mov.Reg(asm.R2, asm.R10), asm.Add.Imm(asm.R2, -64), asm.Add.Reg(asm.R2, asm.R1), asm.StoreImm(asm.R2, 0, 0, asm.Byte), ret}, 64, true},
		"index first":      {asm.Instructions{asm.Mov.Reg(asm.R2, asm.R10), asm.Add.Reg(asm.R2, asm.R1), asm.StoreImm(asm.R2, -64, 0, asm.Byte), ret}, 64, true},
		"negative index":   {asm.Instructions{asm.Mov.Reg(asm.R2, asm.R10), asm.Add.Reg(asm.R2, asm.R1), asm.StoreImm(asm.R2, 0, 0, asm.Byte), ret}, 0, false},
		"index subtracted": {asm.Instructions{asm.Mov.Reg(asm.R2, asm.R10), asm.Sub.Reg(asm.R2, asm.R1), asm.StoreImm(asm.R2, 0, 0, asm.Byte), ret}, 512, true},
		"walking down":     {asm.Instructions{asm.Mov.Reg(asm.R2, asm.R10), asm.Add.Imm(asm.R2, -8), asm.StoreImm(asm.R2, 0, 0, asm.Byte), branch(asm.JEq, asm.R1, 0, -3), ret}, 1024, false},
		"beyond the frame": {asm.Instructions{asm.StoreImm(asm.R10, -520, 0, asm.Word), ret}, 520, false},
	} {
		f := function(t, test.code...)
		depth, ok := f.StackDepth(f.Flow(nil))
		if depth != test.depth || ok != test.ok {
			t.Errorf("%s: depth %d, %v; want %d, %v", name, depth, ok, test.depth, test.ok)
		}
	}
}

func TestFlow(t *testing.T) {
	spill := asm.StoreMem(asm.R10, -8, asm.R1, asm.DWord)
	fill := asm.LoadMem(asm.R2, asm.R10, -8, asm.DWord)
	ret := asm.Return()
	for name, test := range map[string]struct {
		code asm.Instructions
		want Value // of r2 at the last instruction, taint included; instruction 0 is the source
	}{
		"map":                  {asm.Instructions{mapPtr(asm.R2, "m"), ret}, Value{Kind: Map, Map: "m", Taint: 1}},
		"map moved":            {asm.Instructions{mapPtr(asm.R1, "m"), asm.Mov.Reg(asm.R2, asm.R1), ret}, Value{Kind: Map, Map: "m", Taint: 1}},
		"map spilled":          {asm.Instructions{mapPtr(asm.R1, "m"), spill, asm.FnKtimeGetNs.Call(), fill, ret}, Value{Kind: Map, Map: "m", Taint: 1}},
		"spill overwritten":    {asm.Instructions{mapPtr(asm.R1, "m"), spill, asm.StoreImm(asm.R10, -8, 0, asm.Word), fill, ret}, Value{Kind: Any, Taint: 1}},
		"spill overwritten 64": {asm.Instructions{mapPtr(asm.R1, "m"), spill, asm.Mov.Imm(asm.R1, 0), spill, fill, ret}, Value{Kind: Any}},
		"same map both ways":   {asm.Instructions{mapPtr(asm.R2, "m"), branch(asm.JEq, asm.R1, 0, 2), mapPtr(asm.R2, "m"), ret}, Value{Kind: Map, Map: "m", Taint: 1}},
		"one of two maps":      {asm.Instructions{mapPtr(asm.R2, "m"), branch(asm.JEq, asm.R1, 0, 2), mapPtr(asm.R2, "n"), ret}, Value{Kind: Any, Taint: 1}},
		"lost by a call":       {asm.Instructions{mapPtr(asm.R2, "m"), asm.FnKtimeGetNs.Call(), ret}, Value{Kind: Any}},
		"arithmetic":           {asm.Instructions{mapPtr(asm.R1, "m"), asm.Mov.Imm(asm.R2, 3), asm.Add.Reg(asm.R2, asm.R1), ret}, Value{Kind: Any, Taint: 1}},
		"loaded through":       {asm.Instructions{mapPtr(asm.R1, "m"), asm.LoadMem(asm.R2, asm.R1, 0, asm.DWord), ret}, Value{Kind: Any}},
		"global data": {
			asm.Instructions{asm.LoadMapValue(asm.R2, 0, 16).WithReference(".bss"), asm.Add.Imm(asm.R2, 4), ret},
			Value{Kind: MapValue, Map: ".bss", Off: 20, Taint: 1},
		},
		"stack": {asm.Instructions{asm.Mov.Reg(asm.R2, asm.R10), asm.Add.Imm(asm.R2, -12), ret}, Value{Kind: Stack, Off: -12, Taint: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			f := function(t, test.code...)
			var got Value
			f.Flow(map[int]uint64{0: 1}).Walk(func(i int, s *State) {
				if i == len(f.Insns)-1 {
					got = s.Regs[asm.R2]
				}
			})
			if got != test.want {
				t.Errorf("r2 is %+v, want %+v", got, test.want)
			}
		})
	}
}

func ExampleRegSet() {
	fmt.Println(Args, Regs(asm.R0, asm.R10), General.Len())
	// Output: {r1 r2 r3 r4 r5} {r0 rfp} 10
}
