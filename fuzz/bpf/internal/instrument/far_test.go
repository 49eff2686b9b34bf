package instrument_test

import (
	"encoding/binary"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
)

// jumpTo is a conditional jump, or with asm.Ja an unconditional one, over a number of slots.
func jumpTo(op asm.JumpOp, dst asm.Register, value int32, slots int) asm.Instruction {
	if op == asm.Ja {
		return asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Ja), Offset: int16(slots)}
	}
	ins := op.Imm(dst, value, "").WithReference("")
	ins.Offset = int16(slots)
	return ins
}

func handmade(code asm.Instructions) *ebpf.CollectionSpec {
	code[0] = code[0].WithSymbol("handmade")
	return &ebpf.CollectionSpec{
		Maps: map[string]*ebpf.MapSpec{},
		Programs: map[string]*ebpf.ProgramSpec{"handmade": {
			Name: "handmade", Type: ebpf.XDP, License: "Dual MIT/GPL", Instructions: code,
		}},
	}
}

// readFirst leaves the packet's first word in r6, or exits with 0.
func readFirst() asm.Instructions {
	return asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, 0, asm.Word),
		asm.LoadMem(asm.R3, asm.R1, 4, asm.Word),
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, 14),
		asm.Mov.Imm(asm.R0, 0),
		func() asm.Instruction {
			ins := asm.JLE.Reg(asm.R4, asm.R3, "").WithReference("")
			ins.Offset = 1
			return ins
		}(),
		asm.Return(),
		asm.LoadMem(asm.R6, asm.R2, 0, asm.Word),
	}
}

const farBranches = 3276

// farProgram has branches that all jump to its end, just within reach, and an
// unconditional jump over all of them.
func farProgram() asm.Instructions {
	const filler = 9
	code := readFirst()
	body := farBranches * (1 + filler)
	code = append(code,
		jumpTo(asm.JNE, asm.R6, 1<<20, 1),
		jumpTo(asm.Ja, 0, 0, body+1))
	for i := range farBranches {
		code = append(code, jumpTo(asm.JEq, asm.R6, int32(i), body-i*(1+filler)+1-1))
		for range filler {
			code = append(code, asm.Add.Imm(asm.R0, 1))
		}
	}
	for range 50 {
		code = append(code, asm.Add.Imm(asm.R0, 1))
	}
	return append(code, asm.And.Imm(asm.R0, 0xffff), asm.Return())
}

// TestFarJumps instruments a program so large that jumps which were just in reach
// are not any more, and runs it.
func TestFarJumps(t *testing.T) {
	needKernel(t)
	spec := handmade(farProgram())
	c, err := load(spec)
	if err != nil {
		t.Fatalf("the plain program: %v\n%s", err, verifierLog(spec))
	}
	t.Cleanup(c.Close)
	plain := &subject{Collection: c, name: "handmade"}
	for _, test := range []struct {
		variant  instrument.Variant
		unpruned bool
	}{{instrument.Cover, false}, {instrument.Cover, true}, {instrument.Trace, true}} {
		variant, opts := test.variant, instrument.Options{Unpruned: test.unpruned}
		plan, err := instrument.Analyze([]instrument.Program{program(spec)}, opts)
		if err != nil {
			t.Fatal(err)
		}
		code, err := plan.Rewrite(instrument.Full, variant, coverMap)
		if err != nil {
			t.Fatal(err)
		}
		long := 0
		for i := range code[0] {
			if code[0][i].OpCode == asm.OpCode(asm.Jump32Class).SetJumpOp(asm.Ja) {
				long++
			}
		}
		t.Logf("%s: %d slots become %d, with %d long jumps", variant, spec.Programs["handmade"].Instructions.Size()/8, code[0].Size()/8, long)
		if long == 0 {
			t.Error("no jump is far")
		}
		s := newSubject(t, spec, opts, instrument.Full, variant)
		for _, first := range []uint32{0, 1, 17, farBranches / 2, farBranches - 1, farBranches, 1 << 20, 1<<32 - 1} {
			packet := make([]byte, 64)
			binary.NativeEndian.PutUint32(packet, first)
			want, got := plain.run(t, packet), s.run(t, packet)
			if got != want {
				t.Errorf("first word %d: plain %.20s, instrumented %.20s", first, want, got)
			}
			if variant == instrument.Cover {
				if n := s.table.Count(s.value); n < 3 {
					t.Errorf("first word %d: %d edges", first, n)
				}
			}
		}
	}
}

