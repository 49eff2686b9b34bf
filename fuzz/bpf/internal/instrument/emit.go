package instrument

import (
	"math"

	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/cfg"
)

// action is what a probe does with a place in the map value.
type action uint8

const (
	// mark stores 1 into the byte at off.
	mark action = iota
	// count adds 1 to the u32 at off.
	count
	// stamp adds 1 to the u32 at from and stores the sum into the u32 at off.
	stamp
	// keep stores the operands a and b behind the u32 at off, and sets that to 1. Where
	// several are remembered it counts them instead.
	keep
)

// access is one action of a probe.
type access struct {
	do        action
	off, from int
	// For keep: the registers that hold the operands, of which constant says that b
	// is none, and how many evaluations are remembered.
	a, b     asm.Register
	constant bool
	depth    int
}

// end is where what is accessed at off ends.
func (a *access) end() int {
	if a.do == keep {
		return a.off + operandsHeader + a.depth*pairSize
	}
	return a.off
}

// emitter writes probes for one function.
type emitter struct {
	mapName string
	// pin is a register that holds the address of offset base in the map value all
	// through the function; r0 when there is none.
	pin  asm.Register
	base int
	// spill is the offset from r10, a multiple of 8, below which slots registers can
	// be saved in.
	spill int
	slots int
}

var (
	freeOrder = [...]asm.Register{asm.R5, asm.R4, asm.R3, asm.R2, asm.R1, asm.R0, asm.R9, asm.R8, asm.R7, asm.R6}
	saveOrder = [...]asm.Register{asm.R9, asm.R8, asm.R7, asm.R6, asm.R5, asm.R4, asm.R3, asm.R2, asm.R1, asm.R0}
)

// address loads the address of offset off of the map value.
func address(dst asm.Register, mapName string, off int) asm.Instruction {
	return asm.Instruction{
		OpCode: asm.LoadImmOp(asm.DWord), Dst: dst, Src: asm.PseudoMapValue, Constant: int64(off) << 32,
	}.WithReference(mapName)
}

func near(distance int) bool { return distance >= math.MinInt16 && distance <= math.MaxInt16 }

// registers returns how many registers the accesses need.
func registers(accesses []access, pinned bool) int {
	n := 0
	if !pinned {
		n++
	}
	for _, a := range accesses {
		if a.do != mark && (a.do != keep || a.depth > 1) {
			return n + 1
		}
	}
	return n
}

// fits reports whether n registers can be had.
func (e *emitter) fits(room cfg.Room, n int) bool {
	free := room.Free &^ e.pinned()
	return n <= free.Len()+min(room.Savable.Len(), e.slots)
}

func (e *emitter) pinned() cfg.RegSet {
	if e.pin == asm.R0 {
		return 0
	}
	return cfg.Regs(e.pin)
}

// take picks n registers, and returns the code that saves and restores those of
// them that are in use.
func (e *emitter) take(room cfg.Room, n int) (regs []asm.Register, save, restore asm.Instructions) {
	free := room.Free &^ e.pinned()
	for _, r := range freeOrder {
		if len(regs) < n && free.Has(r) {
			regs = append(regs, r)
		}
	}
	for _, r := range saveOrder {
		if len(regs) < n && room.Savable.Has(r) {
			off := int16(e.spill - 8*(len(save)+1))
			regs = append(regs, r)
			save = append(save, asm.StoreMem(asm.R10, off, r, asm.DWord))
			restore = append(restore, asm.LoadMem(r, asm.R10, off, asm.DWord))
		}
	}
	return regs, save, restore
}

// probe returns the code for the accesses; fits must have said that there is room.
func (e *emitter) probe(room cfg.Room, accesses []access) asm.Instructions {
	pinned := e.pin != asm.R0
	for _, a := range accesses {
		pinned = pinned && near(a.off-e.base) && near(a.end()-e.base) && (a.do != stamp || near(a.from-e.base))
	}
	regs, code, restore := e.take(room, registers(accesses, pinned))
	base, at := e.pin, e.base
	if !pinned {
		base, regs = regs[0], regs[1:]
		at = math.MinInt32
	}
	// reach makes off addressable from base.
	reach := func(off int) int16 {
		if !near(off - at) {
			at = off
			code = append(code, address(base, e.mapName, off))
		}
		return int16(off - at)
	}
	for _, a := range accesses {
		switch a.do {
		case mark:
			off := reach(a.off)
			code = append(code, asm.StoreImm(base, off, 1, asm.Byte))
		case count:
			off := reach(a.off)
			code = append(code, asm.LoadMem(regs[0], base, off, asm.Word), asm.Add.Imm(regs[0], 1), asm.StoreMem(base, off, regs[0], asm.Word))
		case stamp:
			from := reach(a.from)
			code = append(code, asm.LoadMem(regs[0], base, from, asm.Word), asm.Add.Imm(regs[0], 1), asm.StoreMem(base, from, regs[0], asm.Word))
			off := reach(a.off)
			code = append(code, asm.StoreMem(base, off, regs[0], asm.Word))
		case keep:
			off := reach(a.off)
			code = append(code, a.keep(base, off, regs)...)
		}
	}
	return append(code, restore...)
}
