package instrument

import (
	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/cfg"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/verifier"
)

// doubt says which registers may hold, in some run, what the verifier's log does not
// show. Where the verifier gave up a path because an earlier one covers it, it compared
// only those registers on whose value something depended: the log shows the claims of
// the earlier path, and the others have any value. Doubt begins there, follows copies
// and computations, and ends where a register gets a value that is not made of others.
type doubt struct {
	regs cfg.RegSet
	// stack is set where slots of the stack are in doubt.
	stack bool
}

var everything = doubt{regs: cfg.General, stack: true}

func (d doubt) join(o doubt) doubt { return doubt{d.regs | o.regs, d.stack || o.stack} }

// doubts follows doubt through the functions of one program.
type doubts struct {
	log   *verifier.Log
	funcs []*cfg.Func
	at    []int // where each function begins, in slots
	index map[string]int
	// prunes is set for functions in which, or in what they call, a path was given up.
	prunes []bool
	// entry and exit are nil for functions that are not known to be called, or to end.
	entry, exit []*doubt
	// before and after are the doubts around each instruction of each function, for those
	// that are reached.
	before, after [][]*doubt
	changed       bool
}

// followDoubts does it for a program and the log of its verification.
func followDoubts(prog *program, log *verifier.Log) *doubts {
	n := len(prog.funcs)
	d := &doubts{
		log: log, funcs: prog.funcs, at: make([]int, n), index: map[string]int{}, prunes: make([]bool, n),
		entry: make([]*doubt, n), exit: make([]*doubt, n), before: make([][]*doubt, n), after: make([][]*doubt, n),
	}
	at := 0
	for j, f := range prog.funcs {
		d.at[j], d.index[f.Name] = at, j
		d.before[j], d.after[j] = make([]*doubt, len(f.Insns)), make([]*doubt, len(f.Insns))
		at += f.Offsets[len(f.Insns)]
	}
	d.findPrunes()
	d.enter(0, doubt{})
	for d.changed = true; d.changed; {
		d.changed = false
		for j := range d.funcs {
			if d.entry[j] != nil {
				d.follow(j)
			}
		}
	}
	return d
}

func (d *doubts) findPrunes() {
	for changed := true; changed; {
		changed = false
		for j, f := range d.funcs {
			for i := range f.Insns {
				callee, called := d.callee(&f.Insns[i])
				if !d.prunes[j] && (d.log.Pruned[d.at[j]+f.Offsets[i]] || called && d.prunes[callee]) {
					d.prunes[j], changed = true, true
				}
			}
		}
	}
}

// callee returns the function that an instruction calls, if it does.
func (d *doubts) callee(ins *asm.Instruction) (int, bool) {
	if !ins.IsFunctionCall() {
		return 0, false
	}
	j, ok := d.index[ins.Reference()]
	return j, ok
}

func (d *doubts) enter(j int, with doubt) { d.entry[j] = d.merge(d.entry[j], with) }

// merge joins a doubt into what was known at a place.
func (d *doubts) merge(into *doubt, with doubt) *doubt {
	if into == nil {
		d.changed = true
		return &with
	}
	if all := into.join(with); all != *into {
		*into, d.changed = all, true
	}
	return into
}

// follow goes through a function until nothing changes in it.
func (d *doubts) follow(j int) {
	f := d.funcs[j]
	before := d.before[j]
	before[0] = d.merge(before[0], *d.entry[j])
	outer := d.changed
	for again := true; again; {
		d.changed = false
		for i := range f.Insns {
			if before[i] == nil {
				continue
			}
			behind := d.step(j, i, *before[i])
			d.after[j][i] = d.merge(d.after[j][i], behind)
			if cfg.IsExit(&f.Insns[i]) {
				d.exit[j] = d.merge(d.exit[j], behind)
				continue
			}
			if target := f.Targets[i]; target >= 0 {
				before[target] = d.merge(before[target], behind)
			}
			if !cfg.IsJa(&f.Insns[i]) && i+1 < len(f.Insns) {
				before[i+1] = d.merge(before[i+1], behind)
			}
		}
		again, outer = d.changed, outer || d.changed
	}
	d.changed = outer
}

