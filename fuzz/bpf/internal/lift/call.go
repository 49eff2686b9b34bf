package lift

import (
	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/disasm"
)

// call applies a call of a function of the program, of a helper or of a kernel
// function.
func (p *Program) call(ins *asm.Instruction, s *state) {
	result := top
	switch {
	case ins.IsFunctionCall():
		result = p.callFunction(ins.Reference(), s)
	case ins.IsKfuncCall():
		result = loaded(cover.HelperResult, ins.Reference(), 0, false, 8)
		s.escape(5)
	case ins.IsBuiltinCall():
		result = callHelper(asm.BuiltinFunc(ins.Constant), s)
	default:
		s.escape(5)
	}
	clobber(s)
	s.regs[asm.R0] = result
}

// callFunction joins the arguments into the callee's and returns what it returns:
// nothing until the callee has been followed, when all is looked at again.
func (p *Program) callFunction(name string, s *state) *value {
	fn := p.byName[name]
	if fn == nil {
		s.escape(5)
		return top
	}
	args := newState()
	for r := asm.R1; r <= asm.R5; r++ {
		if v := s.regs[r]; !v.points(stackFrame) {
			args.regs[r] = v
		}
	}
	s.escape(5)
	if fn.entry == nil {
		fn.entry, fn.dirty, p.changed = args, true, true
	} else if fn.entry.join(args) {
		fn.dirty, p.changed = true, true
	}
	return fn.result
}

// escape forgets the stack where one of the first n arguments points into it: the
// callee may write there.
func (s *state) escape(n int) {
	for r := asm.R1; r < asm.R1+asm.Register(n); r++ {
		if s.regs[r].points(stackFrame) {
			s.forget()
			return
		}
	}
}

func callHelper(helper asm.BuiltinFunc, s *state) *value {
	switch helper {
	case asm.FnMapLookupElem, asm.FnMapLookupPercpuElem:
		if m := s.regs[asm.R1]; m.points(mapItself) {
			return address(mapFound, m.name, 0, true)
		}
		return top
	case asm.FnSkbLoadBytes, asm.FnXdpLoadBytes:
		loadBytes(s.regs[asm.R2], s.regs[asm.R3], s.regs[asm.R4], s)
	case asm.FnMapUpdateElem, asm.FnMapDeleteElem, asm.FnPerfEventOutput, asm.FnRingbufOutput, asm.FnTracePrintk, asm.FnRedirectMap:
		// They read memory only.
	default:
		s.escape(5)
	}
	return loaded(cover.HelperResult, disasm.Helper(helper), 0, false, 8)
}

// loadBytes is the effect of copying packet bytes from an offset to the stack.
func loadBytes(from, to, size *value, s *state) {
	if !to.points(stackFrame) {
		return
	}
	n, ok := size.fixed()
	if !ok || !to.known || n > stackSize {
		s.forget()
		return
	}
	offset, known := from.fixed()
	for i := range int64(n) {
		v := loaded(cover.PacketBytes, "", int64(uint32(offset))+i, known, 1)
		s.put(to.offset+i, 1, v)
	}
}
