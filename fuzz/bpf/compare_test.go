package bpf

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
	"github.com/bpffuzz/bpffuzz/mutate"
)

var (
	_ fuzz.Comparer = (*executor)(nil)
	_ fuzz.Comparer = (*batchExecutor)(nil)
	_ fuzz.Comparer = (*triggerExecutor)(nil)

	_ fuzz.KeyLogger = (*executor)(nil)
	_ fuzz.KeyLogger = (*batchExecutor)(nil)
	_ fuzz.KeyLogger = (*triggerExecutor)(nil)
)

// everyJump compares the two integers that its packet begins with, with each
// other and with constants, by every conditional jump that there is.
func everyJump() *ebpf.CollectionSpec {
	code := asm.Instructions{
		asm.LoadMem(asm.R7, asm.R1, 0, asm.Word).WithSymbol("jumps"),
		asm.LoadMem(asm.R3, asm.R1, xdpOffDataEnd, asm.Word),
		asm.Mov.Reg(asm.R4, asm.R7),
		asm.Add.Imm(asm.R4, 16),
		asm.Mov.Imm(asm.R0, 0),
		jumpOver(asm.JLE, asm.R4, asm.R3, 1),
		asm.Return(),
	}
	for _, class := range []asm.Class{asm.JumpClass, asm.Jump32Class} {
		for _, op := range []asm.JumpOp{asm.JEq, asm.JNE, asm.JGT, asm.JGE, asm.JLT, asm.JLE, asm.JSGT, asm.JSGE, asm.JSLT, asm.JSLE, asm.JSet} {
			jump := asm.Instruction{OpCode: asm.OpCode(class).SetJumpOp(op), Dst: asm.R5, Offset: 1}
			for _, value := range []int64{0, 1, -1, 1 << 30} {
				jump.OpCode = jump.OpCode.SetSource(asm.ImmSource)
				jump.Constant = value
				code = append(code, asm.LoadMem(asm.R5, asm.R7, 0, asm.DWord), jump, asm.Add.Imm(asm.R0, 1))
			}
			jump.OpCode, jump.Src, jump.Constant = jump.OpCode.SetSource(asm.RegSource), asm.R6, 0
			code = append(code, asm.LoadMem(asm.R5, asm.R7, 0, asm.DWord), asm.LoadMem(asm.R6, asm.R7, 8, asm.DWord), jump, asm.Add.Imm(asm.R0, 1))
		}
	}
	code = append(code, asm.Return())
	return &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{"jumps": {Name: "jumps", Type: ebpf.XDP, License: "GPL", Instructions: code}}}
}

func TestCompareTellsTheOperandsOfEveryJump(t *testing.T) {
	needKernel(t)
	target, err := NewTarget(FromSpec("jumps.o", everyJump()), Options{})
	if err != nil {
		t.Fatal(err)
	}
	sites := target.table.Comparisons
	if want := 1 + 2*11*5; len(sites) != want {
		t.Fatalf("%d comparisons, want %d", len(sites), want)
	}
	values := []uint64{0, 1, ^uint64(0), 1 << 30, 1 << 31, 1<<31 - 1, 1 << 32, 1<<32 | 1, 1 << 63, 0xffffffff, 0xffff888012345678}
	isolated(t, func() {
		e := open(t, target)
		packet := make([]byte, 60)
		for _, a := range values {
			for _, b := range values {
				binary.NativeEndian.PutUint64(packet, a)
				binary.NativeEndian.PutUint64(packet[8:], b)
				compared := agrees(t, e, &corpus.Input{Steps: []corpus.Step{{Packet: packet}}})
				if len(compared) != len(sites) {
					t.Fatalf("%d comparisons are logged of %d", len(compared), len(sites))
				}
				for i, c := range compared[1:] {
					site := &sites[1+i]
					wantA, wantB := a, b
					if site.Constant {
						wantB = site.B.Value
					}
					if site.Size == 4 {
						wantA, wantB = uint64(uint32(a)), uint64(uint32(wantB))
					}
					if c.A != wantA || c.B != wantB {
						t.Errorf("site %d, %s of %d bytes: operands %#x and %#x, want %#x and %#x", c.Site, site.Relation, site.Size, c.A, c.B, wantA, wantB)
					}
				}
				if c := compared[0]; !sites[0].Length || sites[0].Swapped || c.A != 16 || c.B != 60 {
					t.Errorf("the bounds check is %+v of %+v", c, sites[0])
				}
			}
		}
	})
}