// step returns the doubt behind instruction i of a function.
func (d *doubts) step(j, i int, now doubt) doubt {
	f := d.funcs[j]
	ins := &f.Insns[i]
	if d.log.Pruned[d.at[j]+f.Offsets[i]] {
		now = everything
	}
	e := cfg.EffectOf(ins)
	switch class := ins.OpCode.Class(); {
	case ins.IsLoadOfFunctionPointer():
		if callee, ok := d.index[ins.Reference()]; ok {
			d.enter(callee, everything) // what calls it, and with what, is not followed
		}
		now.regs &^= e.Def
	case class.IsALU():
		now.regs = now.regs&^e.Def | spread(now.regs, e)
	case class == asm.LdXClass:
		now.regs &^= e.Def
		if now.stack && !d.isFresh(j, i) {
			now.regs |= e.Def
		}
	case class == asm.StXClass && e.Def != 0: // an atomic operation that fetches
		if now.stack {
			now.regs |= e.Def
		}
	case class.IsJump() && ins.OpCode.JumpOp() == asm.Call:
		return d.call(j, ins, now)
	case cfg.IsBranch(ins):
		if ins.OpCode.Source() == asm.RegSource && d.refinesWrongly(j, i, now) {
			now.regs = cfg.General // and all that is known to be equal
		}
	default:
		now.regs &^= e.Def
	}
	return now
}

// spread returns what an instruction defines if it uses a register in doubt.
func spread(in cfg.RegSet, e cfg.Effect) cfg.RegSet {
	if in&e.Use != 0 {
		return e.Def
	}
	return 0
}

// refinesWrongly reports whether a comparison may have told the verifier something of
// one register by what it wrongly took another one for.
func (d *doubts) refinesWrongly(j, i int, now doubt) bool {
	ins := &d.funcs[j].Insns[i]
	if now.regs.Has(ins.Dst) == now.regs.Has(ins.Src) {
		return false
	}
	c := d.fall(j, i)
	return c == nil || c.Address&(1<<ins.Dst) == 0 || c.Address&(1<<ins.Src) == 0
}

// fall returns the claims behind an instruction that the next one follows, nil where
// there are none.
func (d *doubts) fall(j, i int) *verifier.Claims {
	off := d.funcs[j].Offsets
	return d.log.Edges[verifier.Edge{From: d.at[j] + off[i], To: d.at[j] + off[i+1]}]
}

// isFresh reports whether the verifier takes what is loaded for any value of its size,
// which is then true whatever it was loaded from.
func (d *doubts) isFresh(j, i int) bool {
	ins := &d.funcs[j].Insns[i]
	c := d.fall(j, i)
	return c != nil && c.Known&(1<<ins.Dst) != 0 && ins.OpCode.Mode() == asm.MemMode &&
		verifier.Sized(ins.OpCode.Size().Sizeof()).Within(c.Bounds[ins.Dst])
}

// call returns the doubt behind a call.
func (d *doubts) call(j int, ins *asm.Instruction, now doubt) doubt {
	callee, ok := d.callee(ins)
	if !ok {
		if d.takesCallbacks(j) {
			return everything
		}
		now.regs &^= cfg.Regs(asm.R0) | cfg.Args
		return now
	}
	d.enter(callee, now)
	if d.prunes[callee] {
		// Of the caller's registers the same is true as of the callee's.
		return everything
	}
	now.regs &^= cfg.Regs(asm.R0) | cfg.Args
	if exit := d.exit[callee]; exit != nil {
		now.regs |= exit.regs & cfg.Regs(asm.R0)
	}
	return now
}

func (d *doubts) takesCallbacks(j int) bool {
	for i := range d.funcs[j].Insns {
		if d.funcs[j].Insns[i].IsLoadOfFunctionPointer() {
			return true
		}
	}
	return false
}
