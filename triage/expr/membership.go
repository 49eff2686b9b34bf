package expr

import (
	"strings"

	"github.com/expr-lang/expr/ast"
)

// interval is a closed range of numbers.
type interval struct{ low, high num }

// band is a closed range of IPv6 addresses.
type band struct{ low, high wide }

// set is the right side of "in", compiled for what stands on the left.
type set struct {
	intervals []interval
	bands     []band
	// others are comparisons with what is known only at run time.
	others []func(s scope) truth
}

func (c *compiler) membership(n *ast.BinaryNode) (operand, error) {
	if isMapCall(n.Right) {
		return c.keyIn(n)
	}
	left, err := c.compile(n.Left)
	if err != nil {
		return operand{}, err
	}
	if left.kind != number && left.kind != verdict && left.kind != address {
		return operand{}, c.errorf(n, "only numbers, verdicts and addresses can be in something, this is %s", left.kind)
	}
	var in set
	elements := []ast.Node{n.Right}
	if array, ok := n.Right.(*ast.ArrayNode); ok {
		elements = array.Nodes
	} else if !isRange(n.Right) && !isNetwork(n.Right) {
		return operand{}, c.errorf(n, `"in" needs a list [a, b], a range a..b, a network such as "10.0.0.0/8" or a map on its right`)
	}
	for _, e := range elements {
		if err := c.element(&in, left, e); err != nil {
			return operand{}, err
		}
	}
	return operand{kind: boolean, node: n, truth: in.contains(left)}, nil
}

func isRange(n ast.Node) bool {
	b, ok := n.(*ast.BinaryNode)
	return ok && b.Operator == ".."
}

func isNetwork(n ast.Node) bool {
	s, ok := n.(*ast.StringNode)
	return ok && strings.Contains(s.Value, "/")
}

func (c *compiler) element(in *set, left operand, e ast.Node) error {
	switch n := e.(type) {
	case *ast.BinaryNode:
		if n.Operator == ".." {
			return c.rangeElement(in, left, n)
		}
	case *ast.StringNode:
		if isNetwork(n) && left.kind != verdict {
			return c.network(in, left, n)
		}
	}
	o, err := c.compile(e)
	if err != nil {
		return err
	}
	equal, err := c.equal(e, left, o)
	if err != nil {
		return err
	}
	if o, err = c.literal(left, o); err != nil {
		return err
	}
	if o.constant.sign != unknown {
		in.intervals = append(in.intervals, interval{o.constant, o.constant})
		return nil
	}
	in.others = append(in.others, equal)
	return nil
}

func (c *compiler) rangeElement(in *set, left operand, n *ast.BinaryNode) error {
	if left.kind != number {
		return c.errorf(n, "%s cannot be in a range of numbers", left.kind)
	}
	low, err := c.numberAs(n.Left, "the start of a range")
	if err != nil {
		return err
	}
	high, err := c.numberAs(n.Right, "the end of a range")
	if err != nil {
		return err
	}
	if low.constant.sign != unknown && high.constant.sign != unknown {
		if low.constant.compare(high.constant) > 0 {
			return c.errorf(n, "the range %s..%s is empty", low.constant, high.constant)
		}
		in.intervals = append(in.intervals, interval{low.constant, high.constant})
		return nil
	}
	in.others = append(in.others, func(s scope) truth {
		v, a, b := left.num(s), low.num(s), high.num(s)
		if v.sign == unknown || a.sign == unknown || b.sign == unknown {
			return maybe
		}
		return truthOf(a.compare(v) <= 0 && v.compare(b) <= 0)
	})
	return nil
}

func (c *compiler) network(in *set, left operand, n *ast.StringNode) error {
	first, end, err := c.prefix(n, n.Value)
	if err != nil {
		return err
	}
	switch {
	case left.kind == address && first.Is6():
		in.bands = append(in.bands, band{wideOf(first), wideOf(end)})
	case left.kind == number && left.width == 32 && !left.native && first.Is4():
		a, b := first.As4(), end.As4()
		in.intervals = append(in.intervals, interval{load(a[:], 4, true), load(b[:], 4, true)})
	case left.native && left.width == 32:
		return c.errorf(n, "a field in the machine's byte order cannot be compared with the network %q: compare it with addresses", n.Value)
	default:
		return c.errorf(n, "the network %q is compared with something that is no address of its kind", n.Value)
	}
	return nil
}

// contains returns whether left is in the set.
func (in *set) contains(left operand) func(s scope) truth {
	literals := in.numbers(left)
	if left.kind == address {
		literals = in.addresses(left)
	}
	if len(in.others) == 0 {
		return literals
	}
	others := in.others
	return func(s scope) truth {
		result := literals(s)
		for _, other := range others {
			if result == yes {
				return yes
			}
			if t := other(s); t != no {
				result = t
			}
		}
		return result
	}
}

func (in *set) numbers(left operand) func(s scope) truth {
	if mask, ok := in.mask(); ok && left.plain {
		return retIn(mask)
	}
	intervals, get := in.intervals, left.num
	return func(s scope) truth {
		v := get(s)
		if v.sign == unknown {
			return maybe
		}
		for i := range intervals {
			if intervals[i].low.compare(v) <= 0 && v.compare(intervals[i].high) <= 0 {
				return yes
			}
		}
		return no
	}
}

// mask has a bit for each number of the set; ok is false where they do not fit.
func (in *set) mask() (mask uint64, ok bool) {
	for _, i := range in.intervals {
		if i.low.sign != plus || i.high.bits > 63 {
			return 0, false
		}
		for v := i.low.bits; v <= i.high.bits; v++ {
			mask |= 1 << v
		}
	}
	return mask, true
}

// retIn looks the step's return value up in a mask.
func retIn(mask uint64) func(s scope) truth {
	return func(s scope) truth {
		o := s.ran(current)
		if o == nil {
			return maybe
		}
		return truthOf(mask>>o.Ret&1 != 0)
	}
}

func (in *set) addresses(left operand) func(s scope) truth {
	bands, get := in.bands, left.wide
	return func(s scope) truth {
		v := get(s)
		if !v.known {
			return maybe
		}
		for i := range bands {
			if !v.less(bands[i].low) && !bands[i].high.less(v) {
				return yes
			}
		}
		return no
	}
}

func (w wide) less(x wide) bool {
	return w.high < x.high || w.high == x.high && w.low < x.low
}