// agrees runs an input in the hot and in the compare variant. Outcomes must be the
// same, and what was compared last at each place must lead to an edge that was covered.
func agrees(t *testing.T, e *executor, in *corpus.Input) []cover.Compared {
	t.Helper()
	out, err := e.Alone(t.Context(), in, corpus.HaveRet|corpus.HavePacket|corpus.HaveCover)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range out.Steps {
		want = append(want, outcomeText(&out.Steps[i]))
	}
	table := e.target.table
	covered := slices.Clone(table.Expand(nil, out.Cover))
	compared, err := e.Compare(t.Context(), in, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range compared {
		site := &table.Comparisons[c.Site]
		edge := site.Fall
		if site.Holds(c.A, c.B) {
			edge = site.Taken
		}
		if edge < 0 || !covered[edge] && table.Edges[edge].Skipped == "" {
			t.Errorf("%s: slot %d compares %#x %s %#x, but the edge behind it is not covered: %x", site.Func, site.At, c.A, site.Relation, c.B, in.Steps)
		}
	}
	if e.compare == nil {
		return nil
	}
	steps := make([]corpus.StepOutcome, len(in.Steps))
	if err := e.runAlone(e.compare, in, steps, 0); err != nil {
		t.Fatal(err)
	}
	for i := range steps {
		if got := outcomeText(&steps[i]); got != want[i] {
			t.Errorf("step %d: logging comparisons changes the outcome: %.200s, want %.200s", i, got, want[i])
		}
	}
	return compared
}

// TestCompareAgreesWithEdges runs real programs on seeds and what mutation makes of
// them.
func TestCompareAgreesWithEdges(t *testing.T) {
	needKernel(t)
	programs := 0
	for _, pattern := range []string{"../../examples/*/*.o", "testdata/types/*.o", "/usr/lib/*/bpf/*.o"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			obj, err := Open(path)
			if err != nil {
				continue
			}
			for _, name := range programNames(obj.spec) {
				t.Run(filepath.Base(path)+"/"+name, func(t *testing.T) {
					target, err := NewTarget(obj, Options{Program: name})
					if err != nil || len(target.shape.Chance) > 0 {
						t.Skipf("not loaded, or asks for time: %.100v", err)
					}
					programs++
					isolated(t, func() { compareMany(t, open(t, target)) })
				})
			}
		}
	}
	if programs == 0 {
		t.Error("no program was run")
	}
}

func compareMany(t *testing.T, e *executor) {
	mut, seeds := mutate.New(e.target.shape, mutate.Options{Seed: 6}), mutate.Seeds(e.target.shape)
	total, lengths := 0, 0
	for round := range 200 {
		in := seeds[round%len(seeds)].Clone()
		if round >= len(seeds) {
			b := e.batch
			b.Reset()
			mut.Mutate(b.Next(), in, nil)
			b.Commit()
			in = b.Input(0).Clone()
		}
		for _, c := range agrees(t, e, in) {
			total++
			if site := &e.target.table.Comparisons[c.Site]; site.Length {
				lengths++
			}
		}
	}
	t.Logf("%d comparisons, %d logged; %d evaluations, %d of them of lengths", len(e.target.table.Comparisons), e.logged(), total, lengths)
}

func (e *executor) logged() int {
	return len(e.target.plan.Layout(e.target.compare.Rung, instrument.Compare).Operands)
}

// A program without comparisons has nothing to tell, and no variant for it.
func TestCompareWithoutComparisons(t *testing.T) {
	needKernel(t)
	target := targetOf(t, asm.Instructions{asm.Mov.Imm(asm.R0, 2).WithSymbol("none"), asm.Return()})
	isolated(t, func() {
		e := open(t, target)
		got, err := e.Compare(t.Context(), &corpus.Input{Steps: []corpus.Step{{Packet: frame(60, 0)}}}, nil)
		if err != nil || len(got) > 0 || e.compare != nil {
			t.Errorf("Compare gives %v, %v", got, err)
		}
	})
}

