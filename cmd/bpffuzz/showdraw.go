package main

import (
	"bytes"
	"fmt"
	"path"

	"github.com/bpffuzz/bpffuzz/triage/report/graph"
)

// draw writes the control flow as DOT or SVG.
func (s *shownCode) draw(svg bool) ([]byte, error) {
	g := &graph.Graph{Title: s.Program, Legend: s.covered}
	if s.covered {
		g.Title += ", coverage by " + count(s.Inputs, "input")
	}
	for i := range s.Functions {
		f := &s.Functions[i]
		if len(f.Blocks) == 0 {
			return nil, fmt.Errorf("drawing program %s: function %s could not be taken apart: %s", s.Program, f.Name, s.why())
		}
		g.Parts = append(g.Parts, f.part())
	}
	var b bytes.Buffer
	write := g.WriteDOT
	if svg {
		write = g.WriteSVG
	}
	if err := write(&b); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func (s *shownCode) why() string {
	if len(s.Notes) == 0 {
		return "no reason is known"
	}
	return s.Notes[len(s.Notes)-1]
}

func (f *shownFunction) part() graph.Part {
	p := graph.Part{Name: f.Name}
	for i := range f.Blocks {
		p.Nodes = append(p.Nodes, graph.Node{Lines: f.lines(&f.Blocks[i]), State: f.Blocks[i].state})
	}
	for i := range f.Edges {
		e := &f.Edges[i]
		if e.fromBlock < 0 {
			continue // the entry is the first block
		}
		label := ""
		if !e.only {
			label = map[bool]string{true: "taken", false: "else"}[e.taken]
		}
		p.Edges = append(p.Edges, graph.Edge{From: e.fromBlock, To: e.block, Label: label, State: e.state})
	}
	return p
}

// lines are a block's instructions, below the source lines that they begin.
func (f *shownFunction) lines(b *shownBlock) []string {
	var lines []string
	for _, ins := range f.Instructions[b.begin:b.end] {
		if ins.File != "" {
			lines = append(lines, fmt.Sprintf("; %s:%d %s", path.Base(ins.File), ins.Line, ins.Source))
		}
		lines = append(lines, fmt.Sprintf("%4d: %s", ins.Offset, ins.Text))
	}
	return lines
}
