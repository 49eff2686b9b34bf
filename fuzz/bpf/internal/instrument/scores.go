package instrument

import (
	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

// Score is where a batch leaves how near its inputs came to taking a comparison the
// other way.
type Score struct {
	// Site is the index in cover.Table.Comparisons.
	Site int
	// Off is the offset of a u64, the distance that is to be beaten and then the
	// smallest so far, followed by a u32: BatchIndex when that was, so the descriptor
	// before it. Both are the caller's to set before a batch.
	Off int
}

const (
	scoreIndex = 8  // u32
	scoreA     = 16 // u64: scratch
	scoreB     = 24 // u64: scratch
	scoreSize  = 32
	// maxScores bounds the comparisons that are scored: 256 KiB.
	maxScores = 1 << 13
)

// assignScores gives cells to comparisons of numbers; sample says how many.
func (a *assignment) assignScores(p *Plan, sample Rung) {
	if sample == None {
		return
	}
	seen := 0
	for n := range p.comparisons {
		c := &p.comparisons[n]
		em := emitter{slots: c.fn.slots, pin: c.fn.pin}
		if c.Length || c.address || !em.fits(c.room, 3) || len(a.layout.Scores) == maxScores {
			continue
		}
		if seen++; (seen-1)%sample.sample() != 0 {
			continue
		}
		a.scores[n] = len(a.layout.Scores)
		a.layout.Scores = append(a.layout.Scores, Score{Site: n, Off: a.layout.Size})
		a.layout.Size += scoreSize
	}
}

// scoreInsertions returns what goes before the comparisons of a function.
func (a *assignment) scoreInsertions(p *Plan, fn *function, e *emitter, batchName string) []insertion {
	var list []insertion
	for _, n := range fn.comparisons {
		at, ok := a.scores[n]
		if !ok {
			continue
		}
		c := &p.comparisons[n]
		regs, save, restore := e.take(c.room, 3)
		s := scorer{comparison: c, base: regs[0], d: regs[1], t: regs[2]}
		code := append(save, address(s.base, e.mapName, a.layout.Scores[at].Off))
		code = append(code, s.distance()...)
		code = append(code, s.lower(batchName)...)
		list = append(list, insertion{place: before, insn: c.insn, code: append(code, restore...)})
	}
	return list
}

// scorer writes the code for one comparison: d becomes the distance.
type scorer struct {
	*comparison
	base, d, t asm.Register
}

// number loads an operand as a number: what is read back from memory is no address
// for the verifier, whatever it was.
func (s *scorer) number(dst, operand asm.Register, scratch int16) asm.Instructions {
	code := asm.Instructions{asm.StoreMem(s.base, scratch, operand, asm.DWord)}
	switch {
	case s.Size == 8:
		return append(code, asm.LoadMem(dst, s.base, scratch, asm.DWord))
	case s.Signed:
		code = append(code, asm.LoadMem(dst, s.base, scratch, asm.Word))
		return append(code, asm.LSh.Imm(dst, 32), asm.ArSh.Imm(dst, 32))
	}
	// The lower half is what a store of four bytes stores.
	code[0] = asm.StoreMem(s.base, scratch, operand, asm.Word)
	return append(code, asm.LoadMem(dst, s.base, scratch, asm.Word))
}

func (s *scorer) operands() asm.Instructions {
	code := s.number(s.d, s.a, scoreA)
	if !s.Constant {
		return append(code, s.number(s.t, s.b, scoreB)...)
	}
	value := int32(s.B.Value)
	if s.Size == 4 && !s.Signed {
		return append(code, asm.Mov.Imm32(s.t, value))
	}
	return append(code, asm.Mov.Imm(s.t, value))
}

// distance computes how far the operands are from another outcome: the bits in which
// they differ, or their common bits, or the difference.
func (s *scorer) distance() asm.Instructions {
	code := s.operands()
	switch s.Relation {
	case cover.Equal, cover.NotEqual:
		return append(code, asm.Xor.Reg(s.d, s.t))
	case cover.AnyBit:
		return append(code, asm.And.Reg(s.d, s.t))
	}
	op := asm.JGT
	if s.Signed {
		op = asm.JSGT
	}
	return append(code,
		over(op, s.d, s.t, 3),
		asm.Sub.Reg(s.t, s.d),
		asm.Mov.Reg(s.d, s.t),
		asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Ja), Offset: 1},
		asm.Sub.Reg(s.d, s.t))
}

// over jumps over so many slots.
func over(op asm.JumpOp, a, b asm.Register, slots int16) asm.Instruction {
	return asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(op).SetSource(asm.RegSource), Dst: a, Src: b, Offset: slots}
}

// lower keeps the distance where it is the smallest, and whose it is.
func (s *scorer) lower(batchName string) asm.Instructions {
	return asm.Instructions{
		asm.LoadMem(s.t, s.base, 0, asm.DWord),
		over(asm.JGE, s.d, s.t, 5),
		asm.StoreMem(s.base, 0, s.d, asm.DWord),
		address(s.t, batchName, BatchIndex), // two slots
		asm.LoadMem(s.t, s.t, 0, asm.Word),
		asm.StoreMem(s.base, scoreIndex, s.t, asm.Word),
	}
}

// IndexAt returns the offset of the u32 behind the distance.
func (s *Score) IndexAt() int { return s.Off + scoreIndex }
