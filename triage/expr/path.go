package expr

import (
	"strconv"

	"github.com/expr-lang/expr/ast"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// segment is one step of a path: a name or an index.
type segment struct {
	node  ast.Node
	name  string
	index ast.Node
}

// flatten takes a path apart: "a.b[1].c" is a, then b, [1] and c.
func flatten(node ast.Node) (root ast.Node, segments []segment) {
	member, ok := node.(*ast.MemberNode)
	if !ok {
		return node, nil
	}
	root, segments = flatten(member.Node)
	seg := segment{node: member.Property, index: member.Property}
	if s, ok := member.Property.(*ast.StringNode); ok {
		seg = segment{node: s, name: s.Value}
	}
	return root, append(segments, seg)
}

// place is a path as far as it has been read.
type place struct {
	step int
	// name is what has been read, as errors and reports show it.
	name string
	node ast.Node
	rest []segment
}

// then moves on by one segment, which has to be a name.
func (p place) then() place {
	seg := p.rest[0]
	p.node, p.rest = seg.node, p.rest[1:]
	if p.name != "" {
		p.name += "."
	}
	p.name += seg.name
	return p
}

func (c *compiler) rootNames() []string {
	return []string{"ret", "verdict", "errno", "insns", "in", "out", "ctx", "map", "steps", "nsteps"}
}

func memberNames() []string {
	return []string{"ret", "verdict", "errno", "insns", "in", "out", "ctx"}
}

func (c *compiler) path(node ast.Node) (operand, error) {
	root, segments := flatten(node)
	if isMapCall(root) {
		return c.mapValue(root, segments)
	}
	id, ok := root.(*ast.IdentifierNode)
	if !ok {
		return operand{}, c.errorf(node, "only names and map(...) have members and elements")
	}
	p := place{step: current, name: id.Value, node: id, rest: segments}
	switch id.Value {
	case "nsteps":
		c.whole = true
		if err := c.end(p); err != nil {
			return operand{}, err
		}
		return c.steps("nsteps", node), nil
	case "steps":
		c.whole = true
		return c.stepPath(p)
	}
	return c.member(p, c.rootNames())
}

// steps is the number of steps.
func (c *compiler) steps(name string, node ast.Node) operand {
	return c.readNumber(node, name, 0, func(s scope) num { return natural(uint64(len(s.in.Steps))) })
}

func (c *compiler) stepPath(p place) (operand, error) {
	if len(p.rest) < 2 || p.rest[0].index == nil {
		return operand{}, c.errorf(p.node, "write steps[0].verdict, steps[1].in.ipv4.ttl or nsteps")
	}
	i, ok := constantIndex(p.rest[0].index, max(c.shape.MaxSteps, 1)-1)
	if !ok {
		return operand{}, c.errorf(p.rest[0].node, "an index of steps has to be a literal from 0 to %d, the most that an input has", max(c.shape.MaxSteps, 1)-1)
	}
	p.step, p.name, p.rest = i, "steps"+nth(i), p.rest[1:]
	if p.rest[0].index != nil {
		return operand{}, c.errorf(p.rest[0].node, "%s has members, not elements: %s", p.name, enumerate(memberNames(), "and", 12))
	}
	return c.member(p.then(), memberNames())
}

// constantIndex is the value of a literal from 0 to limit.
func constantIndex(node ast.Node, limit int) (int, bool) {
	n, ok := node.(*ast.IntegerNode)
	if !ok || n.Value < 0 || n.Value > limit {
		return 0, false
	}
	return n.Value, true
}

// member compiles what a step has: p is the name of it, rest what follows.
func (c *compiler) member(p place, known []string) (operand, error) {
	name := p.name
	if p.step != current {
		name = p.name[len("steps"+nth(p.step)+"."):]
	}
	switch name {
	case "ret", "verdict", "errno":
		c.need |= corpus.HaveRet
		if err := c.end(p); err != nil {
			return operand{}, err
		}
		return c.result(p, name), nil
	case "insns":
		if !c.shape.Counted {
			return operand{}, c.errorf(p.node, "the instructions of programs of type %s, as this one is loaded and run, are not counted", c.shape.Type)
		}
		c.need |= corpus.HaveInsns
		if err := c.end(p); err != nil {
			return operand{}, err
		}
		return c.insns(p), nil
	case "in", "out":
		return c.packet(p, name == "out")
	case "ctx":
		return c.context(p, true)
	}
	return operand{}, c.errorf(p.node, "unknown name %q%s", name, suggest(name, known))
}

// end returns an error where a path goes on behind a value.
func (c *compiler) end(p place) error {
	if len(p.rest) == 0 {
		return nil
	}
	if p.rest[0].index != nil {
		return c.errorf(p.rest[0].node, "%s has no elements", p.name)
	}
	return c.errorf(p.rest[0].node, "%s has no member %q", p.name, p.rest[0].name)
}

func (c *compiler) result(p place, name string) operand {
	step := p.step
	switch name {
	case "errno":
		return c.readNumber(p.node, p.name, 0, func(s scope) num {
			if o := s.outcome(step); o != nil {
				return natural(uint64(o.Errno))
			}
			return num{}
		})
	case "ret":
		o := c.readNumber(p.node, p.name, 32, retOf(step))
		o.plain = step == current
		return o
	}
	get, verdicts := retOf(step), c.shape.Verdicts
	c.reading(p.name, func(s scope) string { return verdictText(verdicts, get(s)) })
	return operand{kind: verdict, node: p.node, num: get, plain: step == current}
}

// insns is how many instructions a step executed.
func (c *compiler) insns(p place) operand {
	step := p.step
	return c.readNumber(p.node, p.name, 0, func(s scope) num {
		if o := s.outcome(step); o != nil && s.out.Have&corpus.HaveInsns != 0 {
			return natural(o.Insns)
		}
		return num{}
	})
}

func retOf(step int) func(s scope) num {
	return func(s scope) num {
		if o := s.ran(step); o != nil {
			return natural(uint64(o.Ret))
		}
		return num{}
	}
}

func verdictText(verdicts []corpus.Verdict, ret num) string {
	for _, v := range verdicts {
		if natural(uint64(v.Value)) == ret {
			return v.Name
		}
	}
	return ret.String()
}

// context compiles a field of the context after a step, or before it.
func (c *compiler) context(p place, after bool) (operand, error) {
	fields := c.shape.Context
	if after {
		fields = c.shape.Output
	}
	name, at, ok := fieldPath(p.rest)
	if !ok || name == "" {
		return operand{}, c.errorf(p.node, "%s needs a field%s", p.name, suggest("", fieldNames(fields)))
	}
	found := fieldByName(fields, name)
	if found == nil {
		return operand{}, c.errorf(at, "%s has no field %q%s", p.name, name, suggest(name, fieldNames(fields)))
	}
	f, step := *found, p.step
	get := func(s scope) num {
		in := s.input(step)
		switch {
		case in == nil:
			return num{}
		case len(in.Context) == 0 && f.Min == 0:
			return natural(0) // left to the kernel
		}
		return fieldValue(&f, in.Context)
	}
	if after {
		c.need |= corpus.HaveRet | corpus.HaveContext
		get = func(s scope) num {
			if o := s.ran(step); o != nil {
				return fieldValue(&f, o.Context)
			}
			return num{}
		}
	}
	o := c.readNumber(p.node, p.name+"."+name, f.Size*8, get)
	o.native = !f.Big
	return o, nil
}

// fieldPath joins the rest of a path to a name as corpus.Field has it: "a.b" and
// "cb[0]". It also returns the place of the last part.
func fieldPath(rest []segment) (name string, at ast.Node, ok bool) {
	for _, seg := range rest {
		at = seg.node
		if seg.index == nil {
			if name != "" {
				name += "."
			}
			name += seg.name
			continue
		}
		n, literal := seg.index.(*ast.IntegerNode)
		if !literal || name == "" {
			return name, at, false
		}
		name += "[" + strconv.Itoa(n.Value) + "]"
	}
	return name, at, true
}
