package instrument

import (
	"math"

	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/verifier"
)

// Check is where an instrumented program leaves that a claim does not hold.
type Check struct {
	// Claim is the index in the list with which the plan was made.
	Claim int
	// Off is the offset of a u32 that is 1 when some value was not what is claimed,
	// followed at Off+8 by the last such value, a u64.
	Off int
}

const (
	checkValue = 8  // u64
	checkNow   = 16 // u64: scratch
	checkSize  = 24
	// maxChecks bounds the claims that are checked: 192 KiB.
	maxChecks = 1 << 13
)

// ValueAt returns the offset of the value.
func (c *Check) ValueAt() int { return c.Off + checkValue }

// WithChecks returns a plan whose Cover variant checks claims besides: one in sample of
// them, where the code has room.
func (p *Plan) WithChecks(claims []Claim, sample int) *Plan {
	checked := *p
	checked.claims, checked.claimSample = claims, max(sample, 1)
	return &checked
}

// assignChecks gives cells to claims.
func (a *assignment) assignChecks(p *Plan) {
	if len(p.claims) == 0 {
		return
	}
	a.layout.Violated = a.layout.Size
	a.layout.Size += 8
	seen := 0
	for n := range p.claims {
		c := &p.claims[n]
		em := emitter{slots: c.fn.slots, pin: c.fn.pin}
		if !em.fits(c.room, 3) || len(a.layout.Checks) == maxChecks {
			continue
		}
		if seen++; (seen-1)%p.claimSample != 0 {
			continue
		}
		a.layout.Checks = append(a.layout.Checks, Check{Claim: n, Off: a.layout.Size})
		a.layout.Size += checkSize
	}
}

// checkInsertions returns the checks of the claims about a function.
func (a *assignment) checkInsertions(p *Plan, fn *function, e *emitter) []insertion {
	var list []insertion
	for i := range a.layout.Checks {
		check := &a.layout.Checks[i]
		c := &p.claims[check.Claim]
		if c.fn != fn {
			continue
		}
		regs, save, restore := e.take(c.room, 3)
		k := checker{base: regs[0], now: regs[1], end: regs[2]}
		code := append(save, address(k.base, e.mapName, check.Off),
			asm.StoreMem(k.base, checkNow, asm.Register(c.Register), asm.DWord))
		k.bounds(&c.Bounds)
		code = append(code, k.finish(e.mapName, a.layout.Violated)...)
		where := onFall
		if c.Taken {
			where = onTaken
		}
		list = append(list, insertion{place: where, insn: c.insn, code: append(code, restore...)})
	}
	return list
}

// checker writes the code of a check. The value is read back from memory for each part
// of the claim: of what comes from there the verifier knows nothing, so that it leaves
// the comparisons as they are.
type checker struct {
	base, now, end asm.Register
	code           asm.Instructions
	slots          int
	// exits are the jumps that are taken when the claim does not hold, with the slot
	// behind each.
	exits []exit
}

type exit struct{ insn, behind int }

func (k *checker) emit(code ...asm.Instruction) {
	for _, ins := range code {
		k.code = append(k.code, ins)
		k.slots += int(ins.Width())
	}
}

// unless leaves the check when the comparison holds.
func (k *checker) unless(class asm.Class, op asm.JumpOp) {
	k.emit(asm.Instruction{OpCode: asm.OpCode(class).SetJumpOp(op).SetSource(asm.RegSource), Dst: k.now, Src: k.end})
	k.exits = append(k.exits, exit{len(k.code) - 1, k.slots})
}

// constant loads a number in one slot if possible.
func (k *checker) constant(dst asm.Register, v uint64) {
	if int64(v) == int64(int32(v)) {
		k.emit(asm.Mov.Imm(dst, int32(v)))
		return
	}
	k.emit(asm.LoadImm(dst, int64(v), asm.DWord))
}

func (k *checker) load(size asm.Size) { k.emit(asm.LoadMem(k.now, k.base, checkNow, size)) }

// span leaves the check unless the value, of that size, is at least lo and at most
// width above it; so signed ranges are like others.
func (k *checker) span(size asm.Size, lo, width uint64) {
	k.load(size)
	class := asm.JumpClass
	if lo != 0 {
		k.constant(k.end, lo)
		k.emit(asm.Sub.Reg(k.now, k.end))
	}
	if size == asm.Word {
		class = asm.Jump32Class
	}
	k.constant(k.end, width)
	k.unless(class, asm.JGT)
}

// bounds writes what tells whether a value is within bounds. Parts that follow from
// others are left out.
func (k *checker) bounds(b *verifier.Bounds) {
	if b.Mask == 0 {
		k.load(asm.DWord)
		k.constant(k.end, b.Value)
		k.unless(asm.JumpClass, asm.JNE)
		return
	}
	wide := b.Umin != 0 || b.Umax != math.MaxUint64
	if wide {
		k.span(asm.DWord, b.Umin, b.Umax-b.Umin)
	}
	if signed := b.Smin != math.MinInt64 || b.Smax != math.MaxInt64; signed && !within(b.Umin, b.Umax, b.Smin, b.Smax) {
		k.span(asm.DWord, uint64(b.Smin), uint64(b.Smax)-uint64(b.Smin))
	}
	if half := b.Umin32 != 0 || b.Umax32 != math.MaxUint32; half && !(b.Umax <= math.MaxUint32 && uint64(b.Umin32) <= b.Umin && uint64(b.Umax32) >= b.Umax) {
		k.span(asm.Word, uint64(b.Umin32), uint64(b.Umax32)-uint64(b.Umin32))
	}
	if half := b.Smin32 != math.MinInt32 || b.Smax32 != math.MaxInt32; half && !(b.Umax32 <= math.MaxInt32 && int64(b.Smin32) <= int64(b.Umin32) && int64(b.Smax32) >= int64(b.Umax32)) {
		k.span(asm.Word, uint64(uint32(b.Smin32)), uint64(uint32(b.Smax32)-uint32(b.Smin32)))
	}
	if b.Mask != math.MaxUint64 && !(b.Value == 0 && b.Mask&(b.Mask+1) == 0 && b.Umax <= b.Mask) {
		k.load(asm.DWord)
		k.constant(k.end, ^b.Mask)
		k.emit(asm.And.Reg(k.now, k.end))
		k.constant(k.end, b.Value)
		k.unless(asm.JumpClass, asm.JNE)
	}
}

// within reports whether the unsigned range lies in the signed one.
func within(umin, umax uint64, smin, smax int64) bool {
	return umax <= math.MaxInt64 && smin <= int64(umin) && smax >= int64(umax)
}

// finish adds what remembers a violation, to which the exits lead, and returns the
// code.
func (k *checker) finish(mapName string, violated int) asm.Instructions {
	remember := asm.Instructions{
		asm.LoadMem(k.now, k.base, checkNow, asm.DWord),
		asm.StoreMem(k.base, checkValue, k.now, asm.DWord),
		asm.StoreImm(k.base, 0, 1, asm.Word),
		address(k.base, mapName, violated),
		asm.StoreImm(k.base, 0, 1, asm.Word),
	}
	size := 0
	for i := range remember {
		size += int(remember[i].Width())
	}
	k.emit(asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Ja), Offset: int16(size)})
	for _, e := range k.exits {
		k.code[e.insn].Offset = int16(k.slots - e.behind)
	}
	k.emit(remember...)
	return k.code
}