// Of what a loop compares the last evaluations are told, oldest first.
func TestCompareInLoops(t *testing.T) {
	needKernel(t)
	for _, rounds := range []int32{1, 3, 8, 20} {
		target := targetOf(t, asm.Instructions{
			asm.Mov.Imm(asm.R0, 0).WithSymbol("loop"),
			asm.Add.Imm(asm.R0, 1),
			{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.JLT).SetSource(asm.ImmSource), Dst: asm.R0, Constant: int64(rounds), Offset: -2},
			asm.Return(),
		})
		isolated(t, func() {
			got, err := open(t, target).Compare(t.Context(), &corpus.Input{Steps: []corpus.Step{{Packet: frame(60, 0)}, {Packet: frame(60, 0)}}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			var want []cover.Compared
			for step := range 2 {
				for n := max(rounds-8, 0) + 1; n <= rounds; n++ {
					want = append(want, cover.Compared{Step: step, A: uint64(n), B: uint64(rounds)})
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%d rounds: %v, want %v", rounds, got, want)
			}
		})
	}
}

// targetOf makes a target of an XDP program.
func targetOf(t testing.TB, code asm.Instructions) *Target {
	t.Helper()
	name := code[0].Symbol()
	target, err := NewTarget(FromSpec(name+".o", &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{
		name: {Name: name, Type: ebpf.XDP, License: "GPL", Instructions: code},
	}}), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// Of each call that finds entries by their keys the last keys are told, with whether
// there was an entry.
func TestKeys(t *testing.T) {
	needKernel(t)
	lookup := func(fn asm.BuiltinFunc, name string, key int64) asm.Instructions {
		return asm.Instructions{
			asm.StoreImm(asm.R10, -8, key, asm.Word),
			asm.LoadMapPtr(asm.R1, 0).WithReference(name),
			asm.Mov.Reg(asm.R2, asm.R10),
			asm.Add.Imm(asm.R2, -8),
			fn.Call(),
		}
	}
	index := func(fn asm.BuiltinFunc, key int32) asm.Instructions {
		code := asm.Instructions{
			asm.LoadMapPtr(asm.R1, 0).WithReference("devs"),
			asm.Mov.Imm(asm.R2, key),
			asm.Mov.Imm(asm.R3, 0),
			fn.Call(),
		}
		if fn == asm.FnTailCall {
			code[0], code[1], code[2] = asm.Mov.Reg(asm.R1, asm.R6), asm.LoadMapPtr(asm.R2, 0).WithReference("progs"), asm.Mov.Imm(asm.R3, key)
		}
		return code
	}
	code := asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1).WithSymbol("keys")}
	for _, part := range []asm.Instructions{
		lookup(asm.FnMapLookupElem, "hash", 7),
		lookup(asm.FnMapLookupElem, "hash", 8),
		lookup(asm.FnMapDeleteElem, "hash", 7),
		lookup(asm.FnMapDeleteElem, "hash", 7),
		index(asm.FnRedirectMap, 0),
		index(asm.FnRedirectMap, 3),
		index(asm.FnTailCall, 1),
		index(asm.FnTailCall, 0),
		{asm.Mov.Imm(asm.R0, 2), asm.Return()},
	} {
		code = append(code, part...)
	}
	spec := &ebpf.CollectionSpec{
		Programs: map[string]*ebpf.ProgramSpec{
			"keys": {Name: "keys", Type: ebpf.XDP, License: "GPL"},
			"end":  {Name: "end", Type: ebpf.XDP, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 1).WithSymbol("end"), asm.Return()}},
		},
		Maps: map[string]*ebpf.MapSpec{
			"hash":  {Name: "hash", Type: ebpf.Hash, KeySize: 4, ValueSize: 4, MaxEntries: 4, Contents: []ebpf.MapKV{{Key: uint32(7), Value: uint32(1)}}},
			"devs":  {Name: "devs", Type: ebpf.DevMap, KeySize: 4, ValueSize: 4, MaxEntries: 4, Contents: []ebpf.MapKV{{Key: uint32(0), Value: uint32(1)}}},
			"progs": {Name: "progs", Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 4, Contents: []ebpf.MapKV{{Key: uint32(0), Value: "end"}}},
		},
	}
	// Something to compare, without which there is no variant that logs.
	spec.Programs["keys"].Instructions = append(asm.Instructions{
		asm.LoadMem(asm.R0, asm.R1, xdpOffQueue, asm.Word).WithSymbol("keys"),
		{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.JEq).SetSource(asm.ImmSource), Dst: asm.R0, Constant: 99, Offset: 0},
		code[0].WithSymbol(""),
	}, code[1:]...)
	target, err := NewTarget(FromSpec("keys.o", spec), Options{Program: "keys"})
	if err != nil {
		t.Fatal(err)
	}
	if keys := target.shape.Maps[0].Keys; len(keys) != 1 || binary.NativeEndian.Uint32(keys[0]) != 7 {
		t.Errorf("the map has keys %v", keys)
	}
	if tables := target.shape.Tables; len(tables) != 2 || tables[0].Kind != "devmap" || tables[1].Kind != "prog_array" {
		t.Errorf("the other maps with entries are %+v", tables)
	}
	isolated(t, func() {
		e := open(t, target)
		for range 2 {
			if _, err := e.Compare(t.Context(), &corpus.Input{Steps: []corpus.Step{{Packet: frame(60, 0)}}}, nil); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, l := range e.Keys(nil) {
				got = append(got, fmt.Sprintf("%s %d %v", l.Map, binary.NativeEndian.Uint32(l.Key), l.Found))
			}
			want := []string{"hash 7 true", "hash 8 false", "hash 7 true", "hash 7 false", "devs 0 true", "devs 3 false", "progs 1 false", "progs 0 true"}
			if !slices.Equal(got, want) {
				t.Errorf("keys %v, want %v", got, want)
			}
		}
	})
}

