package cfg

import "github.com/cilium/ebpf/asm"

// ValueKind says what is known of a register's or stack slot's content.
type ValueKind uint8

const (
	// Nothing is known yet: no path has come here.
	Nothing ValueKind = iota
	// Map is the address of the map named Map.
	Map
	// MapValue is the address Off bytes into the only value of the map named Map.
	MapValue
	// Stack is the address Off bytes (negative) from the frame's r10.
	Stack
	// Any is something that does not point into the frame.
	Any
	// StackSome points somewhere into the frame, or may; Off is the lowest constant
	// part that was seen.
	StackSome
)

// Value is the content of a register or stack slot.
type Value struct {
	Kind ValueKind
	Off  int32
	Map  string
	// Taint has a bit for each source that the value may come from.
	Taint uint64
}

// IsStack reports whether the value may point into the frame.
func (v Value) IsStack() bool { return v.Kind == Stack || v.Kind == StackSome }

const (
	// stackSize is the kernel's limit for the frames of a program together.
	stackSize = 512
	slotSize  = 8
)

func join(a, b Value) Value {
	taint := a.Taint | b.Taint
	a.Taint, b.Taint = taint, taint
	switch {
	case a == b || b.Kind == Nothing:
		return a
	case a.Kind == Nothing:
		return b
	case a.IsStack() || b.IsStack():
		return Value{Kind: StackSome, Off: lower(a, b), Taint: taint}
	}
	return Value{Kind: Any, Taint: taint}
}

// lower returns the lower of two offsets into the frame. What was lower before and
// becomes so again may be walking down in a loop, so it goes by powers of two.
func lower(a, b Value) int32 {
	switch {
	case !a.IsStack():
		return min(b.Off, 0)
	case !b.IsStack() || b.Off >= a.Off:
		return min(a.Off, 0)
	case a.Kind == Stack:
		return min(b.Off, 0)
	}
	off := int32(-slotSize)
	for off > b.Off {
		off *= 2
	}
	return off
}

// State is what is known of a frame at one point.
type State struct {
	Regs [11]Value
	// Slots are the 8-byte slots of the stack, the deepest first.
	Slots [stackSize / slotSize]Value
}

// Slot returns the slot that holds exactly the 8 bytes at off from r10, nil when
// there is none.
func (s *State) Slot(off int32) *Value {
	if off < -stackSize || off > -slotSize || off%slotSize != 0 {
		return nil
	}
	return &s.Slots[(off+stackSize)/slotSize]
}

// SlotTaint returns the taint of all slots together.
func (s *State) SlotTaint() uint64 {
	var taint uint64
	for i := range s.Slots {
		taint |= s.Slots[i].Taint
	}
	return taint
}

// join merges from into s and reports whether s changed.
func (s *State) join(from *State) bool {
	changed := false
	merge := func(to *Value, v Value) {
		if merged := join(*to, v); merged != *to {
			*to, changed = merged, true
		}
	}
	for i := range s.Regs {
		merge(&s.Regs[i], from.Regs[i])
	}
	for i := range s.Slots {
		merge(&s.Slots[i], from.Slots[i])
	}
	return changed
}

func entryState() *State {
	s := &State{}
	for i := range s.Regs {
		s.Regs[i] = Value{Kind: Any}
	}
	for i := range s.Slots {
		s.Slots[i] = Value{Kind: Any}
	}
	s.Regs[asm.R10] = Value{Kind: Stack}
	return s
}

// Flow is the result of following values through a function.
type Flow struct {
	f       *Func
	sources map[int]uint64
	in      []*State // at the start of each reachable block
}

// Flow follows addresses of maps, of global data and of the stack through moves,
// constant arithmetic and spills. What the instructions in sources leave in their
// destination (r0 for calls) gets their bits as taint, which spreads through
// moves, arithmetic and spills, not through loads from memory.
func (f *Func) Flow(sources map[int]uint64) *Flow { return f.flow(sources, entryState()) }

// FlowOf is Flow with the registers of args as the only source, at the function's
// entry; their taint is 1.
func (f *Func) FlowOf(args RegSet) *Flow {
	entry := entryState()
	for r := asm.R0; r <= asm.R9; r++ {
		if args.Has(r) {
			entry.Regs[r].Taint = 1
		}
	}
	return f.flow(nil, entry)
}

// FlowFrom is Flow with the registers of a function's arguments as further sources:
// at its entry r1 to r5 have the taint args[1] to args[5].
func (f *Func) FlowFrom(args [6]uint64, sources map[int]uint64) *Flow {
	entry := entryState()
	for r := asm.R1; r <= asm.R5; r++ {
		entry.Regs[r].Taint = args[r]
	}
	return f.flow(sources, entry)
}

func (f *Func) flow(sources map[int]uint64, entry *State) *Flow {
	fl := &Flow{f: f, sources: sources, in: make([]*State, len(f.Blocks))}
	fl.in[0] = entry
	queued := make([]bool, len(f.Blocks))
	for work := []int{0}; len(work) > 0; {
		b := work[0]
		work, queued[b] = work[1:], false
		block := &f.Blocks[b]
		state := *fl.in[b]
		for i := block.First; i < block.End; i++ {
			fl.step(i, &state)
		}
		for _, next := range [...]int{block.Fall, block.Taken} {
			if next < 0 {
				continue
			}
			changed := fl.in[next] == nil
			if changed {
				fl.in[next] = &State{}
			}
			changed = fl.in[next].join(&state) || changed
			if changed && !queued[next] {
				queued[next] = true
				work = append(work, next)
			}
		}
	}
	return fl
}

