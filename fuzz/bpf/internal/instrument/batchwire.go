package instrument

import (
	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/cfg"
)

// The wire_len of an skb cannot be written by a program, so a call fixes it. In a
// batch, each load of it is followed by one of the descriptor's own.
const (
	skbWireLen    = 160
	skbWireLenEnd = 164
)

// wireLens returns what goes behind the loads of wire_len of a main function, whose
// context is known for certain.
func wireLens(fn *function, batchName string) (list []insertion) {
	if fn.sub {
		return nil
	}
	fn.FlowOf(cfg.Regs(asm.R1)).Walk(func(i int, s *cfg.State) {
		ins := &fn.Insns[i]
		if ins.OpCode.Class() == asm.LdXClass && s.Regs[ins.Src].Taint != 0 && loadsWireLen(ins) {
			list = append(list, insertion{place: onFall, insn: i, code: asm.Instructions{
				address(ins.Dst, batchName, batchWire), asm.LoadMem(ins.Dst, ins.Dst, 0, asm.Word),
			}})
		}
	})
	return list
}

// loadsWireLen reports whether a load from a context is of all of wire_len.
func loadsWireLen(ins *asm.Instruction) bool {
	return ins.Offset == skbWireLen && ins.OpCode.Size() == asm.Word && ins.OpCode.Mode() == asm.MemMode
}

// WireLen reports whether wire_len is looked at in a way that batches cannot replace:
// in a part, or in a function that may get the context as an argument.
func (l *Looks) WireLen() bool { return l.wireLen }
