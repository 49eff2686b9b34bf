package cfg

import "github.com/cilium/ebpf/asm"

// StackDepth returns how many bytes below r10 the function uses at most, as far
// as constant offsets tell; ok is false where it computes an address that could be
// anywhere in the frame, so that nothing below can be taken for free.
func (f *Func) StackDepth(fl *Flow) (depth int, ok bool) {
	lowest, ok := int32(0), true
	note := func(v Value, by int32) {
		switch {
		case v.Kind == StackSome && v.Off+by >= 0:
			ok = false
		case v.IsStack():
			lowest = min(lowest, v.Off+by)
		}
	}
	fl.Walk(func(i int, s *State) {
		ins := &f.Insns[i]
		switch class := ins.OpCode.Class(); {
		case class == asm.LdXClass:
			note(s.Regs[ins.Src], int32(ins.Offset))
		case class == asm.StXClass && ins.OpCode.Mode() == asm.AtomicMode:
			note(s.Regs[ins.Dst], int32(ins.Offset))
			note(s.Regs[ins.Src], 0)
		case class == asm.StXClass, class == asm.StClass:
			note(s.Regs[ins.Dst], int32(ins.Offset))
		case class.IsJump() && ins.OpCode.JumpOp() == asm.Call:
			for r := asm.R1; r <= asm.R5; r++ {
				note(s.Regs[r], 0)
			}
		}
	})
	return int(-lowest), ok && lowest >= -stackSize
}