// Walk calls visit for every reachable instruction, in order, with the state just
// before it. The state is valid during the call.
func (fl *Flow) Walk(visit func(i int, s *State)) {
	for b := range fl.f.Blocks {
		if fl.in[b] == nil {
			continue
		}
		state := *fl.in[b]
		for i := fl.f.Blocks[b].First; i < fl.f.Blocks[b].End; i++ {
			visit(i, &state)
			fl.step(i, &state)
		}
	}
}

// step applies instruction i to s.
func (fl *Flow) step(i int, s *State) {
	ins := &fl.f.Insns[i]
	effect := EffectOf(ins)
	switch class := ins.OpCode.Class(); {
	case class.IsALU():
		s.Regs[ins.Dst] = alu(ins, s)
	case class == asm.LdClass && !IsPacketLoad(ins):
		s.Regs[ins.Dst] = immediate(ins)
	case class == asm.LdXClass:
		s.Regs[ins.Dst] = load(ins, s)
	default:
		if class == asm.StXClass || class == asm.StClass {
			store(ins, s)
		}
		for r := asm.R0; r <= asm.R9; r++ {
			if (effect.Def | effect.Kill).Has(r) {
				s.Regs[r] = Value{Kind: Any}
			}
		}
	}
	for r := asm.R0; r <= asm.R9; r++ {
		if bits := fl.sources[i]; bits != 0 && effect.Def.Has(r) {
			s.Regs[r].Taint |= bits
		}
	}
}

func immediate(ins *asm.Instruction) Value {
	if name := ins.Reference(); name != "" {
		switch ins.Src {
		case asm.PseudoMapFD:
			return Value{Kind: Map, Map: name}
		case asm.PseudoMapValue:
			return Value{Kind: MapValue, Map: name, Off: int32(uint64(ins.Constant) >> 32)}
		}
	}
	return Value{Kind: Any}
}

func alu(ins *asm.Instruction, s *State) Value {
	op, dst := ins.OpCode.ALUOp(), s.Regs[ins.Dst]
	fromReg := ins.OpCode.Source() == asm.RegSource && op != asm.Swap && op != asm.Neg
	var src Value
	if fromReg {
		src = s.Regs[ins.Src]
	}
	taint := dst.Taint | src.Taint
	if isMove(op) {
		taint = src.Taint
	}
	switch {
	case ins.OpCode.Class() != asm.ALU64Class:
		return Value{Kind: Any, Taint: taint}
	case op == asm.Mov && fromReg && ins.Offset == 0:
		return src
	case isMove(op):
		return Value{Kind: Any, Taint: taint}
	case op == asm.Add && !fromReg:
		return shifted(dst, ins.Constant)
	case op == asm.Sub && !fromReg:
		return shifted(dst, -ins.Constant)
	case op == asm.Add && dst.IsStack():
		return Value{Kind: StackSome, Off: dst.Off, Taint: taint}
	case op == asm.Add && src.IsStack():
		return Value{Kind: StackSome, Off: src.Off, Taint: taint}
	case dst.IsStack():
		// An index is not negative; what is subtracted may be anything.
		return Value{Kind: StackSome, Off: -stackSize, Taint: taint}
	}
	return Value{Kind: Any, Taint: taint}
}

// shifted returns v plus a constant. The offset of what walks down the stack in a
// loop ends at its bottom.
func shifted(v Value, by int64) Value {
	off := int64(v.Off) + by
	switch v.Kind {
	case Stack, StackSome:
		if off < -2*stackSize || off > stackSize {
			return Value{Kind: StackSome, Off: -2 * stackSize, Taint: v.Taint}
		}
		v.Off = int32(off)
		return v
	case MapValue:
		if off < 0 || off > 1<<30 {
			return Value{Kind: Any, Taint: v.Taint}
		}
		v.Off = int32(off)
		return v
	}
	return Value{Kind: Any, Taint: v.Taint}
}

func load(ins *asm.Instruction, s *State) Value {
	base := s.Regs[ins.Src]
	if base.Kind == StackSome {
		return Value{Kind: Any, Taint: s.SlotTaint()}
	}
	if base.Kind != Stack {
		return Value{Kind: Any}
	}
	off := base.Off + int32(ins.Offset)
	if slot := s.Slot(off); slot != nil && ins.OpCode.Size() == asm.DWord && ins.OpCode.Mode() == asm.MemMode {
		return *slot
	}
	// Part of a slot is no address any more, but it comes from where the slot does.
	if slot := s.Slot(off - mod(off, slotSize)); slot != nil {
		return Value{Kind: Any, Taint: slot.Taint}
	}
	return Value{Kind: Any}
}

// store forgets what a store overwrites and keeps what a spill puts there. What is
// stored through an unknown pointer into the frame may be in any slot.
func store(ins *asm.Instruction, s *State) {
	base := s.Regs[ins.Dst]
	var what Value
	if ins.OpCode.Class() == asm.StXClass {
		what = s.Regs[ins.Src]
	}
	off := base.Off + int32(ins.Offset)
	switch base.Kind {
	case Stack:
		slot := s.Slot(off)
		if slot != nil && ins.OpCode.Mode() == asm.MemMode && ins.OpCode.Size() == asm.DWord && what.Kind != Nothing {
			*slot = what
			return
		}
		if slot = s.Slot(off - mod(off, slotSize)); slot != nil {
			*slot = Value{Kind: Any, Taint: slot.Taint | what.Taint}
		}
	case StackSome:
		for i := range s.Slots {
			s.Slots[i] = join(s.Slots[i], Value{Kind: Any, Taint: what.Taint})
		}
	}
}

func mod(a, b int32) int32 { return ((a % b) + b) % b }