// TestSpill instruments a program in which every register is in use on every edge.
func TestSpill(t *testing.T) {
	needKernel(t)
	code := readFirst()
	code = append(code, asm.StoreImm(asm.R10, -4, 3, asm.Word))
	for r := asm.R0; r <= asm.R9; r++ {
		if r != asm.R6 {
			code = append(code, asm.Mov.Imm(r, int32(r)+1))
		}
	}
	code = append(code,
		jumpTo(asm.JSet, asm.R6, 1, 1),
		asm.Add.Imm(asm.R0, 100),
		// A loop: r6 is made smaller until it is less than 8.
		asm.RSh.Imm(asm.R6, 1),
		jumpTo(asm.JGE, asm.R6, 8, -2),
		asm.LoadMem(asm.R6, asm.R10, -4, asm.Word))
	for r := asm.R1; r <= asm.R9; r++ {
		code = append(code, asm.Add.Reg(asm.R0, r))
	}
	code = append(code, asm.Return())
	spec := handmade(code)
	c, err := load(spec)
	if err != nil {
		t.Fatalf("the plain program: %v\n%s", err, verifierLog(spec))
	}
	t.Cleanup(c.Close)
	plain := &subject{Collection: c, name: "handmade"}
	for _, variant := range []instrument.Variant{instrument.Cover, instrument.Trace} {
		s := newSubject(t, spec, instrument.Options{}, instrument.Full, variant)
		if n := s.table.Observable(); n != len(s.table.Edges) || len(s.table.Loops) != 1 {
			t.Errorf("%s: %d of %d edges can be observed, loops %v", variant, n, len(s.table.Edges), s.table.Loops)
		}
		for first, turns := range map[uint32]uint32{0: 0, 1: 0, 15: 0, 16: 1, 1 << 10: 7, 1<<32 - 1: 28} {
			packet := make([]byte, 64)
			binary.NativeEndian.PutUint32(packet, first)
			if want, got := plain.run(t, packet), s.run(t, packet); got != want {
				t.Errorf("%s: first word %d: plain %.20s, instrumented %.20s", variant, first, want, got)
			}
			if variant != instrument.Cover {
				continue
			}
			if got := native(s.counters()); got != turns {
				t.Errorf("first word %d: the loop was closed %d times, want %d", first, got, turns)
			}
		}
	}
}

// BenchmarkInstrumented compares the run time of a program with many branches per
// packet, plain and instrumented, in the kernel. The runs take turns, so that both
// see the same machine; the metric is their ratio.
func BenchmarkInstrumented(b *testing.B) {
	needKernel(b)
	spec, err := ebpf.LoadCollectionSpec("testdata/programs.o")
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range []string{"busy", "parse", "state"} {
		b.Run(name, func(b *testing.B) {
			one := alone(spec, name)
			c, err := load(one)
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			with := newSubject(b, one, options(one), instrument.Full, instrument.Cover)
			packet := packets(seeded(9), 1)[0]
			const repeat = 200_000
			var sum [2]float64
			for b.Loop() {
				for i, prog := range []*ebpf.Program{c.Programs[name], with.Programs[name]} {
					_, mean, err := prog.Benchmark(packet, repeat, nil)
					if err != nil {
						b.Fatal(err)
					}
					sum[i] += float64(mean.Nanoseconds())
				}
			}
			b.ReportMetric(sum[0]/float64(b.N), "ns/plain")
			b.ReportMetric(sum[1]/float64(b.N), "ns/instrumented")
			b.ReportMetric(sum[1]/sum[0], "ratio")
		})
	}
}
