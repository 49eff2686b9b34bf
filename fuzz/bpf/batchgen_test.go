package bpf

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// generated makes straight-line programs that call whatever a packet program can
// call and look at whatever it can look at. Everything that they learn goes into
// what they return: r6 is the context, r7 a hash, and results pass through r0.
type generated struct {
	rng  *rand.Rand
	code asm.Instructions
}

// generate returns a program of about n actions that follows from the seed, with one
// that it can tail-call besides itself. Every other one ends with a report of all fields of
// its context: what looks at everything is run in smaller batches.
func generate(kind ebpf.ProgramType, seed uint64, n int) *ebpf.CollectionSpec {
	rng := rand.New(rand.NewPCG(seed, 1))
	spec := &ebpf.CollectionSpec{
		Programs: map[string]*ebpf.ProgramSpec{},
		Maps: map[string]*ebpf.MapSpec{
			"jump": {
				Name: "jump", Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 2,
				Contents: []ebpf.MapKV{{Key: uint32(0), Value: "generated"}, {Key: uint32(1), Value: "other"}},
			},
			"counts": {Name: "counts", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 4},
			"events": {Name: "events", Type: ebpf.PerfEventArray},
		},
	}
	var flags uint32
	if kind == ebpf.XDP && seed%4 == 3 {
		flags = unix.BPF_F_XDP_HAS_FRAGS
	}
	for _, name := range []string{"generated", "other"} {
		g := &generated{rng: rng}
		g.program(name, kind, n, seed%2 == 0)
		spec.Programs[name] = &ebpf.ProgramSpec{Name: name, Type: kind, License: "GPL", Instructions: g.code, Flags: flags}
	}
	return spec
}

func (g *generated) program(name string, kind ebpf.ProgramType, n int, report bool) {
	g.add(asm.Mov.Reg(asm.R6, asm.R1).WithSymbol(name), asm.Mov.Imm(asm.R7, 1))
	actions, all := g.xdpActions(), g.xdpReport
	if kind != ebpf.XDP {
		actions, all = g.skbActions(), g.skbReport
	}
	actions = append(actions, g.sharedActions()...)
	for range n {
		actions[g.rng.IntN(len(actions))]()
	}
	if report {
		all()
	}
	g.add(asm.Mov.Reg(asm.R0, asm.R7), asm.Return())
}

func (g *generated) add(code ...asm.Instruction) { g.code = append(g.code, code...) }

// mix hashes r0 into r7.
func (g *generated) mix() {
	g.add(asm.Mul.Imm(asm.R7, 31), asm.Add.Reg(asm.R7, asm.R0))
}

// call calls a helper with constants behind the context.
func (g *generated) call(fn asm.BuiltinFunc, args ...int) {
	g.add(asm.Mov.Reg(asm.R1, asm.R6))
	for i, arg := range args {
		g.add(asm.Mov.Imm(asm.R2+asm.Register(i), int32(arg)))
	}
	g.add(fn.Call())
	g.mix()
}

// field looks at a field of the context.
func (g *generated) field(off int16, size asm.Size) {
	g.add(asm.LoadMem(asm.R0, asm.R6, off, size))
	g.mix()
}

// bytes hashes bytes of the packet.
func (g *generated) bytes(fn asm.BuiltinFunc) {
	g.stack()
	g.add(asm.Mov.Reg(asm.R3, asm.R10), asm.Add.Imm(asm.R3, -16))
	g.add(asm.Mov.Reg(asm.R1, asm.R6), asm.Mov.Imm(asm.R2, int32(g.rng.IntN(24))), asm.Mov.Imm(asm.R4, 16), fn.Call())
	g.mix()
	g.add(asm.LoadMem(asm.R0, asm.R10, -16, asm.DWord))
	g.mix()
	g.add(asm.LoadMem(asm.R0, asm.R10, -8, asm.DWord))
	g.mix()
}

// write writes bytes of the hash into the packet.
func (g *generated) write(fn asm.BuiltinFunc, flags ...int) {
	g.stack()
	g.add(asm.StoreMem(asm.R10, -16, asm.R7, asm.DWord), asm.Mov.Reg(asm.R3, asm.R10), asm.Add.Imm(asm.R3, -16))
	g.add(asm.Mov.Reg(asm.R1, asm.R6), asm.Mov.Imm(asm.R2, int32(g.rng.IntN(40))), asm.Mov.Imm(asm.R4, int32(1+g.rng.IntN(12))))
	for _, f := range flags {
		g.add(asm.Mov.Imm(asm.R5, int32(f)))
	}
	g.add(fn.Call())
	g.mix()
}

func (g *generated) stack() {
	for off := int16(-64); off < 0; off += 8 {
		g.add(asm.Mov.Imm(asm.R0, 0), asm.StoreMem(asm.R10, off, asm.R0, asm.DWord))
	}
}

// distance hashes the difference of two addresses in the context.
func (g *generated) distance(a, b int16) {
	g.add(asm.LoadMem(asm.R0, asm.R6, a, asm.Word), asm.LoadMem(asm.R1, asm.R6, b, asm.Word), asm.Sub.Reg(asm.R0, asm.R1))
	g.mix()
}

// between returns a number in [lo, hi], often a small one.
func (g *generated) between(lo, hi int) int {
	if g.rng.IntN(2) == 0 {
		lo, hi = max(lo, -24), min(hi, 24)
	}
	return lo + g.rng.IntN(hi-lo+1)
}

// TestBatchRunsGeneratedAlike does what TestBatchRunsAlike does with generated programs.
func TestBatchRunsGeneratedAlike(t *testing.T) {
	needBatches(t)
	const seeds = 16
	for seed := range uint64(seeds) {
		for _, kind := range []ebpf.ProgramType{ebpf.XDP, ebpf.SchedCLS} {
			t.Run(fmt.Sprintf("%s-%d", kind, seed), func(t *testing.T) { generatedRunsAlike(t, kind, seed) })
		}
	}
}

// FuzzBatchRunsAlike looks for generated programs that run differently in batches.
func FuzzBatchRunsAlike(f *testing.F) {
	needBatches(f)
	f.Add(true, uint64(1000))
	f.Add(false, uint64(1000))
	f.Fuzz(func(t *testing.T, xdp bool, seed uint64) {
		kind := ebpf.SchedCLS
		if xdp {
			kind = ebpf.XDP
		}
		generatedRunsAlike(t, kind, seed)
	})
}

func generatedRunsAlike(t *testing.T, kind ebpf.ProgramType, seed uint64) {
	spec := generate(kind, seed, 4+int(seed%13))
	target, err := NewTarget(FromSpec("generated", spec), Options{Program: "generated", MaxSteps: 1})
	if err != nil {
		t.Skip(err) // what the verifier does not like is no program
	}
	batchRunsAlike(t, target, 3)
	if t.Failed() {
		for _, p := range spec.Programs {
			t.Logf("%v", p.Instructions)
		}
	}
}
