package bpf

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/mutate"
)

// fillSequences fills a batch with inputs of several steps.
func fillSequences(b *batchExecutor, mut *mutate.Mutator, seeds []*corpus.Input) {
	b.batch.Reset()
	parent := &corpus.Input{}
	for i := 0; ; i++ {
		in := b.batch.Next()
		if in == nil {
			return
		}
		parent.Steps = parent.Steps[:0]
		for n := range 1 + i%b.target().shape.MaxSteps {
			parent.Steps = append(parent.Steps, seeds[(i+n)%len(seeds)].Steps[0])
		}
		mut.Mutate(in, parent, nil)
		b.batch.Commit()
	}
}

// TestBatchRunsSequencesAlike runs inputs of several steps, in batches and step by
// step: outcomes, edges, and loop counts of whole inputs must agree.
func TestBatchRunsSequencesAlike(t *testing.T) {
	needBatches(t)
	for _, path := range []string{"../../examples/conntrack/conntrack.o", "../../examples/firewall/firewall.o", "../../examples/egress/egress.o"} {
		obj, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		target, err := NewTarget(obj, Options{MaxSteps: 4})
		if err != nil {
			t.Fatal(err)
		}
		isolated(t, func() {
			b, ref := mustBatch(t, target), open(t, target)
			mut, seeds := mutate.New(target.shape, mutate.Options{Seed: 5}), mutate.Seeds(target.shape)
			for range 8 {
				fillSequences(b, mut, seeds)
				compareSequences(t, b, ref)
			}
		})
	}
}

func mustBatch(t testing.TB, target *Target) *batchExecutor {
	t.Helper()
	b, err := newBatchExecutor(open(t, target))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(b.scorer.Close(), b.hot.Close()); err != nil {
			t.Error(err)
		}
	})
	return b
}

func compareSequences(t *testing.T, b *batchExecutor, ref *executor) {
	t.Helper()
	if err := b.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	alone := map[int]bool{}
	for _, i := range b.alone {
		alone[i] = true
	}
	clear(ref.Cover())
	if err := ref.hot.state.restore(); err != nil {
		t.Fatal(err)
	}
	run := func(i int) {
		in, got := b.batch.Input(i), b.batch.Outcome(i)
		for n := range in.Steps {
			var want corpus.StepOutcome
			if err := ref.step(ref.hot, &in.Steps[n], &want, ref.out[0], nil); err != nil {
				t.Fatal(err)
			}
			if a, b := outcomeText(&got.Steps[n]), outcomeText(&want); a != b {
				t.Fatalf("input %d, step %d of %d:\nbatch  %.200s\nsingle %.200s", i, n, len(in.Steps), a, b)
			}
		}
		ref.hot.foldLoops()
	}
	for i := range b.batch.Len() {
		if !alone[i] {
			run(i)
		}
	}
	for _, i := range b.alone {
		if err := ref.hot.state.restore(); err != nil {
			t.Fatal(err)
		}
		run(i)
	}
	if !bytes.Equal(b.Cover(), ref.Cover()) {
		t.Errorf("batch covers\n%x, single\n%x", b.Cover(), ref.Cover())
	}
}

func TestBatchDoesNotAllocate(t *testing.T) {
	needBatches(t)
	for _, name := range []string{"firewall", "egress"} {
		target := exampleTarget(t, name)
		isolated(t, func() {
			b := mustBatch(t, target)
			mut, seeds := mutate.New(target.shape, mutate.Options{}), mutate.Seeds(target.shape)
			round := func() {
				b.batch.Reset()
				for i := 0; ; i++ {
					in := b.batch.Next()
					if in == nil {
						break
					}
					mut.Mutate(in, seeds[i%len(seeds)], nil)
					b.batch.Commit()
				}
				if err := b.Run(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			for range 20 {
				round() // outputs of packets that run alone find their size
			}
			if n := testing.AllocsPerRun(20, round); n > 0 {
				t.Errorf("%s: a batch allocates %v times", name, n)
			}
		})
	}
}

// TestBatchOfTailCalls: a program in its own prog array loads one packet for each
// input, however often it calls itself.
func TestBatchOfTailCalls(t *testing.T) {
	needBatches(t)
	// Adds 1 to byte 0 of the packet until it is 0, and to r0.
	prog := &ebpf.ProgramSpec{Name: "again", Type: ebpf.XDP, License: "GPL", Instructions: asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1).WithSymbol("again"),
		asm.LoadMem(asm.R2, asm.R6, xdpOffData, asm.Word),
		asm.LoadMem(asm.R3, asm.R6, xdpOffDataEnd, asm.Word),
		asm.Mov.Reg(asm.R4, asm.R2), asm.Add.Imm(asm.R4, 14),
		jumpOver(asm.JGT, asm.R4, asm.R3, 9),
		asm.LoadMem(asm.R5, asm.R2, 0, asm.Byte),
		asm.Add.Imm(asm.R5, 1), asm.And.Imm(asm.R5, 3),
		asm.StoreMem(asm.R2, 0, asm.R5, asm.Byte),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.LoadMapPtr(asm.R2, 0).WithReference("jmp"), // two slots
		asm.Mov.Imm(asm.R3, 0),
		asm.FnTailCall.Call(),
		asm.Mov.Imm(asm.R0, 2),
		asm.Return(),
	}}
	spec := &ebpf.CollectionSpec{
		Programs: map[string]*ebpf.ProgramSpec{"again": prog},
		Maps: map[string]*ebpf.MapSpec{"jmp": {
			Name: "jmp", Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1,
			Contents: []ebpf.MapKV{{Key: uint32(0), Value: "again"}},
		}},
	}
	target, err := NewTarget(FromSpec("again", spec), Options{})
	if err != nil {
		t.Fatal(err)
	}
	batchRunsAlike(t, target, 2)
}

func jumpOver(op asm.JumpOp, dst, src asm.Register, slots int16) asm.Instruction {
	return asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(op).SetSource(asm.RegSource), Dst: dst, Src: src, Offset: slots}
}

// TestBatchLeavesNothing makes and closes executors: file descriptors and mappings
// are then as many as before.
func TestBatchLeavesNothing(t *testing.T) {
	needBatches(t)
	target := exampleTarget(t, "firewall")
	use := func() {
		isolated(t, func() {
			exec, err := target.NewExecutor(0)
			if err != nil {
				t.Error(err)
				return
			}
			if !strings.HasPrefix(exec.Describe(), "batch: ") {
				t.Errorf("the executor is %s", exec.Describe())
			}
			if err := exec.Run(t.Context()); err != nil {
				t.Error(err)
			}
			if err := exec.(fuzz.Scorer).Score(t.Context(), make([]fuzz.Score, len(target.table.Comparisons))); err != nil {
				t.Error(err)
			}
			if _, err := exec.(fuzz.Comparer).Compare(t.Context(), mutate.Seeds(target.shape)[0], nil); err != nil {
				t.Error(err)
			}
			if err := exec.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	use() // what is made once for the process
	before := held(t)
	use()
	if after := held(t); after != before {
		t.Errorf("descriptors and mappings of BPF objects before:\n%s\nafter:\n%s", before, after)
	}
}

// held lists descriptors and mappings of BPF objects of this process.
func held(t *testing.T) string {
	t.Helper()
	var list []string
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.Contains(to, "bpf") {
			list = append(list, to)
		}
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(maps)) {
		if strings.Contains(line, "bpf-map") {
			list = append(list, strings.TrimSpace(line))
		}
	}
	return strings.Join(list, "\n")
}
