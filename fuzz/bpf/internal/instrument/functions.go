package instrument

import "github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/cfg"

// Function is a function of a plan, once however many programs contain it.
type Function struct {
	*cfg.Func
	// Label is how the table of edges calls it: its name, with a number where there
	// are several of that name.
	Label string
	// Main is true when a program begins with it.
	Main bool

	callees callees
}

// Functions lists the functions of the plan, those of the entry program first, each
// behind the one that it was found from. They share their code with the plan.
func (p *Plan) Functions() []Function {
	var list []Function
	seen := map[*function]bool{}
	for i := range p.programs {
		c := p.programs[i].callees()
		for _, fn := range p.programs[i].same {
			if !seen[fn] {
				seen[fn] = true
				list = append(list, Function{Func: fn.Func, Label: fn.label, Main: fn.main, callees: c})
			}
		}
	}
	return list
}

// Leaves reports whether control may leave the function, or the program, inside a
// block: having entered it says nothing of what follows then.
func (f *Function) Leaves(block int) bool {
	b := &f.Blocks[block]
	for i := b.First; i < b.End; i++ {
		if mayLeave(&f.Insns[i], f.callees) {
			return true
		}
	}
	return false
}
