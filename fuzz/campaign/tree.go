package campaign

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/bpffuzz/bpffuzz/fuzz/internal/strict"
)

// tree is YAML that is changed and written again: text, a list, or names with values.
type tree struct {
	at    string // "file:line"
	text  string
	list  []tree
	names []named
	kind  treeKind
}

type treeKind int

const (
	isText treeKind = iota
	isList
	isNames
)

// named is a name with its value.
type named struct {
	name  string
	at    string
	value tree
}

// newTree copies a node.
func newTree(r *strict.Reader, n ast.Node, what string) (tree, error) {
	t := tree{at: r.At(n)}
	if text, ok := strict.Text(n); ok {
		t.text = text
		return t, nil
	}
	switch n := n.(type) {
	case *ast.SequenceNode:
		t.kind = isList
		return t, r.List(n, what, func(_ int, n ast.Node) error {
			v, err := newTree(r, n, what)
			t.list = append(t.list, v)
			return err
		})
	case *ast.MappingNode, *ast.MappingValueNode:
		t.kind = isNames
		return t, r.Pairs(n, what, func(name string, n ast.Node, at string) error {
			if _, null := n.(*ast.NullNode); null || n == nil {
				return strict.Fail(at, what, "%s has no value; leave it out instead", name)
			}
			v, err := newTree(r, n, what)
			t.names = append(t.names, named{name, at, v})
			return err
		})
	}
	return t, strict.Fail(t.at, what, "has %s, not a value", strict.Kind(n))
}

// get returns the value of a name, nil where there is none.
func (t *tree) get(name string) *tree {
	for i := range t.names {
		if t.names[i].name == name {
			return &t.names[i].value
		}
	}
	return nil
}

// set gives a name a value.
func (t *tree) set(name string, v tree) {
	t.kind = isNames
	for i := range t.names {
		if t.names[i].name == name {
			t.names[i].at, t.names[i].value = v.at, v
			return
		}
	}
	t.names = append(t.names, named{name, v.at, v})
}

// over returns t with what more says besides: down to depth levels, names are put over
// those of t one by one, and lists behind its lists. Below that, what more says replaces it.
func (t tree) over(more tree, depth int) tree {
	switch {
	case t.kind == isNames && more.kind == isNames && depth > 0:
		sum := tree{at: t.at, kind: isNames, names: slices.Clone(t.names)}
		for _, n := range more.names {
			v := n.value
			if old := sum.get(n.name); old != nil {
				v = old.over(v, depth-1)
			}
			sum.set(n.name, v)
		}
		return sum
	case t.kind == isList && more.kind == isList && depth > 0:
		return tree{at: t.at, kind: isList, list: slices.Concat(t.list, more.list)}
	}
	return more
}

// written is a tree as YAML. Places has for each line where it comes from.
type written struct {
	lines, places []string
}

func (w *written) line(indent int, text, at string) {
	w.lines = append(w.lines, strings.Repeat("  ", indent)+text)
	w.places = append(w.places, at)
}

func (w *written) text() string { return strings.Join(w.lines, "\n") + "\n" }

// write adds names and values, each on lines of their own.
func (w *written) write(t *tree, indent int) {
	for i := range t.names {
		n := &t.names[i]
		if n.value.flat() {
			w.line(indent, scalar(n.name)+": "+n.value.flow(), n.at)
			continue
		}
		w.line(indent, scalar(n.name)+":", n.at)
		if n.value.kind == isNames {
			w.write(&n.value, indent+1)
			continue
		}
		for j := range n.value.list {
			w.line(indent+1, "- "+n.value.list[j].flow(), n.value.list[j].at)
		}
	}
}

// flat reports whether a value is written on the line of its name.
func (t *tree) flat() bool { return t.kind == isText || len(t.list)+len(t.names) == 0 }

// flow writes a value on one line.
func (t *tree) flow() string {
	var parts []string
	switch t.kind {
	case isList:
		for i := range t.list {
			parts = append(parts, t.list[i].flow())
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case isNames:
		for i := range t.names {
			parts = append(parts, scalar(t.names[i].name)+": "+t.names[i].value.flow())
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return scalar(t.text)
}

// plain is text that YAML takes for itself without quotes. What it makes of numbers and
// of yes and no does not matter: those who read target files go by the text.
var plain = regexp.MustCompile(`^[A-Za-z0-9_./][A-Za-z0-9_./-]*$`)

// scalar writes text, in the quotes of JSON where it needs some.
func scalar(text string) string {
	if plain.MatchString(text) && !strings.EqualFold(text, "null") {
		return text
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(text) // of a string into memory
	return strings.TrimSuffix(b.String(), "\n")
}
