package expr

import (
	"fmt"

	"github.com/expr-lang/expr/ast"
)

// kind is the type of a compiled expression.
type kind uint8

const (
	boolean kind = iota
	number
	// verdict is a return value that is compared by name.
	verdict
	// address is 16 bytes.
	address
	// text is a string literal; what it means depends on what it is compared with.
	text
)

func (k kind) String() string {
	return [...]string{"true or false", "a number", "a verdict", "an IPv6 address", "a text"}[k]
}

// operand is a compiled expression. Of truth, num and wide the one that its kind
// needs is set.
type operand struct {
	kind kind
	node ast.Node

	truth func(s scope) truth
	num   func(s scope) num
	wide  func(s scope) wide

	// constant is the value of a number that is known; else its sign is unknown.
	constant num
	// width is the number of bits of a field, which is never negative; 0 for any
	// other number.
	width int
	// native says that the field is stored in the machine's byte order.
	native bool
	// plain says that the number is ret of the step that is judged and nothing else.
	plain bool
	// text is a literal's.
	text string
}

// wide is an IPv6 address, or none.
type wide struct {
	high, low uint64
	known     bool
}

func constantOf(node ast.Node, n num) operand {
	return operand{kind: number, node: node, constant: n, num: func(scope) num { return n }}
}

// numberAs is a number for callers that need one. A verdict is none: its names
// are what it is compared with.
func (c *compiler) numberAs(node ast.Node, what string) (operand, error) {
	o, err := c.compile(node)
	if err != nil {
		return operand{}, err
	}
	if o.kind == text {
		return operand{}, c.errorf(node, "%s has to be a number, %q is a text", what, o.text)
	}
	if o.kind != number {
		return operand{}, c.errorf(node, "%s has to be a number, this is %s", what, o.kind)
	}
	return o, nil
}

// booleanAs is a statement for callers that need one. A flag, a field of one bit,
// is one too.
func (c *compiler) booleanAs(node ast.Node, what string) (func(s scope) truth, error) {
	o, err := c.compile(node)
	if err != nil {
		return nil, err
	}
	t, ok := o.statement()
	if !ok {
		return nil, c.errorf(node, "%s has to be true or false, this is %s: compare it with something", what, o.kind)
	}
	return t, nil
}

func (o operand) statement() (func(s scope) truth, bool) {
	if o.kind == boolean {
		return o.truth, true
	}
	if o.kind != number || o.width != 1 {
		return nil, false
	}
	get := o.num
	return func(s scope) truth {
		n := get(s)
		if n.sign == unknown {
			return maybe
		}
		return truthOf(n.bits != 0)
	}, true
}

// errorf returns an error at a node's place.
func (c *compiler) errorf(node ast.Node, format string, args ...any) error {
	return positioned(c.text, node.Location(), fmt.Sprintf(format, args...))
}
