package expr

import (
	"net"
	"net/netip"

	"github.com/expr-lang/expr/ast"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// writer puts a part of a key into b.
type writer func(s scope, b []byte) truth

// key compiles a key: a number, an address, or {field: value}. Fields that are
// not named are zero.
func (c *compiler) key(m *corpus.MapShape, node ast.Node) (func(s scope, b []byte) truth, error) {
	switch n := node.(type) {
	case *ast.MapNode:
		return c.keyOfFields(m, n)
	case *ast.StringNode:
		return c.keyOfBytes(m, n)
	}
	f := corpus.Field{Size: m.KeySize}
	switch {
	case len(m.Key) > 1:
		return nil, c.errorf(node, "a key of map %q has several fields: write {%s: ...}", m.Name, enumerate(fieldNames(m.Key), "and", 24))
	case len(m.Key) == 1:
		f = m.Key[0]
	case m.KeySize != 1 && m.KeySize != 2 && m.KeySize != 4 && m.KeySize != 8:
		return nil, c.errorf(node, "a key of map %q has %d bytes of which the object does not say what they mean", m.Name, m.KeySize)
	}
	write, err := c.keyField(&f, node, m.Name)
	if err != nil {
		return nil, err
	}
	return zeroed(write), nil
}

// zeroed clears what the writers leave out.
func zeroed(writers ...writer) func(s scope, b []byte) truth {
	return func(s scope, b []byte) truth {
		clear(b)
		result := yes
		for _, write := range writers {
			switch write(s, b) {
			case no:
				return no
			case maybe:
				result = maybe
			}
		}
		return result
	}
}

func (c *compiler) keyOfFields(m *corpus.MapShape, n *ast.MapNode) (func(s scope, b []byte) truth, error) {
	if len(m.Key) == 0 {
		return nil, c.errorf(n, "the object does not say what fields a key of map %q has", m.Name)
	}
	var writers []writer
	named := map[string]bool{}
	for _, node := range n.Pairs {
		pair, ok := node.(*ast.PairNode)
		if !ok {
			return nil, c.errorf(node, "a member of a key is written name: value")
		}
		name, ok := pair.Key.(*ast.StringNode)
		if !ok {
			return nil, c.errorf(pair.Key, "the names of a key's members are literals")
		}
		f := fieldByName(m.Key, name.Value)
		if f == nil {
			return nil, c.errorf(name, "a key of map %q has no field %q%s", m.Name, name.Value, suggest(name.Value, fieldNames(m.Key)))
		}
		if named[name.Value] {
			return nil, c.errorf(name, "%q is there twice", name.Value)
		}
		named[name.Value] = true
		write, err := c.keyField(f, pair.Value, m.Name)
		if err != nil {
			return nil, err
		}
		writers = append(writers, write)
	}
	return zeroed(writers...), nil
}

// keyField compiles the value of one field of a key.
func (c *compiler) keyField(field *corpus.Field, node ast.Node, mapName string) (writer, error) {
	f := *field
	o := operand{kind: number, width: f.Size * 8, native: !f.Big}
	value, err := c.compile(node)
	if err != nil {
		return nil, err
	}
	if value.kind == text {
		if value, err = c.literal(o, value); err != nil {
			return nil, err
		}
	}
	if value.kind != number {
		return nil, c.errorf(node, "a key of map %q takes a number here, this is %s", mapName, value.kind)
	}
	if k := value.constant; k.sign != unknown && !fits(k, f.Size*8) {
		return nil, c.errorf(node, "%s does not fit the %d bytes that a key of map %q has here", k, f.Size, mapName)
	}
	return func(s scope, b []byte) truth {
		v := value.num(s)
		if v.sign == unknown {
			return maybe
		}
		if f.Offset < 0 || f.Offset > len(b) {
			return no
		}
		return truthOf(store(b[f.Offset:], v, f.Size, f.Big))
	}, nil
}

// keyOfBytes is an address as it is on the wire.
func (c *compiler) keyOfBytes(m *corpus.MapShape, n *ast.StringNode) (func(s scope, b []byte) truth, error) {
	var bytes []byte
	if ip, err := netip.ParseAddr(n.Value); err == nil {
		bytes = ip.AsSlice()
	} else if mac, err := net.ParseMAC(n.Value); err == nil {
		bytes = mac
	}
	if len(bytes) != m.KeySize {
		return nil, c.errorf(n, "%q is no key of map %q: it takes an address of %d bytes, a number, or {name: value}", n.Value, m.Name, m.KeySize)
	}
	return func(_ scope, b []byte) truth {
		copy(b, bytes)
		return yes
	}, nil
}
