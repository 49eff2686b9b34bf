package instrument

import (
	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/cfg"
)

// comparison is a branch on two operands with what is needed to log them.
type comparison struct {
	cover.Comparison
	fn   *function
	insn int
	room cfg.Room
	a, b asm.Register // b has no meaning where it is a constant
	// again is set where it may be evaluated several times in a run.
	again bool
	// address is set where an operand may be an address.
	address bool
	// null is set where it is whether a helper gave something that is asked.
	null bool
}

// findComparisons lists the branches on integers, and those that compare the end
// of the packet with a place in it.
func (p *Plan) findComparisons(fields PacketFields) {
	from := p.findOrigins(fields)
	for _, fn := range p.funcs {
		out := p.edgesFrom(fn)
		loops := fn.Loops()
		var where []cover.Pos
		from.flows[fn].Walk(func(i int, s *cfg.State) {
			c, ok := compare(&fn.Insns[i], s)
			if !ok && !c.null {
				return
			}
			if where == nil {
				where = positions(fn.Func)
			}
			c.fn, c.insn = fn, i
			c.Func, c.At, c.Pos = fn.label, fn.Offsets[i], where[i]
			c.again = loops[fn.BlockOf[i]] || fn.sub
			c.Fall, c.Taken = -1, -1
			if edges := out[i]; edges != nil {
				c.Fall, c.Taken = edges[0], edges[1]
			}
			if c.null {
				p.nulls = append(p.nulls, c.Comparison)
				return
			}
			c.room = withoutOperands(fn.usage.Before(i), &c)
			fn.comparisons = append(fn.comparisons, len(p.comparisons))
			p.comparisons = append(p.comparisons, c)
		})
	}
}

// edgesFrom returns, for each branch of a function, the edges behind it: that which
// falls through and that which jumps. There is none where the map has no entry.
func (p *Plan) edgesFrom(fn *function) map[int]*[2]int {
	out := map[int]*[2]int{}
	for _, i := range fn.edges {
		flow := p.edges[i].flow
		if flow.From < 0 {
			continue
		}
		if out[flow.From] == nil {
			out[flow.From] = &[2]int{-1, -1}
		}
		if flow.Taken {
			out[flow.From][1] = i
		} else {
			out[flow.From][0] = i
		}
	}
	return out
}

// withoutOperands takes the compared registers out of what code may use.
func withoutOperands(room cfg.Room, c *comparison) cfg.Room {
	operands := cfg.Regs(c.a)
	if !c.Constant {
		operands |= cfg.Regs(c.b)
	}
	room.Free &^= operands
	room.Savable &^= operands
	return room
}

// compare describes a conditional jump; ok is false for other instructions and for
// comparisons of addresses that tell nothing about the input.
func compare(ins *asm.Instruction, s *cfg.State) (c comparison, ok bool) {
	if !cfg.IsBranch(ins) || !c.setRelation(ins.OpCode.JumpOp()) {
		return c, false
	}
	c.Size, c.a = 8, ins.Dst
	if ins.OpCode.Class() == asm.Jump32Class {
		c.Size = 4
	}
	a, b := s.Regs[ins.Dst], cfg.Value{}
	if ins.OpCode.Source() == asm.RegSource {
		c.b, b = ins.Src, s.Regs[ins.Src]
	} else {
		c.Constant = true
		c.B = cover.Operand{Source: cover.Fixed, Size: c.Size, Value: c.cut(uint64(ins.Constant))}
	}
	c.null = c.Constant && c.B.Value == 0 && c.Relation <= cover.NotEqual && (a.Kind == cfg.MapValue || a.Taint&fromPointer != 0)
	if isAddress(a) || isAddress(b) || c.Constant && c.B.Value == 0 && a.Taint&fromPointer != 0 {
		return c, false
	}
	c.setLength(a.Taint, b.Taint)
	c.address = (a.Taint|b.Taint)&addresses != 0
	return c, c.Length || (a.Taint|b.Taint)&(fromPacket|fromEnd) == 0 || mayBeNumber(a.Taint) && mayBeNumber(b.Taint)
}

// mayBeNumber reports whether a value with that taint is possibly no address: the
// difference of two.
func mayBeNumber(taint uint64) bool { return taint&fromPointer == 0 }

func (c *comparison) cut(v uint64) uint64 {
	if c.Size == 4 {
		return uint64(uint32(v))
	}
	return v
}

