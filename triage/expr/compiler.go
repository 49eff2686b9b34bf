package expr

import (
	"errors"
	"slices"
	"strconv"

	"github.com/expr-lang/expr/ast"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// compiler turns a syntax tree into closures and collects what they need.
type compiler struct {
	text  string
	shape *corpus.Shape

	reads []read
	need  corpus.Have
	// slots numbers the packets whose layers are read.
	slots map[side]int
	// maps says that a map is read, keySize is the size of all keys together and
	// valueSize that of the largest value.
	// whole is set where the expression is about the whole sequence of steps.
	whole              bool
	maps               bool
	keySize, valueSize int
}

func (c *compiler) compile(node ast.Node) (operand, error) {
	switch n := node.(type) {
	case *ast.BoolNode:
		t := truthOf(n.Value)
		return operand{kind: boolean, node: n, truth: func(scope) truth { return t }}, nil
	case *ast.IntegerNode:
		return constantOf(n, integer(int64(n.Value))), nil
	case *ast.StringNode:
		return operand{kind: text, node: n, text: n.Value}, nil
	case *ast.IdentifierNode, *ast.MemberNode:
		return c.path(n)
	case *ast.UnaryNode:
		return c.unary(n)
	case *ast.BinaryNode:
		return c.binary(n)
	case *ast.ConditionalNode:
		return c.conditional(n)
	case *ast.BuiltinNode:
		return c.call(n, n.Name, n.Arguments)
	case *ast.CallNode:
		if callee, ok := n.Callee.(*ast.IdentifierNode); ok {
			return c.call(n, callee.Value, n.Arguments)
		}
		return operand{}, c.errorf(n, "values have no functions of their own")
	case nil:
		return operand{}, errors.New("the expression is incomplete")
	}
	return operand{}, c.errorf(node, "%s is not part of invariants", construct(node))
}

// construct names what the grammar has and invariants do not.
func construct(node ast.Node) string {
	switch node.(type) {
	case *ast.FloatNode:
		return "a number with a fraction"
	case *ast.NilNode:
		return "nil"
	case *ast.BytesNode:
		return "a literal of bytes"
	case *ast.ArrayNode:
		return `a list without "in" in front of it`
	case *ast.MapNode:
		return "a literal of members outside of a map's key"
	case *ast.SliceNode:
		return "a slice"
	case *ast.ChainNode:
		return `"?." (what is absent makes no trouble, so "." will do)`
	case *ast.VariableDeclaratorNode:
		return "let"
	case *ast.SequenceNode:
		return `";"`
	case *ast.PredicateNode, *ast.PointerNode:
		return "a predicate"
	}
	return "this"
}

func (c *compiler) conditional(n *ast.ConditionalNode) (operand, error) {
	cond, err := c.booleanAs(n.Cond, "a condition")
	if err != nil {
		return operand{}, err
	}
	a, err := c.compile(n.Exp1)
	if err != nil {
		return operand{}, err
	}
	b, err := c.compile(n.Exp2)
	if err != nil {
		return operand{}, err
	}
	if a.kind == number && b.kind == number {
		return operand{kind: number, node: n, num: chooseNumber(cond, a.num, b.num)}, nil
	}
	x, ok := a.statement()
	y, also := b.statement()
	if !ok || !also {
		return operand{}, c.errorf(n, "both results have to be numbers, or true or false, here are %s and %s", a.kind, b.kind)
	}
	return operand{kind: boolean, node: n, truth: func(s scope) truth {
		switch cond(s) {
		case yes:
			return x(s)
		case no:
			return y(s)
		}
		if t := x(s); t == y(s) {
			return t
		}
		return maybe
	}}, nil
}

func chooseNumber(cond func(s scope) truth, a, b func(s scope) num) func(s scope) num {
	return func(s scope) num {
		switch cond(s) {
		case yes:
			return a(s)
		case no:
			return b(s)
		}
		return num{}
	}
}

// function is one of the functions on numbers.
type function struct {
	name string
	op   func(a, b num) num
}

func functions() []function {
	return []function{
		{"bitand", bitwise(func(a, b uint64) uint64 { return a & b })},
		{"bitor", bitwise(func(a, b uint64) uint64 { return a | b })},
		{"bitxor", bitwise(func(a, b uint64) uint64 { return a ^ b })},
		{"bitnand", bitwise(func(a, b uint64) uint64 { return a &^ b })},
		{"bitshl", bitwise(func(a, b uint64) uint64 { return a << b })},
		{"bitshr", bitwise(func(a, b uint64) uint64 { return a >> b })},
		{"bitushr", bitwise(func(a, b uint64) uint64 { return a >> b })},
	}
}

func functionNames() []string {
	names := []string{"has", "map", "len", "bitnot"}
	for _, f := range functions() {
		names = append(names, f.name)
	}
	return names
}

func (c *compiler) call(node ast.Node, name string, args []ast.Node) (operand, error) {
	switch name {
	case "has":
		return c.has(node, args)
	case "map":
		return c.path(node)
	case "len":
		return c.length(node, args)
	case "bitnot":
		if err := c.count(node, name, args, 1); err != nil {
			return operand{}, err
		}
		a, err := c.numberAs(args[0], "an argument of bitnot")
		if err != nil {
			return operand{}, err
		}
		return operand{kind: number, node: node, num: func(s scope) num { return complement(a.num(s)) }}, nil
	}
	for _, f := range functions() {
		if f.name == name {
			if err := c.count(node, name, args, 2); err != nil {
				return operand{}, err
			}
			return c.arithmetic(node, name, f.op, args[0], args[1])
		}
	}
	return operand{}, c.errorf(node, "there is no function %q in invariants%s", name, suggest(name, functionNames()))
}

func (c *compiler) count(node ast.Node, name string, args []ast.Node, want int) error {
	if len(args) != want {
		return c.errorf(node, "%s takes %d arguments, here are %d", name, want, len(args))
	}
	return nil
}

// length is len(steps), and the length of a packet or payload.
func (c *compiler) length(node ast.Node, args []ast.Node) (operand, error) {
	if err := c.count(node, "len", args, 1); err != nil {
		return operand{}, err
	}
	if id, ok := args[0].(*ast.IdentifierNode); ok && id.Value == "steps" {
		c.whole = true
		return c.steps("len(steps)", node), nil
	}
	return operand{}, c.errorf(node, "len is for steps: write in.len and out.len for packets")
}

// reading notes that the expression reads a name. The same name twice is shown once.
func (c *compiler) reading(name string, value func(s scope) string) {
	if !slices.ContainsFunc(c.reads, func(r read) bool { return r.name == name }) {
		c.reads = append(c.reads, read{name, value})
	}
}

// readNumber is a field that shows as a decimal number.
func (c *compiler) readNumber(node ast.Node, name string, width int, get func(s scope) num) operand {
	c.reading(name, func(s scope) string { return get(s).String() })
	return operand{kind: number, node: node, num: get, width: width}
}

// nth writes an index.
func nth(i int) string { return "[" + strconv.Itoa(i) + "]" }