// TestCompareByEvents does the same for programs that are run by events.
func TestCompareByEvents(t *testing.T) {
	for _, x := range triggerExamples() {
		t.Run(x.program, func(t *testing.T) {
			target := newTriggerExample(t, x.file, x.program)
			isolated(t, func() {
				exec, err := target.NewExecutor(0)
				if err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := exec.Close(); err != nil {
						t.Error(err)
					}
				}()
				compareEvents(t, target, exec)
			})
		})
	}
}

func compareEvents(t *testing.T, target *Target, exec fuzz.Executor) {
	t.Helper()
	table, total := target.table, 0
	for _, in := range mutate.Seeds(target.shape) {
		if total > 0 {
			break // of some seeds the event does not reach the program
		}
		out, err := exec.Alone(t.Context(), in, corpus.HaveCover)
		if err != nil {
			t.Fatal(err)
		}
		covered := slices.Clone(table.Expand(nil, out.Cover))
		compared, err := exec.(fuzz.Comparer).Compare(t.Context(), in, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range compared {
			site := &table.Comparisons[c.Site]
			edge := site.Fall
			if site.Holds(c.A, c.B) {
				edge = site.Taken
			}
			if total++; !covered[edge] {
				t.Errorf("%s: slot %d compares %#x %s %#x, but the edge behind it is not covered", site.Func, site.At, c.A, site.Relation, c.B)
			}
		}
	}
	if len(table.Comparisons) > 0 && total == 0 {
		t.Error("nothing was compared")
	}
}

// A comparison for whose log no register and no stack is left is left out, and the
// target says so.
func TestCompareWithoutRoom(t *testing.T) {
	needKernel(t)
	code := asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, xdpOffQueue, asm.Word).WithSymbol("full"),
		{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.JEq).SetSource(asm.ImmSource), Dst: asm.R2, Constant: 77},
		asm.StoreMem(asm.R10, -512, asm.R2, asm.DWord),
		asm.Mov.Imm(asm.R0, 0),
	}
	for r := asm.R2; r <= asm.R9; r++ {
		code = append(code, asm.LoadMem(r, asm.R1, xdpOffQueue, asm.Word))
	}
	code = append(code, jumpOver(asm.JGT, asm.R2, asm.R3, 0), asm.LoadMem(asm.R1, asm.R1, xdpOffQueue, asm.Word))
	for r := asm.R1; r <= asm.R9; r++ {
		code = append(code, asm.Add.Reg(asm.R0, r))
	}
	target := targetOf(t, append(code, asm.And.Imm(asm.R0, 3), asm.Return()))
	if n := len(target.table.Comparisons); n != 2 {
		t.Fatalf("%d comparisons, want 2", n)
	}
	want := "of the program's 2 comparisons 1 are logged"
	if !slices.ContainsFunc(target.Notes(), func(note string) bool { return strings.HasPrefix(note, want) }) {
		t.Errorf("notes are %q, want one that begins with %q", target.Notes(), want)
	}
	isolated(t, func() {
		got, err := open(t, target).Compare(t.Context(), &corpus.Input{Steps: []corpus.Step{{Packet: frame(60, 0)}}}, nil)
		if err != nil || len(got) != 1 || got[0].Site != 0 || got[0].B != 77 {
			t.Errorf("Compare gives %v, %v", got, err)
		}
	})
}
