package lift

import (
	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/cfg"
)

// step applies instruction i of a function to s.
func (p *Program) step(fn *function, i int, s *state) {
	ins := &fn.Insns[i]
	switch class := ins.OpCode.Class(); {
	case class.IsALU():
		s.regs[ins.Dst] = alu(ins, s)
	case class == asm.LdClass && cfg.IsPacketLoad(ins):
		classic(ins, s)
	case class == asm.LdClass:
		s.regs[ins.Dst] = immediate(ins)
	case class == asm.LdXClass:
		s.regs[ins.Dst] = p.load(ins, s)
	case class == asm.StClass:
		store(ins, s, constant(uint64(ins.Constant)))
	case class == asm.StXClass && ins.OpCode.Mode() == asm.AtomicMode:
		atomic(ins, s)
	case class == asm.StXClass:
		store(ins, s, s.regs[ins.Src])
	case cfg.IsExit(ins):
		if merged := join(fn.result, s.regs[asm.R0]); merged != fn.result && !merged.same(fn.result) {
			fn.result = merged
			p.again()
		}
	case class.IsJump() && ins.OpCode.JumpOp() == asm.Call:
		p.call(ins, s)
	}
}

// again says that every function has to be looked at once more.
func (p *Program) again() {
	p.changed = true
	for _, fn := range p.funcs {
		fn.dirty = true
	}
}

func immediate(ins *asm.Instruction) *value {
	name := ins.Reference()
	switch {
	case ins.IsLoadOfFunctionPointer():
		return top
	case name != "" && ins.Src == asm.PseudoMapFD:
		return address(mapItself, name, 0, true)
	case name != "" && ins.Src == asm.PseudoMapValue:
		return address(mapValue, name, int64(uint64(ins.Constant)>>32), true)
	case name != "" || ins.Src != 0:
		return top
	}
	return constant(uint64(ins.Constant))
}

// classic is a load from the packet as classic BPF has it: in network order, and at
// an offset that may lie in a register.
func classic(ins *asm.Instruction, s *state) {
	offset, known := ins.Constant, true
	if ins.OpCode.Mode() == asm.IndMode {
		c, ok := s.regs[ins.Src].fixed()
		offset, known = offset+int64(c), ok
	}
	size := ins.OpCode.Size().Sizeof()
	v := loaded(cover.PacketBytes, "", offset, known && offset >= 0, size)
	if size > 1 && littleEndian {
		v = v.with(cover.Swap, uint64(size))
	}
	clobber(s)
	s.regs[asm.R0] = v
}

func (p *Program) load(ins *asm.Instruction, s *state) *value {
	size := ins.OpCode.Size().Sizeof()
	v := p.read(s.regs[ins.Src], int64(ins.Offset), size, s)
	switch ins.OpCode.Mode() {
	case asm.MemMode:
		return v
	case asm.MemSXMode:
		return cut(v, size).with(cover.Sext, uint64(size))
	}
	return top
}

// read returns what lies behind a pointer.
func (p *Program) read(base *value, by int64, size int, s *state) *value {
	if base.kind != pointer {
		return top
	}
	off := base.offset + by
	switch base.region {
	case packetData:
		return loaded(cover.PacketBytes, "", off, base.known, size)
	case packetMeta:
		return loaded(cover.MetaBytes, "", off, base.known, size)
	case mapFound:
		return loaded(cover.MapValueBytes, base.name, off, base.known, size)
	case mapValue:
		if p.opts.Constant != nil && base.known {
			if c, ok := p.opts.Constant(base.name, off, size); ok {
				return constant(c)
			}
		}
		return loaded(cover.MapValueBytes, base.name, off, base.known, size)
	case contextData:
		return p.member(base, off, size)
	case stackFrame:
		if base.known {
			return s.get(off, size)
		}
	}
	return top
}

func (p *Program) member(base *value, off int64, size int) *value {
	if !base.known || p.opts.Context == nil {
		return loaded(cover.ContextField, "", off, base.known, size)
	}
	switch member, name := p.opts.Context(int(off), size); member {
	case Data:
		return address(packetData, "", 0, true)
	case DataEnd:
		return address(packetEnd, "", 0, true)
	case DataMeta:
		return address(packetMeta, "", 0, true)
	case Length:
		return length()
	default:
		return loaded(cover.ContextField, name, off, true, size)
	}
}

func store(ins *asm.Instruction, s *state, v *value) {
	base := s.regs[ins.Dst]
	size := ins.OpCode.Size().Sizeof()
	switch {
	case !base.points(stackFrame):
	case !base.known:
		s.forget()
	default:
		s.put(base.offset+int64(ins.Offset), size, v)
	}
}

func atomic(ins *asm.Instruction, s *state) {
	store(ins, s, top)
	def := cfg.EffectOf(ins).Def
	for r := asm.R0; r <= asm.R9; r++ {
		if def.Has(r) {
			s.regs[r] = top
		}
	}
}

// clobber forgets the registers that a call does not keep.
func clobber(s *state) {
	for r := asm.R0; r <= asm.R5; r++ {
		s.regs[r] = top
	}
}
