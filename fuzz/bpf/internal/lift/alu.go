package lift

import (
	"math/bits"

	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

// alu returns what an arithmetic instruction leaves in its destination.
func alu(ins *asm.Instruction, s *state) *value {
	op, dst := ins.OpCode.ALUOp(), s.regs[ins.Dst]
	narrow := ins.OpCode.Class() == asm.ALUClass
	switch op {
	case asm.Swap:
		return swap(ins, dst)
	case asm.Neg:
		return finish(dst.with(cover.Neg, 0), narrow)
	}
	src := constant(uint64(ins.Constant))
	if ins.OpCode.Source() == asm.RegSource {
		src = s.regs[ins.Src]
		if ins.Offset != 0 && op == asm.Mov {
			op = extension(ins.Offset)
		}
	}
	if narrow {
		if c, ok := src.fixed(); ok {
			src = constant(uint64(uint32(c)))
		}
		dst = lower(op, dst)
	}
	return finish(arithmetic(op, dst, src, narrow), narrow)
}

// extension returns the move that sign-extends so many bits.
func extension(bits int16) asm.ALUOp {
	switch bits {
	case 8:
		return asm.MovSX8
	case 16:
		return asm.MovSX16
	}
	return asm.MovSX32
}

// lower drops the upper half of what a 32-bit instruction works on, where it matters.
func lower(op asm.ALUOp, v *value) *value {
	switch op {
	case asm.RSh, asm.Div, asm.Mod:
		return cut(v, 4)
	case asm.ArSh:
		return v.with(cover.Sext, 4)
	}
	return v
}

// finish clears the upper half after a 32-bit instruction, which makes any pointer
// a number.
func finish(v *value, narrow bool) *value {
	if !narrow {
		return v
	}
	return cut(v, 4)
}

func swap(ins *asm.Instruction, v *value) *value {
	size := uint64(ins.Constant) / 8
	if ins.OpCode.Class() == asm.ALUClass && (ins.OpCode.Endianness() == asm.LE) == littleEndian {
		return cut(v, int(size))
	}
	return cut(v, int(size)).with(cover.Swap, size)
}

func arithmetic(op asm.ALUOp, dst, src *value, narrow bool) *value {
	switch op {
	case asm.Mov:
		return src
	case asm.MovSX8:
		return cut(src, 1).with(cover.Sext, 1)
	case asm.MovSX16:
		return cut(src, 2).with(cover.Sext, 2)
	case asm.MovSX32:
		return cut(src, 4).with(cover.Sext, 4)
	case asm.Add:
		return add(dst, src)
	case asm.Sub:
		return subtract(dst, src)
	case asm.Or:
		return merge(dst, src)
	}
	if c, ok := src.fixed(); ok {
		return withConstant(op, dst, c, narrow)
	}
	if c, ok := dst.fixed(); ok {
		switch op {
		case asm.And, asm.Xor, asm.Mul:
			return withConstant(op, src, c, narrow)
		}
	}
	return top
}

func withConstant(op asm.ALUOp, v *value, c uint64, narrow bool) *value {
	if narrow {
		c = uint64(uint32(c)) // an immediate operand has been sign-extended
	}
	shift := c & 63
	if narrow {
		shift = c & 31
	}
	switch op {
	case asm.And:
		return masked(v, c)
	case asm.Xor:
		return v.with(cover.Xor, c)
	case asm.Mul:
		return v.with(cover.Mul, c)
	case asm.LSh:
		return v.with(lsh, shift)
	case asm.RSh:
		return v.with(rsh, shift)
	case asm.ArSh:
		return v.with(cover.Arsh, shift)
	case asm.Div:
		if bits.OnesCount64(c) == 1 {
			return v.with(rsh, uint64(bits.TrailingZeros64(c)))
		}
	case asm.Mod:
		if bits.OnesCount64(c) == 1 {
			return v.with(cover.And, c-1)
		}
	}
	return top
}

// masked returns v & c; a mask of whole bytes keeps those.
func masked(v *value, c uint64) *value {
	for _, size := range [...]int{1, 2, 4} {
		if c == widest(8*size) {
			return cut(v, size)
		}
	}
	return v.with(cover.And, c)
}

func add(v, w *value) *value {
	if w.kind == pointer {
		v, w = w, v
	}
	if v.kind == pointer {
		c, ok := w.fixed()
		if w.kind == pointer {
			return top
		}
		return address(v.region, v.name, v.offset+int64(c), v.known && ok)
	}
	if c, ok := w.fixed(); ok {
		return v.with(cover.Add, c)
	}
	if c, ok := v.fixed(); ok {
		return w.with(cover.Add, c)
	}
	return merge(v, w) // bytes that are put together may be added as well
}

func subtract(v, w *value) *value {
	c, ok := w.fixed()
	switch {
	case v.kind == pointer && w.kind == pointer:
		return distance(v, w)
	case v.kind == pointer:
		return address(v.region, v.name, v.offset-int64(c), v.known && ok)
	case ok:
		return v.with(cover.Add, -c)
	}
	if c, ok := v.fixed(); ok {
		return w.with(cover.Neg, 0).with(cover.Add, c)
	}
	return top
}

// distance returns the difference of two addresses.
func distance(v, w *value) *value {
	if !v.known || !w.known {
		return top
	}
	switch {
	case v.region == w.region && v.name == w.name && v.region != mapFound:
		return constant(uint64(v.offset - w.offset))
	case v.region == packetEnd && w.region == packetData:
		return length().with(cover.Add, uint64(v.offset-w.offset))
	}
	return top
}

func length() *value { return loaded(cover.PacketLength, "", 0, true, 4) }
