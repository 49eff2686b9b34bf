package instrument

import (
	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/cfg"
)

// Lookup is the log of a call that finds an entry of a map by its key.
type Lookup struct {
	// Map is the map's name.
	Map string
	// Off is the offset of a u32 that counts calls; Ring slots of Stride bytes each
	// begin at Off+8: the key, padding to 8, and a u64 with what the call returned.
	Off, KeySize, Stride int

	fn asm.BuiltinFunc
}

// KeyAt returns the offset of the key of the i-th call.
func (l *Lookup) KeyAt(i int) int { return l.Off + siteHeader + i%Ring*l.Stride }

// ResultAt returns the offset of what the i-th call returned.
func (l *Lookup) ResultAt(i int) int { return l.KeyAt(i) + align(l.KeySize) }

// Found reports whether a call that returned result found an entry.
func (l *Lookup) Found(result uint64) bool {
	switch l.fn {
	case asm.FnMapDeleteElem:
		return uint32(result) == 0
	case asm.FnRedirectMap:
		return uint32(result) == xdpRedirect
	}
	return result != 0
}

// xdpRedirect is XDP_REDIRECT, which bpf_redirect_map never returns for want of an entry.
const xdpRedirect = 4

// lookup is such a call in a function.
type lookup struct {
	use
	fn asm.BuiltinFunc
	// index is the register that has the key itself; r0 where r2 has its address.
	index asm.Register
}

// findLookups lists the calls of f that find entries of maps which are known.
func findLookups(f *cfg.Func, fl *cfg.Flow, opts *Options) []lookup {
	var list []lookup
	fl.Walk(func(i int, s *cfg.State) {
		if ins := &f.Insns[i]; ins.IsBuiltinCall() {
			if l, ok := lookupOf(asm.BuiltinFunc(ins.Constant), s, opts); ok {
				l.insn = i
				list = append(list, l)
			}
		}
	})
	return list
}

func lookupOf(fn asm.BuiltinFunc, s *cfg.State, opts *Options) (l lookup, ok bool) {
	l.fn = fn
	of := s.Regs[asm.R1]
	switch fn {
	case asm.FnMapLookupElem, asm.FnMapLookupPercpuElem, asm.FnMapDeleteElem:
	case asm.FnRedirectMap:
		l.index = asm.R2
	case asm.FnTailCall:
		l.index, of = asm.R3, s.Regs[asm.R2]
	default:
		return l, false
	}
	l.mapName, l.keySize = of.Map, opts.Maps[of.Map].KeySize
	if key := s.Regs[asm.R2]; l.index == asm.R0 && key.Kind == cfg.Stack {
		l.onStack, l.keyStack = true, key.Off
	}
	if l.index != asm.R0 {
		l.keySize = 4 // whatever the kind of the map
	}
	return l, of.Kind == cfg.Map && l.keySize > 0 && l.keySize <= maxKey
}

// assignLookups gives cells to the calls.
func (a *assignment) assignLookups(p *Plan, rung Rung) {
	if !rung.keys() {
		return
	}
	for _, fn := range p.funcs {
		for i := range fn.lookups {
			l := &fn.lookups[i]
			if len(a.layout.Lookups) == maxLookups {
				return
			}
			cell := Lookup{Map: l.mapName, Off: a.layout.Size, KeySize: l.keySize, Stride: align(l.keySize) + 8, fn: l.fn}
			a.layout.Size += siteHeader + Ring*cell.Stride
			a.lookups[useKey{fn, i}] = len(a.layout.Lookups)
			a.layout.Lookups = append(a.layout.Lookups, cell)
		}
	}
}

// maxLookups bounds the calls that are logged: 2 MiB at most.
const maxLookups = 1 << 12

// lookupInsertions returns what goes around the calls of a function. Before a call r0
// and r5 are free, behind it r1 to r5.
func (a *assignment) lookupInsertions(fn *function, mapName string) []insertion {
	var list []insertion
	for i := range fn.lookups {
		at, ok := a.lookups[useKey{fn, i}]
		if !ok {
			continue
		}
		l, cell := &fn.lookups[i], &a.layout.Lookups[at]
		list = append(list,
			insertion{place: before, insn: l.insn, code: l.keyCode(mapName, cell)},
			insertion{place: onFall, insn: l.insn, code: resultCode(mapName, cell)})
	}
	return list
}

// keyCode logs a key.
func (l *lookup) keyCode(mapName string, cell *Lookup) asm.Instructions {
	if l.index == asm.R0 {
		return l.log(mapName, cell.Off, cell.Stride, Ring)
	}
	code := count1(mapName, cell.Off, cell.Stride, Ring)
	return append(code,
		asm.StoreMem(asm.R0, siteHeader, l.index, asm.Word),
		// A tail call that finds its program does not come back.
		asm.Mov.Imm(asm.R5, 1),
		asm.StoreMem(asm.R0, int16(siteHeader+align(cell.KeySize)), asm.R5, asm.DWord))
}

// resultCode logs what the call returned.
func resultCode(mapName string, cell *Lookup) asm.Instructions {
	code := asm.Instructions{
		address(asm.R1, mapName, cell.Off),
		asm.LoadMem(asm.R5, asm.R1, 0, asm.Word),
	}
	code = append(code, intoRing(asm.R1, cell.Stride, Ring)...)
	if cell.fn == asm.FnTailCall {
		return append(code, asm.Mov.Imm(asm.R5, 0), asm.StoreMem(asm.R1, int16(siteHeader+align(cell.KeySize)), asm.R5, asm.DWord))
	}
	return append(code, asm.StoreMem(asm.R1, int16(siteHeader+align(cell.KeySize)), asm.R0, asm.DWord))
}