func (c *comparison) setRelation(op asm.JumpOp) bool {
	switch op {
	case asm.JEq:
		c.Relation = cover.Equal
	case asm.JNE:
		c.Relation = cover.NotEqual
	case asm.JLT, asm.JSLT:
		c.Relation = cover.Less
	case asm.JLE, asm.JSLE:
		c.Relation = cover.LessEqual
	case asm.JGT, asm.JSGT:
		c.Relation = cover.Greater
	case asm.JGE, asm.JSGE:
		c.Relation = cover.GreaterEqual
	case asm.JSet:
		c.Relation = cover.AnyBit
	default:
		return false
	}
	c.Signed = op == asm.JSLT || op == asm.JSLE || op == asm.JSGT || op == asm.JSGE
	return true
}

// setLength finds out whether the packet's end or length is compared, given what the
// operands come from.
func (c *comparison) setLength(a, b uint64) {
	switch {
	case isLength(b), isEnd(b) && a&fromPacket != 0 && a&fromEnd == 0:
		c.Length = true
	case isLength(a), isEnd(a) && b&fromPacket != 0 && b&fromEnd == 0:
		c.Length, c.Swapped = true, true
	}
}

// isLength reports whether a value is the packet's length, or what is left of it: the
// difference of its end and a place in it, or the length that the context has.
func isLength(taint uint64) bool {
	return taint&(fromPacket|fromEnd) == fromPacket|fromEnd || taint&fromLength != 0
}

func isEnd(taint uint64) bool { return taint&(fromPacket|fromEnd) == fromEnd }

// assignOperands gives cells to the comparisons that can be logged.
func (a *assignment) assignOperands(p *Plan, rung Rung) {
	for i := range p.edges {
		a.probe[i] = -1
	}
	seen := 0
	for n := range p.comparisons {
		c := &p.comparisons[n]
		cell := Operands{Site: n, Off: a.layout.Size, Depth: p.depthOf(c), Address: c.address}
		if rung == None || cell.Depth == 0 || len(a.layout.Operands) == maxOperands {
			continue
		}
		if seen++; (seen-1)%rung.sample() != 0 {
			continue
		}
		a.operands[n] = len(a.layout.Operands)
		a.layout.Operands = append(a.layout.Operands, cell)
		a.layout.Size += cell.size()
	}
	a.layout.ComparedSize = a.layout.Size
}

// depthOf returns how many evaluations of a comparison are remembered, 0 where there
// is no room for the code.
func (p *Plan) depthOf(c *comparison) int {
	em := emitter{slots: c.fn.slots, pin: c.fn.pin}
	switch {
	case c.again && em.fits(c.room, 2):
		return depth
	case em.fits(c.room, 1):
		return 1
	}
	return 0
}

func (a *assignment) cellOf(comparison int) *Operands {
	if at, ok := a.operands[comparison]; ok {
		return &a.layout.Operands[at]
	}
	return nil
}

// access returns what is done before a comparison that has a cell.
func (c *comparison) access(cell *Operands) access {
	return access{do: keep, off: cell.Off, a: c.a, b: c.b, constant: c.Constant, depth: cell.Depth}
}

// keep returns the code of that access, with the cell at base+off.
func (a *access) keep(base asm.Register, off int16, regs []asm.Register) asm.Instructions {
	if a.depth == 1 {
		code := asm.Instructions{asm.StoreImm(base, off, 1, asm.Word)}
		return append(code, a.pair(base, off+operandsHeader)...)
	}
	at := regs[0]
	code := asm.Instructions{
		asm.LoadMem(at, base, off, asm.Word),
		asm.Add.Imm(at, 1),
		asm.StoreMem(base, off, at, asm.Word),
		asm.Add.Imm(at, int32(a.depth-1)), // the count before, modulo depth
		asm.And.Imm(at, int32(a.depth-1)),
		asm.Mul.Imm(at, pairSize),
		asm.Add.Reg(at, base),
	}
	return append(code, a.pair(at, off+operandsHeader)...)
}

func (a *access) pair(base asm.Register, off int16) asm.Instructions {
	code := asm.Instructions{asm.StoreMem(base, off, a.a, asm.DWord)}
	if !a.constant {
		code = append(code, asm.StoreMem(base, off+pairSize/2, a.b, asm.DWord))
	}
	return code
}
