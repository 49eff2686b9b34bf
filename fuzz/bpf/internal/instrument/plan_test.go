package instrument

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"strings"
	"testing"

	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/cfg"
)

// sample has a diamond in the entry function, a loop in a function that it calls,
// and uses of maps.
func sample() asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1).WithSymbol("main"),
		asm.Mov.Imm(asm.R7, 0),
		branch(asm.JEq, asm.R6, 0, 2),
		asm.StoreImm(asm.R10, -8, 5, asm.Word),
		ja(1),
		asm.StoreImm(asm.R10, -8, 6, asm.Word),
		asm.Mov.Reg(asm.R2, asm.R10),
		asm.Add.Imm(asm.R2, -8),
		asm.LoadMapPtr(asm.R1, 0).WithReference("hash"),
		asm.FnMapDeleteElem.Call(),
		asm.Call.Label("sub"),
		asm.Mov.Imm(asm.R0, 2),
		asm.Return(),

		asm.Mov.Imm(asm.R0, 0).WithSymbol("sub"),
		asm.Add.Imm(asm.R0, 1),
		branch(asm.JLT, asm.R0, 9, -2),
		asm.LoadMapValue(asm.R1, 0, 8).WithReference(".bss"),
		asm.StoreMem(asm.R1, 0, asm.R0, asm.DWord),
		asm.Return(),
	}
}

func sampleOptions() Options {
	return Options{
		Maps:  map[string]MapInfo{"hash": {KeySize: 4}, ".bss": {KeySize: 4}},
		Range: func(string, uint32) (uint32, uint32) { return 8, 16 },
	}
}

