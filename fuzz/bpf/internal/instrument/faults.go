package instrument

import (
	"encoding/binary"
	"strings"

	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/cfg"
)

// The value of the map that says which call of a helper is to fail.
const (
	// FaultSize is the size of the value.
	FaultSize = 8

	faultLeft = 0 // u32: how many fallible calls there are to the one that fails, 0 for none
	faultSite = 4 // u32: the number of the site whose call failed, from 1; 0 for none
)

// SetFault makes the n-th fallible call from now on fail, none for 0.
func SetFault(value []byte, n uint32) {
	binary.NativeEndian.PutUint32(value[faultLeft:], n)
	binary.NativeEndian.PutUint32(value[faultSite:], 0)
}

// Faulted returns the number of the site whose call failed since SetFault, from 1 in
// the order of Plan.Faults; 0 means that none did.
func Faulted(value []byte) uint32 { return binary.NativeEndian.Uint32(value[faultSite:]) }

// fault is a call of a helper that can be made to fail.
type fault struct {
	insn, number int
	failure
	room cfg.Room
}

// findFaults lists the fallible calls of fn.
func (p *Plan) findFaults(fn *function, opts *Options) {
	if p.faults == "" {
		return
	}
	where := positions(fn.Func)
	fn.Flow(nil).Walk(func(i int, s *cfg.State) {
		ins := &fn.Insns[i]
		if !ins.IsBuiltinCall() {
			return
		}
		helper := asm.BuiltinFunc(ins.Constant)
		var info MapInfo
		if r := helperOf(helper).maps; r != asm.R0 && s.Regs[r].Kind == cfg.Map {
			info = opts.Maps[s.Regs[r].Map]
		}
		fails := failureOf(helper, info)
		if !fails.ok {
			return
		}
		room := fn.usage.Before(i)
		for r := asm.R1 + asm.Register(helperOf(helper).args); r <= asm.R5; r++ {
			room.Free |= cfg.Regs(r)
		}
		room.Savable &^= room.Free
		em := emitter{slots: fn.slots, pin: fn.pin}
		site := corpus.FaultSite{Helper: helperName(helper), Pos: where[i], Error: fails.text(helper)}
		if !em.fits(room, faultRegs) {
			return
		}
		p.sites = append(p.sites, site)
		fn.faults = append(fn.faults, fault{insn: i, number: len(p.sites), failure: fails, room: room})
	})
}

// faultRegs is how many registers the code in front of a call needs.
const faultRegs = 2

// text says how the call fails, as people write it.
func (f failure) text(fn asm.BuiltinFunc) string {
	switch {
	case f.spoil != asm.R0:
		return "an error"
	case f.value == 0:
		return "NULL"
	case fn == asm.FnFibLookup:
		return "BPF_FIB_LKUP_RET_NOT_FWDED"
	}
	return "-" + unix.ErrnoName(unix.Errno(-f.value))
}

// helperName is a helper's name in C.
func helperName(fn asm.BuiltinFunc) string {
	var s strings.Builder
	s.WriteString("bpf")
	for _, r := range strings.TrimPrefix(fn.String(), "Fn") {
		if r >= 'A' && r <= 'Z' {
			s.WriteByte('_')
			r += 'a' - 'A'
		}
		s.WriteRune(r)
	}
	return s.String()
}

// Faults lists the calls that can be made to fail, in the order of their numbers; nil
// where faults are off.
func (p *Plan) Faults() []corpus.FaultSite { return p.sites }

// faultInsertions returns what goes around the calls of a function.
func (p *Plan) faultInsertions(fn *function, e *emitter) []insertion {
	var list []insertion
	for i := range fn.faults {
		f := &fn.faults[i]
		list = append(list, insertion{place: instead, insn: f.insn, code: f.code(fn.Insns[f.insn], e, p.faults)})
	}
	return list
}

// FaultAt is the place of a call in an object: a function's name and the offset in slots from
// its start.
type FaultAt struct {
	Func string
	Slot int
}

// FaultCode returns what stands in the place of each call that can be made to fail, for the
// value of a map that SetFault sets. It needs nothing else of what instrumentation brings.
// Ambiguous names a function that is there twice with different code, "" for none.
func (p *Plan) FaultCode(mapName string) (code map[FaultAt]asm.Instructions, ambiguous string) {
	code = map[FaultAt]asm.Instructions{}
	for _, fn := range p.funcs {
		e := &emitter{mapName: mapName, spill: -align(fn.depth), slots: fn.slots}
		if fn.label != fn.Name && len(fn.faults) > 0 {
			ambiguous = fn.Name
		}
		for i := range fn.faults {
			f := &fn.faults[i]
			code[FaultAt{fn.Name, fn.Offsets[f.insn]}] = f.code(fn.Insns[f.insn], e, mapName)
		}
	}
	return code, ambiguous
}

// code counts down to the call that fails. A failure by an argument joins the call,
// so that the verifier sees one way out of it; any other goes around it, so that what
// a call acquires is not there to be released.
func (f *fault) code(call asm.Instruction, e *emitter, mapName string) asm.Instructions {
	regs, save, restore := e.take(f.room, faultRegs)
	base, left := regs[0], regs[1]
	c := newCoder()
	c.add(save...)
	c.add(address(base, mapName, 0), asm.LoadMem(left, base, faultLeft, asm.Word))
	c.when(left, asm.JEq, 0, "call")
	c.add(asm.Add.Imm(left, -1), asm.StoreMem(base, faultLeft, left, asm.Word))
	c.when(left, asm.JNE, 0, "call")
	c.add(asm.StoreImm(base, faultSite, int64(f.number), asm.Word))
	c.add(restore...)
	if f.spoil != asm.R0 {
		c.add(asm.Mov.Imm(f.spoil, f.value))
		c.jump("spoiled")
	} else {
		c.add(asm.Mov.Imm(asm.R0, f.value))
		c.jump("done")
	}
	c.label("call")
	c.add(restore...)
	c.label("spoiled")
	c.add(call.WithSymbol(""))
	c.label("done")
	return c.finish()
}

// loadFault has the prologue of batches do what SetFault does.
func (b *batchCode) loadFault() {
	if b.fault == "" {
		return
	}
	b.add(address(asm.R4, b.fault, 0))
	b.load(asm.R2, DescFault, asm.Word)
	b.add(asm.StoreMem(asm.R4, faultLeft, asm.R2, asm.Word))
}
