// Package graph draws control flow: as DOT for Graphviz, and as SVG that it lays out
// itself, so that nothing has to be installed. What it writes follows from the graph
// alone.
package graph

import (
	"fmt"
	"strings"
	"unicode"
)

// Graph is a set of flow graphs that are drawn one below the other.
type Graph struct {
	Title string
	Parts []Part
	// Legend says that states are shown, and explains them.
	Legend bool
}

// Part is the flow graph of one function. Its first node is the entry.
type Part struct {
	Name  string
	Nodes []Node
	Edges []Edge
}

// Node is a block of lines.
type Node struct {
	Lines []string
	State State
}

// Edge leads from node to node, by their indices in the part.
type Edge struct {
	From, To int
	Label    string
	State    State
}

// State is what is known of whether a node or an edge was passed.
type State uint8

const (
	// Plain says nothing.
	Plain State = iota
	// Covered was passed.
	Covered
	// Missed was not passed.
	Missed
	// Unknown cannot be told.
	Unknown
	// Removed was taken away by the verifier, since no run can pass it.
	Removed
)

func (s State) String() string {
	switch s {
	case Plain:
		return "plain"
	case Covered:
		return "covered"
	case Missed:
		return "not covered"
	case Unknown:
		return "cannot be told"
	case Removed:
		return "removed by the verifier"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// stroke and fill are the colours of a state, told apart without green and red too.
func (s State) stroke() string {
	return [...]string{"#444444", "#1a7f37", "#cf222e", "#8c959f", "#8250df"}[min(s, Removed)]
}

func (s State) fill() string {
	return [...]string{"#ffffff", "#dafbe1", "#ffebe9", "#eaeef2", "#fbefff"}[min(s, Removed)]
}

// maxLine is how many characters of a line are shown.
const maxLine = 96

// clean makes text fit to be shown in one line: what objects name may hold anything.
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case r == unicode.ReplacementChar || !unicode.IsPrint(r):
			return '?'
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if r := []rune(text); len(r) > maxLine {
		return string(r[:maxLine-3]) + "..."
	}
	return text
}

// check refuses edges to nodes that do not exist.
func (g *Graph) check() error {
	for _, p := range g.Parts {
		for i, e := range p.Edges {
			if e.From < 0 || e.To < 0 || e.From >= len(p.Nodes) || e.To >= len(p.Nodes) {
				return fmt.Errorf("drawing %s: edge %d leads from node %d to %d of %d", p.Name, i, e.From, e.To, len(p.Nodes))
			}
		}
	}
	return nil
}