func mustPlan(t *testing.T, opts Options, programs ...Program) *Plan {
	t.Helper()
	p, err := Analyze(programs, opts)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTable(t *testing.T) {
	p := mustPlan(t, sampleOptions(), Program{"p", sample()})
	table := p.Table(Full)
	type row struct {
		fn       string
		kind     cover.Kind
		from, to int
		probe    int
		via      []int
	}
	want := []row{
		{"main", cover.Entry, -1, 0, -1, []int{1, 2}},
		{"main", cover.FallThrough, 2, 3, 0, nil},
		{"main", cover.Taken, 2, 5, 1, nil},
		{"sub", cover.Entry, -1, 0, 2, nil},
		{"sub", cover.FallThrough, 2, 3, 3, nil},
		{"sub", cover.Taken, 2, 1, 4, nil},
	}
	ids := map[uint64]bool{}
	for i := range table.Edges {
		e := &table.Edges[i]
		ids[e.ID] = true
		if got := (row{e.Func, e.Kind, e.From, e.To, e.Probe, e.Via}); i >= len(want) || !reflect.DeepEqual(got, want[i]) {
			t.Errorf("edge %d: %+v", i, got)
		}
	}
	if len(ids) != len(want) || table.Probes != 5 || !reflect.DeepEqual(table.Loops, []int{5}) {
		t.Errorf("%d ids, %d probes, loops %v", len(ids), table.Probes, table.Loops)
	}
	wantLayout := Layout{
		Size: 8 + 8 + (8 + 8*8) + 8, Probes: 5, Loops: 1, Counters: 8,
		Sites: []Site{
			{Map: "hash", Kind: Keys, Off: 16, Stride: 8, KeySize: 4, Ring: Ring, Func: "main", Insn: 10, Helper: "FnMapDeleteElem"},
			{Map: ".bss", Kind: Range, Off: 88, Lo: 8, Hi: 16, Finds: true, Func: "sub", Insn: 3},
		},
	}
	if got := p.Layout(Full, Cover); !reflect.DeepEqual(got, wantLayout) {
		t.Errorf("layout\n%+v, want\n%+v", got, wantLayout)
	}
	batch := p.CoverLayout(Full, None, NewBatchLayout(XDP, 256, 64, 64))
	if got := batch.Sites[0]; got.Ring != 512 || got.Off != 16 || batch.Size != 8+8+(8+512*8)+8 {
		t.Errorf("in batches: a layout of %d bytes, first site %+v", batch.Size, got)
	}
	if got := p.Layout(Full, Trace); got.Cells != 4 || len(got.CellEdges) != 6 || got.Size != 32+72+8 {
		t.Errorf("layout of the trace variant %+v", got)
	}
}

// TestLadder goes down the rungs: the edges stay the same, ever less is inserted,
// and what is left out says so.
func TestLadder(t *testing.T) {
	p := mustPlan(t, sampleOptions(), Program{"p", sample()})
	full := p.Table(Full)
	size := uint64(1 << 20)
	for rung := Full; rung <= None; rung++ {
		table, layout := p.Table(rung), p.Layout(rung, Cover)
		for i := range table.Edges {
			e := table.Edges[i]
			if e.ID != full.Edges[i].ID {
				t.Errorf("%s: edge %d is another", rung, i)
			}
			if known := e.Probe >= 0 || len(e.Via) > 0; known == (e.Skipped != "") {
				t.Errorf("%s: edge %d is known: %v, skipped %q", rung, i, known, e.Skipped)
			}
		}
		if layout.Size < table.Len() || layout.Size%8 != 0 || layout.Probes != table.Probes || layout.Loops != len(table.Loops) {
			t.Errorf("%s: layout %+v of table with %d probes", rung, layout, table.Probes)
		}
		code, err := p.Rewrite(rung, Cover, "cover")
		if err != nil {
			t.Fatal(err)
		}
		if code[0].Size() > size {
			t.Errorf("%s: %d bytes, more than the rung before", rung, code[0].Size())
		}
		size = code[0].Size()
		for _, s := range layout.Sites {
			if (s.Off < 0) != (rung > Half) {
				t.Errorf("%s: site %+v", rung, s)
			}
			if s.Kind == Keys != (rung == Full && s.Map == "hash") {
				t.Errorf("%s: site %+v", rung, s)
			}
		}
	}
	if sample := sample(); size != sample.Size() {
		t.Errorf("%d bytes at the last rung, want the original's %d", size, sample.Size())
	}
}

func TestAnalyzeIsDeterministic(t *testing.T) {
	a, b := mustPlan(t, sampleOptions(), Program{"p", sample()}), mustPlan(t, sampleOptions(), Program{"p", sample()})
	for rung := Full; rung <= None; rung++ {
		for _, variant := range []Variant{Cover, Trace} {
			if !reflect.DeepEqual(a.Table(rung), b.Table(rung)) || !reflect.DeepEqual(a.Layout(rung, variant), b.Layout(rung, variant)) {
				t.Errorf("%s, %s: two plans differ", rung, variant)
			}
			if !bytes.Equal(rewritten(t, a, rung, variant)[0], rewritten(t, b, rung, variant)[0]) {
				t.Errorf("%s, %s: two rewritten programs differ", rung, variant)
			}
		}
	}
}

func rewritten(t *testing.T, p *Plan, rung Rung, variant Variant) [][]byte {
	t.Helper()
	programs, err := p.Rewrite(rung, variant, "cover")
	if err != nil {
		t.Fatal(err)
	}
	var out [][]byte
	for _, insns := range programs {
		var b bytes.Buffer
		if err := insns.Marshal(&b, binary.LittleEndian); err != nil {
			t.Fatal(err)
		}
		out = append(out, b.Bytes())
	}
	return out
}

// TestProgramsShareFunctions: a function that two programs contain is listed once,
// and both copies hit the same bytes; other code of the same name is listed apart.
func TestProgramsShareFunctions(t *testing.T) {
	second := sample()
	second[0] = second[0].WithSymbol("target")
	third := sample()
	third[0] = third[0].WithSymbol("other")
	third[13+1].Constant = 2 // sub adds 2
	original := sample()
	p := mustPlan(t, sampleOptions(), Program{"a", original}, Program{"b", second}, Program{"c", third})
	count := map[string]int{}
	ids := map[uint64]bool{}
	for _, e := range p.Table(Full).Edges {
		count[e.Func]++
		ids[e.ID] = true
	}
	want := map[string]int{"main": 3, "target": 3, "other": 3, "sub": 3, "sub#2": 3}
	if !reflect.DeepEqual(count, want) || len(ids) != 15 {
		t.Errorf("edges by function %v, want %v; %d ids", count, want, len(ids))
	}
	programs, err := p.Rewrite(Full, Cover, "cover")
	if err != nil {
		t.Fatal(err)
	}
	subs := make([]asm.Instructions, 3)
	for i, insns := range programs {
		funcs, err := cfg.Split(insns)
		if err != nil {
			t.Fatal(err)
		}
		if funcs[1].Name != "sub" {
			t.Errorf("the second function of program %d is %q", i, funcs[1].Name)
		}
		subs[i] = funcs[1].Insns
	}
	if !reflect.DeepEqual(subs[0], subs[1]) || reflect.DeepEqual(subs[0], subs[2]) {
		t.Error("copies of a function differ, or different ones are the same")
	}
	if !reflect.DeepEqual(original, sample()) {
		t.Error("the original has changed")
	}
}

// TestPruneStopsWhereControlMayLeave: an edge is only derived from a branch that
// is sure to follow.
func TestPruneStopsWhereControlMayLeave(t *testing.T) {
	kfunc := asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Call), Src: asm.PseudoKfuncCall}
	for name, test := range map[string]struct {
		middle asm.Instruction
		sub    asm.Instruction
		pruned bool
	}{
		"arithmetic":               {asm.Mov.Imm(asm.R2, 1), asm.Mov.Imm(asm.R0, 1), true},
		"helper":                   {asm.FnKtimeGetNs.Call(), asm.Mov.Imm(asm.R0, 1), true},
		"tail call":                {asm.FnTailCall.Call(), asm.Mov.Imm(asm.R0, 1), false},
		"kfunc":                    {kfunc, asm.Mov.Imm(asm.R0, 1), false},
		"packet load":              {asm.LoadAbs(0, asm.Byte), asm.Mov.Imm(asm.R0, 1), false},
		"harmless function":        {asm.Call.Label("sub"), asm.Mov.Imm(asm.R0, 1), true},
		"function that tail-calls": {asm.Call.Label("sub"), asm.FnTailCall.Call(), false},
	} {
		p := mustPlan(t, Options{}, Program{"p", asm.Instructions{
			asm.Mov.Reg(asm.R6, asm.R1).WithSymbol("main"),
			test.middle,
			branch(asm.JEq, asm.R6, 0, 0),
			asm.Return(),
			test.sub.WithSymbol("sub"),
			asm.Return(),
		}})
		if got := p.Table(Full).Edges[0].Via != nil; got != test.pruned {
			t.Errorf("%s: pruned %v, want %v", name, got, test.pruned)
		}
		p = mustPlan(t, Options{Unpruned: true}, Program{"p", p.programs[0].Instructions})
		if p.Table(Full).Edges[0].Via != nil {
			t.Errorf("%s: pruned although it must not be", name)
		}
	}
}

