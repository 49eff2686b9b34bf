package bpf

import (
	"github.com/goccy/go-yaml/ast"

	"github.com/bpffuzz/bpffuzz/fuzz/internal/strict"
)

// yamlReader turns nodes into what a TargetFile holds.
type yamlReader struct{ strict.Reader }

// setter reads the value of a key. At is where the key is.
type setter = strict.Setter

// value turns any node into Located values: scalars as the text that was written,
// since whether 0011 is a number or hex digits depends on the C type.
func (r *yamlReader) value(n ast.Node, what string) (Located, error) {
	at := r.At(n)
	if text, ok := strict.Text(n); ok {
		return Located{At: at, Value: text}, nil
	}
	switch n := n.(type) {
	case *ast.SequenceNode:
		list := make([]any, 0, len(n.Values))
		err := r.List(n, what, func(_ int, n ast.Node) error {
			v, err := r.value(n, what)
			list = append(list, v)
			return err
		})
		return Located{At: at, Value: list}, err
	case *ast.MappingNode, *ast.MappingValueNode:
		fields := map[string]any{}
		err := r.Pairs(n, what, func(key string, n ast.Node, keyAt string) error {
			if n == nil {
				return fail(keyAt, what, "%s has no value; leave it out for zero", key)
			}
			v, err := r.value(n, joinName(what, key))
			fields[key] = v
			return err
		})
		return Located{At: at, Value: fields}, err
	}
	return Located{}, fail(at, what, "has %s, not a value", strict.Kind(n))
}
