package instrument

import (
	"github.com/cilium/ebpf/asm"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/cfg"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/verifier"
)

// Claim is what the verifier takes the value of a register for, on the way from an
// instruction to the next, in every run.
type Claim struct {
	// Func is the function's name as edges have it, Insn the offset of the instruction in
	// slots from its start.
	Func string
	Insn int
	// Taken says that the way is that of a jump.
	Taken bool
	Pos   cover.Pos
	// Register is that of which something is claimed: 0 for r0.
	Register int
	Bounds   verifier.Bounds

	fn   *function
	insn int
	room cfg.Room
}

// Instruction returns the instruction behind which the claim holds.
func (c *Claim) Instruction() *asm.Instruction { return &c.fn.Insns[c.insn] }

// claimKey names a claim, of whichever program it is.
type claimKey struct {
	fn    *function
	insn  int
	taken bool
	reg   asm.Register
}

// Claims returns the claims of the verifier that every run has to satisfy, in the order
// of the code, and how many claims its logs have that paths which it gave up need not
// satisfy. Logs are those of the programs, in their order. Claims that say nothing, and
// those of registers that nobody reads, are left out.
func (p *Plan) Claims(logs []*verifier.Log) (claims []Claim, doubtful int) {
	found := map[claimKey]*verifier.Bounds{}
	lost := map[claimKey]bool{}
	for n := range p.programs {
		prog := &p.programs[n]
		d := followDoubts(prog, logs[n])
		for j, fn := range prog.same {
			d.each(j, fn, func(key claimKey, b verifier.Bounds, known bool) {
				if !known {
					lost[key] = true
					return
				}
				if have := found[key]; have != nil {
					b = b.Join(*have)
				}
				found[key] = &b
			})
		}
	}
	for _, fn := range p.funcs {
		where := positions(fn.Func)
		for i := range fn.Insns {
			for _, taken := range [...]bool{false, true} {
				for r := asm.R0; r <= asm.R9; r++ {
					key := claimKey{fn, i, taken, r}
					b := found[key]
					switch {
					case b == nil && !lost[key] || b != nil && *b == verifier.Anything():
					case lost[key]:
						doubtful++
					default:
						claims = append(claims, newClaim(key, *b, where[i]))
					}
				}
			}
		}
	}
	return claims, doubtful
}

func newClaim(key claimKey, b verifier.Bounds, pos cover.Pos) Claim {
	c := Claim{
		Func: key.fn.label, Insn: key.fn.Offsets[key.insn], Taken: key.taken, Pos: pos,
		Register: int(key.reg), Bounds: b, fn: key.fn, insn: key.insn,
	}
	to := key.insn + 1
	if key.taken {
		to = key.fn.Targets[key.insn]
	}
	c.room = key.fn.usage.On(cfg.Edge{From: key.insn, To: to, Taken: key.taken}, key.fn.entry)
	c.room.Free &^= cfg.Regs(key.reg)
	c.room.Savable &^= cfg.Regs(key.reg)
	return c
}

// each passes on the claims about registers that instructions of a function set or
// compare and that are read later; known is false for those that are in doubt.
func (d *doubts) each(j int, fn *function, do func(key claimKey, b verifier.Bounds, known bool)) {
	f := d.funcs[j]
	returned := d.returned(j)
	for i := range f.Insns {
		if d.after[j][i] == nil {
			continue
		}
		about := aboutRegisters(&f.Insns[i])
		for _, way := range d.ways(j, i) {
			c := d.log.Edges[way.edge]
			if f.Insns[i].IsFunctionCall() {
				c = returned[way.edge.To]
			}
			if c == nil {
				continue
			}
			for r := asm.R0; r <= asm.R9; r++ {
				if about.Has(r) && fn.usage.Live[way.to].Has(r) && c.Known&(1<<r) != 0 {
					do(claimKey{fn, i, way.taken, r}, c.Bounds[r], !d.after[j][i].regs.Has(r))
				}
			}
		}
	}
}

// aboutRegisters returns the registers of which an instruction tells the verifier
// something.
func aboutRegisters(ins *asm.Instruction) cfg.RegSet {
	e := cfg.EffectOf(ins)
	if cfg.IsBranch(ins) {
		return e.Use
	}
	return e.Def
}

// way is one of the ways behind an instruction, to an instruction of the function.
type way struct {
	edge  verifier.Edge
	to    int
	taken bool
}

// ways lists those on which code can stand: not behind a jump that always jumps, nor
// where both ways lead to one place, so that the log does not tell them apart.
func (d *doubts) ways(j, i int) []way {
	f := d.funcs[j]
	ins := &f.Insns[i]
	if cfg.IsJa(ins) || cfg.IsExit(ins) || i+1 == len(f.Insns) || f.Targets[i] == i+1 {
		return nil
	}
	from := d.at[j] + f.Offsets[i]
	list := []way{{edge: verifier.Edge{From: from, To: d.at[j] + f.Offsets[i+1]}, to: i + 1}}
	if target := f.Targets[i]; target >= 0 {
		list = append(list, way{edge: verifier.Edge{From: from, To: d.at[j] + f.Offsets[target]}, to: target, taken: true})
	}
	return list
}

// returned returns the claims with which calls return to a function, by the
// instruction behind the call.
func (d *doubts) returned(j int) map[int]*verifier.Claims {
	first := d.at[j]
	end := first + d.funcs[j].Offsets[len(d.funcs[j].Insns)]
	back := map[int]*verifier.Claims{}
	for edge, c := range d.log.Edges {
		if edge.To < first || edge.To >= end || edge.From >= first && edge.From < end {
			continue
		}
		if back[edge.To] == nil {
			all := *c
			back[edge.To] = &all
		} else {
			back[edge.To].Join(c)
		}
	}
	return back
}