func TestEscapes(t *testing.T) {
	lookup := func(rest ...asm.Instruction) asm.Instructions {
		return append(asm.Instructions{
			asm.Mov.Reg(asm.R2, asm.R10).WithSymbol("main"),
			asm.Add.Imm(asm.R2, -8),
			asm.LoadMapPtr(asm.R1, 0).WithReference("hash"),
			asm.FnMapLookupElem.Call(),
			branch(asm.JNE, asm.R0, 0, 1),
			asm.Return(),
		}, append(rest, asm.Mov.Imm(asm.R0, 0), asm.Return(), asm.Mov.Imm(asm.R0, 0).WithSymbol("sub"), asm.Return())...)
	}
	spill := asm.StoreMem(asm.R10, -16, asm.R0, asm.DWord)
	for name, test := range map[string]struct {
		code     asm.Instructions
		readOnly bool
	}{
		"read":                     {lookup(asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord)), true},
		"compared":                 {lookup(branch(asm.JEq, asm.R0, 0, 0)), true},
		"written":                  {lookup(asm.StoreImm(asm.R0, 0, 1, asm.Word)), false},
		"written by register":      {lookup(asm.Mov.Imm(asm.R1, 1), asm.StoreMem(asm.R0, 0, asm.R1, asm.Word)), false},
		"added to":                 {lookup(asm.Mov.Imm(asm.R1, 1), asm.AddAtomic.Mem(asm.R0, asm.R1, asm.DWord, 0)), false},
		"written at an offset":     {lookup(asm.Mov.Reg(asm.R1, asm.R0), asm.Add.Imm(asm.R1, 4), asm.StoreImm(asm.R1, 0, 1, asm.Word)), false},
		"what is read is written":  {lookup(asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord), asm.StoreMem(asm.R10, -24, asm.R1, asm.DWord)), true},
		"spilled and read":         {lookup(spill, asm.LoadMem(asm.R3, asm.R10, -16, asm.DWord), asm.LoadMem(asm.R3, asm.R3, 0, asm.Word)), true},
		"spilled and written":      {lookup(spill, asm.LoadMem(asm.R3, asm.R10, -16, asm.DWord), asm.StoreImm(asm.R3, 0, 1, asm.Word)), false},
		"stored in the context":    {lookup(asm.StoreMem(asm.R6, 0, asm.R0, asm.DWord)), false},
		"key of another call":      {lookup(asm.Mov.Reg(asm.R2, asm.R0), asm.LoadMapPtr(asm.R1, 0).WithReference("other"), asm.FnMapDeleteElem.Call()), true},
		"destination of a helper":  {lookup(asm.Mov.Reg(asm.R1, asm.R0), asm.Mov.Imm(asm.R2, 4), asm.FnProbeReadKernel.Call()), false},
		"source of a helper":       {lookup(asm.Mov.Reg(asm.R3, asm.R0), asm.Mov.Imm(asm.R1, 0), asm.FnProbeReadKernel.Call()), true},
		"given to a function":      {lookup(asm.Mov.Reg(asm.R1, asm.R0), asm.Call.Label("sub")), false},
		"not given to a function":  {lookup(spill, asm.Call.Label("sub")), true},
		"given in a struct":        {lookup(spill, asm.Mov.Reg(asm.R1, asm.R10), asm.Add.Imm(asm.R1, -16), asm.Call.Label("sub")), false},
		"given to an unknown call": {lookup(asm.Mov.Reg(asm.R4, asm.R0), asm.FnSnprintf.Call()), false},
	} {
		p := mustPlan(t, Options{}, Program{"p", test.code})
		site := p.Layout(Full, Cover).Sites[0]
		if site.ReadOnly != test.readOnly || (site.Off < 0) != test.readOnly {
			t.Errorf("%s: read only %v, want %v; %+v", name, site.ReadOnly, test.readOnly, site)
		}
	}
}

