// Package lift finds out by abstract interpretation of bytecode where the operands of
// branches come from: which bytes of the packet, fields of the context or values of
// maps, and what was done to them. It is pure: instructions in, operands out.
package lift

import (
	"slices"

	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/cfg"
)

// Member is what a load from the context gives.
type Member uint8

// What a context holds.
const (
	// Field is an integer of its own.
	Field Member = iota
	// Data, DataEnd and DataMeta are addresses of the packet's start, of the byte
	// behind it and of its metadata.
	Data
	DataEnd
	DataMeta
	// Length is the packet's length.
	Length
)

// Options say what code alone does not. The zero value takes the context for
// integers without names, and constants for unknown.
type Options struct {
	// Context names what is loaded from the context; nil names nothing.
	Context func(offset, size int) (Member, string)
	// Constant returns bytes of a map that no program can write; nil knows none.
	Constant func(mapName string, offset int64, size int) (uint64, bool)
}

// Program is the result for a program. It is immutable.
type Program struct {
	funcs  []*function
	byName map[string]*function
	opts   Options
	// changed says that something is known that functions before may depend on.
	changed bool
}

type function struct {
	*cfg.Func
	entry  *state // nil while no call has been seen
	result *value // of r0 at the exits
	in     []*state
	dirty  bool
}

// Analyze follows values through a program: its entry function, which is given the
// context, and then every function that it refers to.
func Analyze(funcs []*cfg.Func, opts Options) *Program {
	p := &Program{byName: map[string]*function{}, opts: opts}
	for i, f := range funcs {
		fn := &function{Func: f, result: bottom, in: make([]*state, len(f.Blocks))}
		p.funcs = append(p.funcs, fn)
		p.byName[f.Name] = fn
		if i == 0 {
			fn.entry, fn.dirty = newState(), true
			fn.entry.regs[asm.R1] = address(contextData, "", 0, true)
		}
	}
	for p.changed = true; p.changed; {
		p.changed = false
		for _, fn := range p.funcs {
			if fn.entry != nil && fn.dirty {
				fn.dirty = false
				p.follow(fn)
			}
		}
	}
	return p
}

// follow goes through a function until nothing new comes of it.
func (p *Program) follow(fn *function) {
	if fn.in[0] == nil {
		fn.in[0] = fn.entry
	}
	work := []int{0}
	for b := range fn.in {
		if b > 0 && fn.in[b] != nil {
			work = append(work, b)
		}
	}
	queued := make([]bool, len(fn.Blocks))
	for len(work) > 0 {
		b := work[0]
		work, queued[b] = work[1:], false
		block := &fn.Blocks[b]
		state := *fn.in[b]
		if !p.through(fn, block, &state) {
			continue
		}
		for _, next := range [...]int{block.Fall, block.Taken} {
			if next < 0 {
				continue
			}
			changed := fn.in[next] == nil
			if changed {
				first := state
				fn.in[next] = &first
			} else {
				changed = fn.in[next].join(&state)
			}
			if changed && !queued[next] {
				queued[next] = true
				work = append(work, next)
			}
		}
	}
}

// through applies the instructions of a block. It reports false where the block calls
// a function of which no exit is known: it goes on when there is one.
func (p *Program) through(fn *function, block *cfg.Block, s *state) bool {
	for i := block.First; i < block.End; i++ {
		if p.step(fn, i, s); s.regs[asm.R0].kind == nothing {
			return false
		}
	}
	return true
}

// Operands returns where the operands of the branch at instruction i of a function
// come from: those of the zero value where that is not known or nothing gets there.
func (p *Program) Operands(fn, i int) (a, b cover.Operand) {
	f := p.funcs[fn]
	block := f.BlockOf[i]
	if f.in[block] == nil {
		return a, b
	}
	state := *f.in[block]
	for n := f.Blocks[block].First; n < i; n++ {
		p.step(f, n, &state)
	}
	ins := &f.Insns[i]
	second := constant(uint64(ins.Constant))
	if ins.OpCode.Source() == asm.RegSource {
		second = state.regs[ins.Src]
	}
	size := 8
	if ins.OpCode.Class() == asm.Jump32Class {
		size = 4
	}
	return operand(state.regs[ins.Dst], size), operand(second, size)
}

// operand describes a value of which the lower size bytes are compared.
func operand(v *value, size int) cover.Operand {
	switch {
	case v.points(packetEnd) && v.known:
		return operand(length().with(cover.Add, uint64(v.offset)), size)
	case v.points(packetData) && v.known && v.offset >= 0:
		return cover.Operand{Source: cover.Fixed, Value: uint64(v.offset), Size: size}
	case v.points(mapFound):
		return cover.Operand{Source: cover.MapEntry, Name: v.name, Offset: -1, Size: 8}
	case v.kind != number:
		return cover.Operand{Offset: -1}
	}
	o := v.number
	o.Transforms = slices.Clone(o.Transforms)
	switch {
	case o.Source == cover.Fixed:
		if o.Size = size; size == 4 {
			o.Value = uint64(uint32(o.Value))
		}
	case o.Size == 3:
		o.Size = 4
		o.Transforms = slices.Insert(o.Transforms, 0, cover.Transform{Action: cover.Cut, Value: 3})
	case o.Size > 4 && o.Size < 8:
		o.Transforms = slices.Insert(o.Transforms, 0, cover.Transform{Action: cover.Cut, Value: uint64(o.Size)})
		o.Size = 8
	}
	return o
}

// Join returns what is known of an operand that is one of two: those of a function
// that several programs contain.
func Join(a, b cover.Operand) cover.Operand {
	if a.Source == cover.Elsewhere || b.Source == cover.Elsewhere {
		return cover.Operand{Offset: -1}
	}
	v := join(&value{kind: number, number: a}, &value{kind: number, number: b})
	if v.kind != number {
		return cover.Operand{Offset: -1}
	}
	return v.number
}
