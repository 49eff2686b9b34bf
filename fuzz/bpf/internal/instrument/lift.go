package instrument

import (
	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/cfg"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/lift"
)

// Lift fills in where the operands of comparisons come from.
func (p *Plan) Lift(comparisons []cover.Comparison, opts lift.Options) {
	type branch struct {
		fn string
		at int
	}
	sites := map[branch]*cover.Comparison{}
	for i := range comparisons {
		c := &comparisons[i]
		sites[branch{c.Func, c.At}] = c
	}
	known := map[branch]bool{}
	for i := range p.programs {
		prog := &p.programs[i]
		values := lift.Analyze(prog.funcs, opts)
		for j, f := range prog.funcs {
			for n := range f.Insns {
				key := branch{prog.same[j].label, f.Offsets[n]}
				c := sites[key]
				if c == nil || !cfg.IsBranch(&f.Insns[n]) {
					continue
				}
				a, b := values.Operands(j, n)
				if known[key] {
					a, b = lift.Join(c.A, a), lift.Join(c.B, b)
				}
				known[key] = true
				c.A, c.B = a, b
			}
		}
	}
}
