package instrument

import (
	"math/bits"

	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/cfg"
)

// maxKey is the size of the largest key that is logged.
const maxKey = 64

// use is a place in a function where a map's state may change.
type use struct {
	insn     int
	mapName  string
	helper   string
	keyed    bool // the key is in r2
	keySize  int  // 0 when it is not known
	keyStack int32
	onStack  bool // the key is at keyStack from r10
	ranged   bool
	lo, hi   uint32
	// source is set where an address in the map is handed out; readOnly when nothing
	// is written through it.
	source, readOnly bool
	// dst is the register that may be overwritten before the instruction.
	dst asm.Register
}

// findUses lists the places of f where maps are used. main is set when f is only
// ever entered by the kernel, so that what it returns is no address.
func findUses(f *cfg.Func, fl *cfg.Flow, main bool, opts *Options) []use {
	var uses []use
	fl.Walk(func(i int, s *cfg.State) {
		ins := &f.Insns[i]
		switch {
		case ins.IsBuiltinCall():
			if u, ok := helperUse(ins, s, opts); ok {
				u.insn = i
				uses = append(uses, u)
			}
		case ins.IsKfuncCall():
			uses = append(uses, kfuncUses(i, s, opts)...)
		case ins.IsLoadFromMap() && ins.Src == asm.PseudoMapValue:
			if u, ok := dataUse(ins, opts); ok {
				u.insn = i
				uses = append(uses, u)
			}
		}
	})
	followAddresses(f, uses, main)
	return uses
}

func helperUse(ins *asm.Instruction, s *cfg.State, opts *Options) (use, bool) {
	fn := asm.BuiltinFunc(ins.Constant)
	h := helperOf(fn)
	if h.maps == asm.R0 || h.effect == reads {
		return use{}, false
	}
	u := use{helper: fn.String(), dst: asm.R0, source: h.effect == looksUp}
	if v := s.Regs[h.maps]; v.Kind == cfg.Map {
		u.mapName = v.Map
	}
	info, ok := opts.Maps[u.mapName]
	if u.mapName != "" && info.ReadOnly {
		if !u.source {
			return use{}, false
		}
		u.readOnly = true
	}
	u.keyed = h.effect == looksUp || h.effect == changesKey
	if u.keyed && ok && u.mapName != "" {
		u.keySize = info.KeySize
	}
	if key := s.Regs[asm.R2]; u.keyed && key.Kind == cfg.Stack {
		u.onStack, u.keyStack = true, key.Off
	}
	return u, true
}

// kfuncUses marks every map that a kfunc is given: which of them it changes is not known.
func kfuncUses(i int, s *cfg.State, opts *Options) []use {
	var uses []use
	for r := asm.R1; r <= asm.R5; r++ {
		if v := s.Regs[r]; v.Kind == cfg.Map && !opts.Maps[v.Map].ReadOnly {
			uses = append(uses, use{insn: i, mapName: v.Map, helper: "kfunc", dst: asm.R0})
		}
	}
	return uses
}

func dataUse(ins *asm.Instruction, opts *Options) (use, bool) {
	name := ins.Reference()
	if opts.Maps[name].ReadOnly {
		return use{}, false
	}
	u := use{mapName: name, source: true, dst: ins.Dst}
	if opts.Range != nil && name != "" {
		u.lo, u.hi = opts.Range(name, uint32(uint64(ins.Constant)>>32))
		u.ranged = u.hi > u.lo
	}
	return u, true
}

// followAddresses finds out through which of the addresses that uses hand out
// nothing is ever written.
func followAddresses(f *cfg.Func, uses []use, main bool) {
	for from := 0; from < len(uses); {
		sources := map[int]uint64{}
		var group []int
		for ; from < len(uses) && len(group) < 64; from++ {
			if uses[from].source && !uses[from].readOnly {
				sources[uses[from].insn] |= 1 << len(group)
				group = append(group, from)
			}
		}
		if len(group) == 0 {
			continue
		}
		written := escapes(f, f.Flow(sources), main)
		for bit, u := range group {
			uses[u].readOnly = written>>bit&1 == 0
		}
	}
}

