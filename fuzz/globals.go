package fuzz

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// global is an integer in a global variable that both programs of a Pair have, in sections
// that may be laid out in two ways.
type global struct {
	// name is the variable's, with the way to the integer: "hits", "stats.drops[2]".
	name     string
	was, now place
	size     int
}

// place is where a global lies: a section, which is a map with one value, and an offset in it.
type place struct {
	section string
	offset  int
}

// sharedGlobals lists what both have by the same name and of the same size, by section.
func sharedGlobals(a, b *corpus.Shape) (list []global) {
	others := globals(b)
	for name, g := range globals(a) {
		if o, ok := others[name]; ok && o.size == g.size && g.size > 0 {
			g.now = o.was
			list = append(list, g)
		}
	}
	slices.SortFunc(list, func(x, y global) int { return strings.Compare(x.order(), y.order()) })
	return list
}

// order sorts globals so that those of one section are neighbours.
func (g *global) order() string {
	return fmt.Sprintf("%s\x00%s\x00%08x", g.was.section, g.now.section, g.was.offset)
}

// globals returns what a program has by name; the size of a name that several static
// variables share is 0.
func globals(s *corpus.Shape) map[string]global {
	all := map[string]global{}
	for i := range s.Maps {
		m := &s.Maps[i]
		if !m.Global || m.Name == corpus.AssertMap {
			continue
		}
		for j := range m.Value {
			f := &m.Value[j]
			g := global{name: f.Name, was: place{m.Name, f.Offset}, size: f.Size}
			if _, again := all[f.Name]; again {
				g.size = 0
			}
			all[f.Name] = g
		}
	}
	return all
}

// variable is the name of the variable that a global is in.
func (g *global) variable() string {
	if end := strings.IndexAny(g.name, ".["); end > 0 {
		return g.name[:end]
	}
	return g.name
}

// differInGlobals describes the first global that differs; "" where none does.
func (p *Pair) differInGlobals(was, now corpus.MapView) (string, error) {
	var a, b []byte
	var ofWas, ofNow string // the sections that a and b are
	for i := range p.globals {
		g := &p.globals[i]
		if p.ignored.variables[g.variable()] || p.ignored.mapNames[g.was.section] || p.ignored.mapNames[g.now.section] {
			continue
		}
		if ofWas != g.was.section || ofNow != g.now.section {
			var err error
			if a, err = section(a[:0], was, g.was.section); err != nil {
				return "", err
			}
			if b, err = section(b[:0], now, g.now.section); err != nil {
				return "", err
			}
			ofWas, ofNow = g.was.section, g.now.section
		}
		if g.was.offset+g.size > len(a) || g.now.offset+g.size > len(b) {
			continue
		}
		if x, y := a[g.was.offset:][:g.size], b[g.now.offset:][:g.size]; !bytes.Equal(x, y) {
			return fmt.Sprintf("variable %s has the bytes % x after the old program, % x after the new one", g.name, x, y), nil
		}
	}
	return "", nil
}

// section reads all variables of a section.
func section(dst []byte, view corpus.MapView, name string) ([]byte, error) {
	dst, _, err := view.Lookup(dst, name, make([]byte, 4)) // the key of the only value
	if err != nil {
		return nil, fmt.Errorf("reading the variables in %s: %w", name, err)
	}
	return dst, nil
}
