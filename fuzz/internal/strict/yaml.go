// Package strict reads YAML files that people write by hand: what is not known is an
// error that says where it is and what may have been meant.
package strict

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxNesting bounds how deep a file may nest.
const maxNesting = 64

// maxIndent bounds how far to the right a name may stand: 64 levels of 8 columns.
const maxIndent = 8 * maxNesting

// Parse returns the root of the only document in text, nil where it is empty.
func Parse(file string, text []byte) (ast.Node, error) {
	tokens := lexer.Tokenize(string(text))
	if err := checkTokens(file, tokens); err != nil {
		return nil, err
	}
	f, err := parser.Parse(tokens, 0)
	if err != nil {
		var y yaml.Error
		if errors.As(err, &y) && y.GetToken() != nil && y.GetToken().Position != nil {
			return nil, fmt.Errorf("%s:%d: %s", file, y.GetToken().Position.Line, y.GetMessage())
		}
		return nil, fmt.Errorf("%s: not YAML: %w", file, err)
	}
	var root ast.Node
	for _, d := range f.Docs {
		if d == nil || d.Body == nil {
			continue
		}
		if root != nil {
			return nil, fmt.Errorf("%s: has several documents; write one to a file", file)
		}
		root = d.Body
	}
	return root, nil
}

// checkTokens refuses what would make the recursive parser run out of stack (deep
// brackets, deep indentation, long rows of "- " or "? ") and what files of ours
// have no use for: anchors, aliases and tags, which also cost the parser quadratic time.
func checkTokens(file string, tokens token.Tokens) error {
	line, brackets, marks := 0, 0, 0
	for _, tk := range tokens {
		if tk.Position == nil {
			continue
		}
		if tk.Position.Line != line {
			line, marks = tk.Position.Line, 0
		}
		switch tk.Type {
		case token.SequenceStartType, token.MappingStartType:
			brackets++
		case token.SequenceEndType, token.MappingEndType:
			brackets--
		case token.SequenceEntryType, token.MappingKeyType:
			marks++
			if tk.Position.Column > maxIndent {
				marks = maxNesting + 1
			}
		case token.MappingValueType:
			if brackets == 0 && tk.Prev != nil && tk.Prev.Position != nil && tk.Prev.Position.Column > maxIndent {
				marks = maxNesting + 1
			}
		case token.AnchorType, token.AliasType, token.MergeKeyType, token.TagType:
			return fmt.Errorf("%s:%d: anchors, aliases and tags are not supported: write the value out", file, line)
		}
		if brackets > maxNesting || marks > maxNesting {
			return fmt.Errorf("%s:%d: nests deeper than %d levels", file, line, maxNesting)
		}
	}
	return nil
}

// Reader turns nodes into values. What arguments of its methods call what is the name of
// the value in errors.
type Reader struct {
	// File is what errors call the file.
	File string
}

// Setter reads the value of a key. At is where the key is.
type Setter func(n ast.Node, at string) error

// At returns "file:line" of a node.
func (r *Reader) At(n ast.Node) string {
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 {
		n = m.Values[0].Key
	}
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return r.File
	}
	return fmt.Sprintf("%s:%d", r.File, n.GetToken().Position.Line)
}

// Pairs calls fn for each key of a mapping, in order.
func (r *Reader) Pairs(n ast.Node, what string, fn func(key string, n ast.Node, at string) error) error {
	var values []*ast.MappingValueNode
	switch m := n.(type) {
	case *ast.MappingNode:
		values = m.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{m}
	default:
		return Fail(r.At(n), what, "takes names and values, not %s", Kind(n))
	}
	seen := map[string]bool{}
	for _, m := range values {
		at := r.At(m.Key)
		key, ok := Text(m.Key)
		if !ok {
			return Fail(at, what, "a key has to be a name or a number")
		}
		if seen[key] {
			return Fail(at, what, "%q is given twice", key)
		}
		seen[key] = true
		if err := fn(key, m.Value, at); err != nil {
			return err
		}
	}
	return nil
}

// Object reads a mapping whose keys are fixed.
func (r *Reader) Object(n ast.Node, what string, keys map[string]Setter) error {
	return r.Pairs(n, what, func(key string, n ast.Node, at string) error {
		set, ok := keys[key]
		if !ok {
			return Fail(at, what, "unknown key %q; %s", key, Neighbours(key, slices.Collect(maps.Keys(keys))))
		}
		if _, null := n.(*ast.NullNode); null || n == nil {
			return Fail(at, what, "%s has no value; leave it out instead", key)
		}
		return set(n, at)
	})
}

// List calls fn for each element of a list, in order.
func (r *Reader) List(n ast.Node, what string, fn func(i int, n ast.Node) error) error {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		return Fail(r.At(n), what, "takes a list, not %s", Kind(n))
	}
	for i, v := range s.Values {
		if err := fn(i, v); err != nil {
			return err
		}
	}
	return nil
}

// String reads text that is not empty.
func (r *Reader) String(n ast.Node, what string) (string, error) {
	text, ok := Text(n)
	if !ok || text == "" {
		return "", Fail(r.At(n), what, "takes a string, not %s", Kind(n))
	}
	return text, nil
}

// Count reads a number from 0 to most.
func (r *Reader) Count(n ast.Node, what string, most uint64) (uint64, error) {
	text, _ := Text(n)
	u, err := strconv.ParseUint(text, 0, 64)
	if err != nil || u > most {
		return 0, Fail(r.At(n), what, "takes a number from 0 to %d", most)
	}
	return u, nil
}

// Flag reads on or off.
func (r *Reader) Flag(n ast.Node, what string) (bool, error) {
	text, _ := Text(n)
	switch text {
	case "on", "true", "yes":
		return true, nil
	case "off", "false", "no":
		return false, nil
	}
	return false, Fail(r.At(n), what, "takes on or off")
}

// Text returns a scalar as it was written.
func Text(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		if n.Value != nil {
			return n.Value.Value, true
		}
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		if tk := n.GetToken(); tk != nil {
			return tk.Value, true
		}
	}
	return "", false
}

// Kind says what a node is, for error messages.
func Kind(n ast.Node) string {
	switch n.(type) {
	case nil, *ast.NullNode:
		return "nothing"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "names and values"
	case *ast.SequenceNode:
		return "a list"
	case *ast.StringNode:
		return "an empty string"
	}
	return "a scalar"
}