// escapes returns the taint of everything that may be written through, or that
// goes where it can no longer be followed.
func escapes(f *cfg.Func, fl *cfg.Flow, main bool) uint64 {
	var out uint64
	fl.Walk(func(i int, s *cfg.State) {
		ins := &f.Insns[i]
		switch class := ins.OpCode.Class(); {
		case class == asm.StClass:
			out |= s.Regs[ins.Dst].Taint
		case class == asm.StXClass:
			out |= storeEscapes(ins, s)
		case cfg.IsExit(ins) && !main:
			out |= s.Regs[asm.R0].Taint
		case class.IsJump() && ins.OpCode.JumpOp() == asm.Call:
			out |= callEscapes(ins, s)
		}
	})
	return out
}

func storeEscapes(ins *asm.Instruction, s *cfg.State) uint64 {
	dst, src := s.Regs[ins.Dst], s.Regs[ins.Src]
	spilled := dst.Kind == cfg.Stack && ins.OpCode.Mode() == asm.MemMode && s.Slot(dst.Off+int32(ins.Offset)) != nil
	if spilled {
		return dst.Taint
	}
	return dst.Taint | src.Taint
}

func callEscapes(ins *asm.Instruction, s *cfg.State) uint64 {
	h := unknown
	h.calls = true
	if ins.IsBuiltinCall() {
		h = helperOf(asm.BuiltinFunc(ins.Constant))
	}
	var out uint64
	for r := asm.R1; r < asm.R1+asm.Register(h.args); r++ {
		v := s.Regs[r]
		if !h.constant.Has(r) {
			out |= v.Taint
		}
		// What is called gets at addresses that lie in the frame.
		if h.calls && v.IsStack() {
			out |= s.SlotTaint()
		}
	}
	return out
}

// code returns what is inserted before a use, for its site.
func (u *use) code(mapName string, s *Site) asm.Instructions {
	if s.Kind != Keys {
		return asm.Instructions{address(u.dst, mapName, s.Off), asm.StoreImm(u.dst, 0, 1, asm.Word)}
	}
	return u.log(mapName, s.Off, s.Stride, s.Ring)
}

// log stores the key into the slot of a ring whose count is at off.
func (u *use) log(mapName string, off, stride, ring int) asm.Instructions {
	code := count1(mapName, off, stride, ring)
	for at := 0; at < u.keySize; {
		width := u.width(at)
		size := map[int]asm.Size{1: asm.Byte, 2: asm.Half, 4: asm.Word, 8: asm.DWord}[width]
		code = append(code,
			asm.LoadMem(asm.R5, asm.R2, int16(at), size),
			asm.StoreMem(asm.R0, int16(siteHeader+at), asm.R5, size))
		at += width
	}
	return code
}

// count1 counts at off, and leaves in r0 the address at which the slot for that
// passage is siteHeader bytes away. It needs r5.
func count1(mapName string, off, stride, ring int) asm.Instructions {
	code := asm.Instructions{
		address(asm.R0, mapName, off),
		asm.LoadMem(asm.R5, asm.R0, 0, asm.Word),
		asm.Add.Imm(asm.R5, 1),
		asm.StoreMem(asm.R0, 0, asm.R5, asm.Word),
	}
	return append(code, intoRing(asm.R0, stride, ring)...)
}

// intoRing moves r from a ring's count, which is in r5, to the slot of the last passage.
func intoRing(r asm.Register, stride, ring int) asm.Instructions {
	code := asm.Instructions{
		asm.Add.Imm(asm.R5, int32(ring-1)), // the count before, modulo the ring's size
		asm.And.Imm(asm.R5, int32(ring-1)),
	}
	code = append(code, scale(stride)...)
	return append(code, asm.Add.Reg(r, asm.R5))
}

// scale multiplies r5 by the stride, with a shift where one does.
func scale(stride int) asm.Instructions {
	if stride&(stride-1) == 0 {
		return asm.Instructions{asm.LSh.Imm(asm.R5, int32(bits.TrailingZeros(uint(stride))))}
	}
	return asm.Instructions{asm.Mul.Imm(asm.R5, int32(stride))}
}

// width returns how many bytes of the key can be copied at once from byte at on: the
// verifier insists on the alignment of loads from the stack and from packets.
func (u *use) width(at int) int {
	width := 1
	if !u.onStack {
		return width
	}
	for width < 8 && (int(u.keyStack)+at)%(2*width) == 0 && at+2*width <= u.keySize {
		width *= 2
	}
	return width
}