func TestAnalyzeRefuses(t *testing.T) {
	_, err := Analyze([]Program{{"broken", asm.Instructions{ja(7)}}}, Options{})
	if err == nil || !strings.Contains(err.Error(), `"broken"`) {
		t.Errorf("error %v", err)
	}
}

// FuzzAnalyze takes any bytes for a program. What is accepted must still be a
// program after it has been rewritten, at every rung.
func FuzzAnalyze(f *testing.F) {
	marshal := func(insns asm.Instructions) []byte {
		var b bytes.Buffer
		for _, ins := range insns {
			if _, err := ins.Marshal(&b, binary.LittleEndian); err != nil {
				f.Fatal(err)
			}
		}
		return b.Bytes()
	}
	f.Add(marshal(sample()), uint16(13))
	f.Add(marshal(asm.Instructions{asm.Mov.Imm(asm.R0, 0), branch(asm.JEq, asm.R0, 1, -2), asm.LoadAbs(0, asm.Byte), asm.Return()}), uint16(0))
	f.Fuzz(func(t *testing.T, b []byte, second uint16) {
		insns, err := asm.AppendInstructions(nil, bytes.NewReader(b), binary.LittleEndian, "linux")
		if err != nil || len(insns) == 0 || len(insns) > 1000 {
			return
		}
		insns[0] = insns[0].WithSymbol("main")
		if s := int(second) % len(insns); s > 0 {
			insns[s] = insns[s].WithSymbol("sub")
		}
		p, err := Analyze([]Program{{"p", insns}}, Options{})
		if err != nil {
			return
		}
		for rung := Full; rung <= None; rung++ {
			for _, variant := range []Variant{Cover, Trace} {
				out, err := p.Rewrite(rung, variant, "cover")
				if err != nil {
					t.Fatal(err)
				}
				if _, err := cfg.Split(out[0]); err != nil {
					t.Fatalf("%s, %s: no program any more: %v\n%v", rung, variant, err, out[0])
				}
			}
		}
	})
}
