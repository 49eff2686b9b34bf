package bpf

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// generated makes straight-line programs that call whatever a packet program can
// call and look at whatever it can look at. Everything that they learn goes into
// what they return: r6 is the context, r7 a hash, and results pass through r0.
type generated struct {
	rng  *rand.Rand
	code asm.Instructions
}

// generate returns a program of about n actions that follows from the seed.
func generate(kind ebpf.ProgramType, seed uint64, n int) *ebpf.CollectionSpec {
	g := &generated{rng: rand.New(rand.NewPCG(seed, 1))}
	g.add(asm.Mov.Reg(asm.R6, asm.R1).WithSymbol("generated"), asm.Mov.Imm(asm.R7, 1))
	actions := g.xdpActions()
	if kind != ebpf.XDP {
		actions = g.skbActions()
	}
	for range n {
		actions[g.rng.IntN(len(actions))]()
	}
	g.add(asm.Mov.Reg(asm.R0, asm.R7), asm.Return())
	prog := &ebpf.ProgramSpec{Name: "generated", Type: kind, License: "GPL", Instructions: g.code}
	return &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{"generated": prog}, Maps: map[string]*ebpf.MapSpec{}}
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

func (g *generated) xdpActions() []func() {
	return []func(){
		func() { g.call(asm.FnXdpAdjustHead, g.between(-224, 64)) },
		func() { g.call(asm.FnXdpAdjustHead, -g.between(0, 64)) },
		func() { g.call(asm.FnXdpAdjustMeta, 4*g.between(-60, 16)) },
		func() { g.call(asm.FnXdpAdjustTail, g.between(-64, 700)) },
		func() { g.bytes(asm.FnXdpLoadBytes) },
		func() { g.bytes(asm.FnXdpLoadBytes) },
		func() { g.write(asm.FnXdpStoreBytes) },
		func() { g.field(xdpOffIngress, asm.Word) },
		func() { g.field(xdpOffQueue, asm.Word) },
		func() { g.distance(xdpOffDataEnd, xdpOffData) },
		func() { g.distance(xdpOffData, xdpOffMeta) },
		func() { g.call(asm.FnXdpGetBuffLen) },
		g.metaBytes,
		g.excursion,
	}
}

// metaBytes hashes the first metadata, if there is any.
func (g *generated) metaBytes() {
	g.add(
		asm.Mov.Imm(asm.R0, 0),
		asm.LoadMem(asm.R2, asm.R6, xdpOffMeta, asm.Word),
		asm.LoadMem(asm.R3, asm.R6, xdpOffData, asm.Word),
		asm.Mov.Reg(asm.R4, asm.R2), asm.Add.Imm(asm.R4, 4),
		asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.JGT).SetSource(asm.RegSource), Dst: asm.R4, Src: asm.R3, Offset: 1},
		asm.LoadMem(asm.R0, asm.R2, 0, asm.Word),
	)
	g.mix()
}

// excursion writes in front of the packet and comes back.
func (g *generated) excursion() {
	n := 16 + g.rng.IntN(200)
	g.call(asm.FnXdpAdjustHead, -n)
	g.write(asm.FnXdpStoreBytes)
	g.call(asm.FnXdpAdjustHead, n)
}

func (g *generated) skbActions() []func() {
	fields := []int16{0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60, 64, 68, 72, skbOffWireLen, skbOffGSOSegs, skbOffGSOSize}
	writable := []int16{8, 12, 32, 44, 48, 52, 56, 60, 64, 72}
	pick := func(list []int16) int16 { return list[g.rng.IntN(len(list))] }
	actions := []func(){
		func() { g.bytes(asm.FnSkbLoadBytes) },
		func() { g.write(asm.FnSkbStoreBytes, g.rng.IntN(4)) },
		func() { g.field(152, asm.DWord) },
		func() { g.field(skbOffHWTstamp, asm.DWord) },
		func() { g.add(asm.StoreMem(asm.R6, 152, asm.R7, asm.DWord)) },
		func() { g.call(asm.FnSkbChangeTail, g.between(0, 400), 0) },
		func() { g.call(asm.FnSkbPullData, g.between(0, 64)) },
		func() { g.call(asm.FnGetHashRecalc) },
		func() { g.call(asm.FnSetHash, g.between(0, 1000)) },
		func() { g.call(asm.FnSetHashInvalid) },
		func() { g.call(asm.FnL3CsumReplace, 24, g.between(0, 999), g.between(0, 999), 2) },
		func() {
			g.call(asm.FnL4CsumReplace, 36, g.between(0, 999), g.between(0, 999), []int{2, 18, 34}[g.rng.IntN(3)])
		},
		func() { g.call(asm.FnCsumUpdate, g.between(0, 999)) },
		func() { g.call(asm.FnCsumLevel, g.rng.IntN(4)) },
		func() { g.call(asm.FnSkbEcnSetCe) },
	}
	// Often: looking and writing. Seldom: what leaves traces.
	for range 6 {
		actions = append(actions, func() { g.field(pick(fields), asm.Word) })
	}
	for range 3 {
		actions = append(actions, func() { g.add(asm.StoreMem(asm.R6, pick(writable), asm.R7, asm.Word)) })
	}
	lasting := []func(){
		func() { g.call(asm.FnSkbChangeHead, g.between(0, 64), 0) },
		func() {
			g.call(asm.FnSkbAdjustRoom, g.between(-20, 40), g.rng.IntN(2), []int{0, 1, 2, 32}[g.rng.IntN(4)])
		},
		func() { g.call(asm.FnSkbChangeProto, []int{0xdd86, 0x0008}[g.rng.IntN(2)], 0) },
		func() { g.call(asm.FnSkbVlanPush, []int{0x0081, 0xa888}[g.rng.IntN(2)], g.rng.IntN(4096)) },
		func() { g.call(asm.FnSkbVlanPop) },
		func() { g.call(asm.FnSkbChangeType, g.rng.IntN(4)) },
		func() { g.call(asm.FnSkbSetTstamp, 1+g.rng.IntN(1000), g.rng.IntN(2)) },
		func() { g.call(asm.FnCloneRedirect, lo, 0) },
		func() { g.bytes(asm.FnSkbLoadBytes) },
	}
	return append(actions, func() { lasting[g.rng.IntN(len(lasting))]() })
}

// TestBatchRunsGeneratedAlike does what TestBatchRunsAlike does with generated programs.
func TestBatchRunsGeneratedAlike(t *testing.T) {
	needBatches(t)
	const seeds = 8
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
	target, err := NewTarget(FromSpec("generated", spec), Options{})
	if err != nil {
		t.Skip(err) // what the verifier does not like is no program
	}
	batchRunsAlike(t, target, 3)
	if t.Failed() {
		t.Logf("%v", spec.Programs["generated"].Instructions)
	}
}
