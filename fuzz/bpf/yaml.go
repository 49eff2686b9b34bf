package bpf

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

// maxNesting bounds how deep a target file may nest.
const maxNesting = 64

// maxIndent bounds how far to the right a name may stand: 64 levels of 8 columns.
const maxIndent = 8 * maxNesting

// parseYAML returns the root of the only document in text, nil where it is empty.
func parseYAML(file string, text []byte) (ast.Node, error) {
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
			return nil, fmt.Errorf("%s: has several documents; write one target to a file", file)
		}
		root = d.Body
	}
	return root, nil
}

// checkTokens refuses what would make the recursive parser run out of stack (deep
// brackets, deep indentation, long rows of "- " or "? ") and what a target file has
// no use for: anchors, aliases and tags, which also cost the parser quadratic time.
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

// yamlReader turns nodes into what a TargetFile holds.
type yamlReader struct{ file string }

// setter reads the value of a key. At is where the key is.
type setter func(n ast.Node, at string) error

func (r *yamlReader) at(n ast.Node) string {
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 {
		n = m.Values[0].Key
	}
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return r.file
	}
	return fmt.Sprintf("%s:%d", r.file, n.GetToken().Position.Line)
}

// pairs calls fn for each key of a mapping, in order.
func (r *yamlReader) pairs(n ast.Node, what string, fn func(key string, n ast.Node, at string) error) error {
	var values []*ast.MappingValueNode
	switch m := n.(type) {
	case *ast.MappingNode:
		values = m.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{m}
	default:
		return fail(r.at(n), what, "takes names and values, not %s", nodeKind(n))
	}
	seen := map[string]bool{}
	for _, m := range values {
		at := r.at(m.Key)
		key, ok := scalarText(m.Key)
		if !ok {
			return fail(at, what, "a key has to be a name or a number")
		}
		if seen[key] {
			return fail(at, what, "%q is given twice", key)
		}
		seen[key] = true
		if err := fn(key, m.Value, at); err != nil {
			return err
		}
	}
	return nil
}

// object reads a mapping whose keys are fixed.
func (r *yamlReader) object(n ast.Node, what string, keys map[string]setter) error {
	return r.pairs(n, what, func(key string, n ast.Node, at string) error {
		set, ok := keys[key]
		if !ok {
			return fail(at, what, "unknown key %q; %s", key, neighbours(key, slices.Collect(maps.Keys(keys))))
		}
		if _, null := n.(*ast.NullNode); null || n == nil {
			return fail(at, what, "%s has no value; leave it out instead", key)
		}
		return set(n, at)
	})
}

func (r *yamlReader) list(n ast.Node, what string, fn func(i int, n ast.Node) error) error {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		return fail(r.at(n), what, "takes a list, not %s", nodeKind(n))
	}
	for i, v := range s.Values {
		if err := fn(i, v); err != nil {
			return err
		}
	}
	return nil
}

func (r *yamlReader) str(n ast.Node, what string) (string, error) {
	text, ok := scalarText(n)
	if !ok || text == "" {
		return "", fail(r.at(n), what, "takes a string, not %s", nodeKind(n))
	}
	return text, nil
}

func (r *yamlReader) count(n ast.Node, what string, most uint64) (uint64, error) {
	text, _ := scalarText(n)
	u, err := strconv.ParseUint(text, 0, 64)
	if err != nil || u > most {
		return 0, fail(r.at(n), what, "takes a number from 0 to %d", most)
	}
	return u, nil
}

func (r *yamlReader) flag(n ast.Node, what string) (bool, error) {
	text, _ := scalarText(n)
	switch text {
	case "on", "true", "yes":
		return true, nil
	case "off", "false", "no":
		return false, nil
	}
	return false, fail(r.at(n), what, "takes on or off")
}

// value turns any node into Located values: scalars as the text that was written,
// since whether 0011 is a number or hex digits depends on the C type.
func (r *yamlReader) value(n ast.Node, what string) (Located, error) {
	at := r.at(n)
	if text, ok := scalarText(n); ok {
		return Located{At: at, Value: text}, nil
	}
	switch n := n.(type) {
	case *ast.SequenceNode:
		list := make([]any, 0, len(n.Values))
		err := r.list(n, what, func(_ int, n ast.Node) error {
			v, err := r.value(n, what)
			list = append(list, v)
			return err
		})
		return Located{At: at, Value: list}, err
	case *ast.MappingNode, *ast.MappingValueNode:
		fields := map[string]any{}
		err := r.pairs(n, what, func(key string, n ast.Node, keyAt string) error {
			if n == nil {
				return fail(keyAt, what, "%s has no value; leave it out for zero", key)
			}
			v, err := r.value(n, joinName(what, key))
			fields[key] = v
			return err
		})
		return Located{At: at, Value: fields}, err
	}
	return Located{}, fail(at, what, "has %s, not a value", nodeKind(n))
}

// scalarText returns a scalar as it was written.
func scalarText(n ast.Node) (string, bool) {
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

func nodeKind(n ast.Node) string {
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
