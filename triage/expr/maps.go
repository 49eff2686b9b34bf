package expr

import (
	"github.com/expr-lang/expr/ast"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// entry is an entry of a map after the last step.
type entry struct {
	shape corpus.MapShape
	// at is the place of the key in a state: keys may be looked up in maps.
	at int
	// key writes the key: no where the numbers do not fit, maybe where one is absent.
	key func(s scope, b []byte) truth
}

// lookup returns the value: no where there is no entry, maybe where nobody can tell.
func (e *entry) lookup(s scope) ([]byte, truth) {
	if s.out.Maps == nil {
		return nil, maybe
	}
	key := s.state.key[e.at : e.at+e.shape.KeySize]
	if written := e.key(s, key); written != yes {
		return nil, written
	}
	value, ok, err := s.out.Maps.Lookup(s.state.value[:0], e.shape.Name, key)
	if err != nil {
		return nil, maybe
	}
	s.state.value = value[:0]
	return value, truthOf(ok)
}

func (e *entry) has(s scope) truth {
	_, found := e.lookup(s)
	return found
}

func isMapCall(node ast.Node) bool {
	call, ok := node.(*ast.CallNode)
	if !ok {
		return false
	}
	callee, ok := call.Callee.(*ast.IdentifierNode)
	return ok && callee.Value == "map"
}

// mapShape finds the map that map("name") means.
func (c *compiler) mapShape(node ast.Node) (*corpus.MapShape, error) {
	args := node.(*ast.CallNode).Arguments
	if err := c.count(node, "map", args, 1); err != nil {
		return nil, err
	}
	name, ok := args[0].(*ast.StringNode)
	if !ok {
		return nil, c.errorf(node, `map takes the name of a map as a text, as in map("hits")[1]`)
	}
	names := make([]string, len(c.shape.Maps))
	for i := range c.shape.Maps {
		m := &c.shape.Maps[i]
		if m.Name == name.Value {
			return m, c.useMap(node, m)
		}
		names[i] = m.Name
	}
	return nil, c.errorf(name, "there is no map %q%s", name.Value, suggest(name.Value, names))
}

func (c *compiler) useMap(node ast.Node, m *corpus.MapShape) error {
	if m.KeySize <= 0 || m.ValueSize <= 0 {
		return c.errorf(node, "map %q is a %s, which has no keys to look up", m.Name, m.Kind)
	}
	c.maps, c.whole = true, true
	c.need |= corpus.HaveMaps
	c.valueSize = max(c.valueSize, m.ValueSize)
	return nil
}

// mapValue compiles map("name")[key] and map("name")[key].field.
func (c *compiler) mapValue(root ast.Node, segments []segment) (operand, error) {
	e, name, rest, err := c.entry(root, segments)
	if err != nil {
		return operand{}, err
	}
	f, err := c.valueField(root, e, name, rest)
	if err != nil {
		return operand{}, err
	}
	if member, _, _ := fieldPath(rest); member != "" {
		name += "." + member
	}
	o := c.readNumber(root, name, f.Size*8, func(s scope) num {
		value, found := e.lookup(s)
		if found != yes {
			return num{}
		}
		return fieldValue(&f, value)
	})
	o.native = !f.Big
	return o, nil
}

// entry compiles map("name")[key] and returns what follows it.
func (c *compiler) entry(root ast.Node, segments []segment) (e *entry, name string, rest []segment, err error) {
	m, err := c.mapShape(root)
	if err != nil {
		return nil, "", nil, err
	}
	if len(segments) == 0 {
		return nil, "", nil, c.errorf(root, "map %q needs a key, as in map(%q)[1]", m.Name, m.Name)
	}
	key := segments[0].node
	if e, err = c.newEntry(m, key); err != nil {
		return nil, "", nil, err
	}
	return e, root.String() + "[" + key.String() + "]", segments[1:], nil
}

func (c *compiler) newEntry(m *corpus.MapShape, key ast.Node) (*entry, error) {
	write, err := c.key(m, key)
	if err != nil {
		return nil, err
	}
	e := &entry{shape: *m, at: c.keySize, key: write}
	c.keySize += m.KeySize
	return e, nil
}

// valueField finds the field of the value that a path means; the whole value where
// it is one integer.
func (c *compiler) valueField(root ast.Node, e *entry, entryName string, rest []segment) (corpus.Field, error) {
	fields := e.shape.Value
	name, at, ok := fieldPath(rest)
	if !ok {
		return corpus.Field{}, c.errorf(at, "an index has to be a literal")
	}
	if name != "" {
		if f := fieldByName(fields, name); f != nil {
			return *f, nil
		}
		return corpus.Field{}, c.errorf(at, "the value of map %q has no field %q%s", e.shape.Name, name, suggest(name, fieldNames(fields)))
	}
	switch size := e.shape.ValueSize; {
	case len(fields) == 1:
		return fields[0], nil
	case len(fields) > 1:
		return corpus.Field{}, c.errorf(root, "%s has several fields: choose %s", entryName, enumerate(fieldNames(fields), "or", 24))
	case size == 1, size == 2, size == 4, size == 8:
		return corpus.Field{Size: size}, nil
	}
	return corpus.Field{}, c.errorf(root, "%s has %d bytes of which the object does not say what they mean", entryName, e.shape.ValueSize)
}

// has compiles has(map("name")[key]).
func (c *compiler) has(node ast.Node, args []ast.Node) (operand, error) {
	if err := c.count(node, "has", args, 1); err != nil {
		return operand{}, err
	}
	root, segments := flatten(args[0])
	if !isMapCall(root) {
		return operand{}, c.errorf(node, `has takes an entry of a map, as in has(map("flows")[1]); layers have .present`)
	}
	e, name, rest, err := c.entry(root, segments)
	if err != nil {
		return operand{}, err
	}
	if len(rest) > 0 {
		return operand{}, c.errorf(rest[0].node, "has takes an entry, not a field of it")
	}
	return c.readTruth(place{node: node, name: "has(" + name + ")"}, e.has), nil
}

// keyIn compiles key in map("name").
func (c *compiler) keyIn(n *ast.BinaryNode) (operand, error) {
	m, err := c.mapShape(n.Right)
	if err != nil {
		return operand{}, err
	}
	e, err := c.newEntry(m, n.Left)
	if err != nil {
		return operand{}, err
	}
	return c.readTruth(place{node: n, name: n.Left.String() + " in " + n.Right.String()}, e.has), nil
}
