package expr

import (
	"github.com/expr-lang/expr/ast"
)

func (c *compiler) unary(n *ast.UnaryNode) (operand, error) {
	if n.Operator == "not" || n.Operator == "!" {
		t, err := c.booleanAs(n.Node, "what "+n.Operator+" stands before")
		if err != nil {
			return operand{}, err
		}
		return operand{kind: boolean, node: n, truth: func(s scope) truth { return not(t(s)) }}, nil
	}
	o, err := c.numberAs(n.Node, "what "+n.Operator+" stands before")
	if err != nil || n.Operator == "+" {
		return o, err
	}
	if o.constant.sign != unknown {
		return constantOf(n, negate(o.constant)), nil
	}
	return operand{kind: number, node: n, num: func(s scope) num { return negate(o.num(s)) }}, nil
}

func (c *compiler) binary(n *ast.BinaryNode) (operand, error) {
	switch n.Operator {
	case "and", "&&", "or", "||":
		return c.logical(n)
	case "==", "!=":
		return c.equality(n)
	case "<", "<=", ">", ">=":
		return c.ordering(n)
	case "in":
		return c.membership(n)
	case "+":
		return c.arithmetic(n, n.Operator, add, n.Left, n.Right)
	case "-":
		return c.arithmetic(n, n.Operator, subtract, n.Left, n.Right)
	case "*":
		return c.arithmetic(n, n.Operator, multiply, n.Left, n.Right)
	case "/":
		return c.arithmetic(n, n.Operator, divide, n.Left, n.Right)
	case "%":
		return c.arithmetic(n, n.Operator, modulo, n.Left, n.Right)
	case "..":
		return operand{}, c.errorf(n, `a range without "in" in front of it is not part of invariants`)
	}
	return operand{}, c.errorf(n, "the operator %q is not part of invariants", n.Operator)
}

func (c *compiler) logical(n *ast.BinaryNode) (operand, error) {
	a, err := c.booleanAs(n.Left, "the left side of "+n.Operator)
	if err != nil {
		return operand{}, err
	}
	b, err := c.booleanAs(n.Right, "the right side of "+n.Operator)
	if err != nil {
		return operand{}, err
	}
	decisive := no
	if n.Operator == "or" || n.Operator == "||" {
		decisive = yes
	}
	return operand{kind: boolean, node: n, truth: func(s scope) truth {
		x := a(s)
		if x == decisive {
			return x
		}
		if y := b(s); x != maybe || y == decisive {
			return y
		}
		return maybe
	}}, nil
}

func (c *compiler) arithmetic(n ast.Node, name string, op func(a, b num) num, left, right ast.Node) (operand, error) {
	a, err := c.numberAs(left, "what "+name+" works on")
	if err != nil {
		return operand{}, err
	}
	b, err := c.numberAs(right, "what "+name+" works on")
	if err != nil {
		return operand{}, err
	}
	if a.constant.sign == unknown || b.constant.sign == unknown {
		return operand{kind: number, node: n, num: func(s scope) num { return op(a.num(s), b.num(s)) }}, nil
	}
	v := op(a.constant, b.constant)
	if v.sign == unknown {
		return operand{}, c.errorf(n, "%s of %s and %s has no result between -2^63 and 2^64-1", name, a.constant, b.constant)
	}
	return constantOf(n, v), nil
}

func (c *compiler) ordering(n *ast.BinaryNode) (operand, error) {
	a, err := c.numberAs(n.Left, "the left side of "+n.Operator)
	if err != nil {
		return operand{}, err
	}
	b, err := c.numberAs(n.Right, "the right side of "+n.Operator)
	if err != nil {
		return operand{}, err
	}
	low, high := -1, -1 // what compare may say
	switch n.Operator {
	case "<=":
		high = 0
	case ">":
		low, high = 1, 1
	case ">=":
		low, high = 0, 1
	}
	return operand{kind: boolean, node: n, truth: func(s scope) truth {
		x, y := a.num(s), b.num(s)
		if x.sign == unknown || y.sign == unknown {
			return maybe
		}
		order := x.compare(y)
		return truthOf(order >= low && order <= high)
	}}, nil
}

func (c *compiler) equality(n *ast.BinaryNode) (operand, error) {
	a, err := c.compile(n.Left)
	if err != nil {
		return operand{}, err
	}
	b, err := c.compile(n.Right)
	if err != nil {
		return operand{}, err
	}
	if a.kind == text || a.constant.sign != unknown {
		a, b = b, a // the literal is b's
	}
	equal, err := c.equal(n, a, b)
	if err != nil {
		return operand{}, err
	}
	if n.Operator == "==" {
		return operand{kind: boolean, node: n, truth: equal}, nil
	}
	if b, err = c.literal(a, b); err == nil && a.plain && b.constant.sign == plus {
		return operand{kind: boolean, node: n, truth: retIs(uint32(b.constant.bits), no)}, nil
	}
	return operand{kind: boolean, node: n, truth: func(s scope) truth { return not(equal(s)) }}, nil
}

// retIs compares the step's return value with a literal, the most frequent
// invariant by far: equal is what it says where they are equal.
func retIs(ret uint32, equal truth) func(s scope) truth {
	differ := not(equal)
	return func(s scope) truth {
		i := s.at
		if i < 0 || s.out.Steps[i].Errno != 0 {
			return maybe
		}
		if s.out.Steps[i].Ret == ret {
			return equal
		}
		return differ
	}
}

// equal compares two operands, of which a literal is the second.
func (c *compiler) equal(n ast.Node, a, b operand) (func(s scope) truth, error) {
	b, err := c.literal(a, b)
	if err != nil {
		return nil, err
	}
	if a.kind == number && b.kind == number || a.kind == verdict && b.kind == verdict {
		return equalNumbers(a, b), nil
	}
	if a.kind == address && b.kind == address {
		return equalAddresses(a.wide, b.wide), nil
	}
	x, ok := a.statement()
	y, also := b.statement()
	if ok && also {
		return equalStatements(x, y), nil
	}
	if a.kind == verdict && b.kind == number {
		return nil, c.errorf(n, "verdict is a name: compare it with one such as %q, or ret with the number", firstVerdict(c.shape))
	}
	return nil, c.errorf(n, "%s cannot equal %s", a.kind, b.kind)
}

func equalNumbers(a, b operand) func(s scope) truth {
	x, y := a.num, b.num
	want := b.constant
	switch {
	case a.plain && want.sign == plus:
		return retIs(uint32(want.bits), yes)
	case want.sign != unknown:
		return func(s scope) truth {
			v := x(s)
			if v.sign == unknown {
				return maybe
			}
			return truthOf(v == want)
		}
	}
	return func(s scope) truth {
		v, w := x(s), y(s)
		if v.sign == unknown || w.sign == unknown {
			return maybe
		}
		return truthOf(v == w)
	}
}

func equalAddresses(x, y func(s scope) wide) func(s scope) truth {
	return func(s scope) truth {
		v, w := x(s), y(s)
		if !v.known || !w.known {
			return maybe
		}
		return truthOf(v == w)
	}
}

func equalStatements(x, y func(s scope) truth) func(s scope) truth {
	return func(s scope) truth {
		v, w := x(s), y(s)
		if v == maybe || w == maybe {
			return maybe
		}
		return truthOf(v == w)
	}
}
