package main

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf"
	"github.com/bpffuzz/bpffuzz/triage/report/graph"
)

// shownCode is the code of a program as show --insns --json has it.
type shownCode struct {
	// ID is that of a loaded program, 0 for one of an object.
	ID        uint32          `json:"id,omitempty"`
	Program   string          `json:"program"`
	Functions []shownFunction `json:"functions"`
	// Inputs is how many inputs the coverage of edges and blocks is from.
	Inputs int      `json:"inputs,omitempty"`
	Notes  []string `json:"notes"`

	covered bool // edges have a state
	raw     []byte
}

type shownFunction struct {
	Name         string             `json:"name"`
	Instructions []shownInstruction `json:"instructions"`
	Blocks       []shownBlock       `json:"blocks"`
	Edges        []shownEdge        `json:"edges"`
}

// shownInstruction has its offset in slots of 8 bytes from the start of the function,
// bytes as hexadecimal digits, and the source line that begins with it.
type shownInstruction struct {
	Offset  int    `json:"offset"`
	Text    string `json:"text"`
	Opcodes string `json:"opcodes"`
	shownSource
}

type shownSource struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Source string `json:"source,omitempty"`
}

// shownBlock has the offsets of its first and last instruction.
type shownBlock struct {
	First     int    `json:"first"`
	Last      int    `json:"last"`
	Reachable bool   `json:"reachable"`
	Coverage  string `json:"coverage,omitempty"`

	state      graph.State
	begin, end int // instructions
}

// shownEdge leads from the offset of an instruction, -1 for the entry, to another.
type shownEdge struct {
	From int    `json:"from"`
	To   int    `json:"to"`
	Kind string `json:"kind"`
	Loop bool   `json:"loop,omitempty"`
	// Index is the edge's in the table, and Probe that of its hit byte: neither is
	// there for an edge that is not observed.
	Index *int `json:"index,omitempty"`
	Probe *int `json:"probe,omitempty"`
	// Via are edges of the table one of which is passed exactly when this one is.
	Via      []int  `json:"via,omitempty"`
	Skipped  string `json:"skipped,omitempty"`
	Coverage string `json:"coverage,omitempty"`

	only, taken      bool
	state            graph.State
	fromBlock, block int
}

// newShownCode makes code ready to be shown. Covered is nil where no run is laid over
// it.
func newShownCode(code *bpf.Code, covered *coverage) *shownCode {
	s := &shownCode{Program: code.Program, Notes: append([]string{}, code.Notes...), raw: code.Raw, covered: covered != nil}
	for i := range code.Functions {
		f := newShownFunction(&code.Functions[i], code.Table)
		if covered != nil {
			covered.mark(&f, code)
		}
		s.Functions = append(s.Functions, f)
	}
	if covered != nil {
		s.Inputs = covered.inputs
	}
	return s
}

func newShownFunction(f *bpf.CodeFunction, table *cover.Table) shownFunction {
	s := shownFunction{Name: f.Name, Blocks: []shownBlock{}, Edges: []shownEdge{}}
	for i := range f.Instructions {
		ins := &f.Instructions[i]
		s.Instructions = append(s.Instructions, shownInstruction{
			ins.Offset, ins.Text, hex.EncodeToString(ins.Raw), newShownSource(ins.Pos, ins.Source),
		})
	}
	for _, b := range f.Blocks {
		s.Blocks = append(s.Blocks, shownBlock{
			First: f.Instructions[b.First].Offset, Last: f.Instructions[b.End-1].Offset, Reachable: b.Reachable,
			begin: b.First, end: b.End,
		})
	}
	for i := range f.Flow {
		s.Edges = append(s.Edges, newShownEdge(&f.Flow[i], s.Blocks, table))
	}
	return s
}

func newShownSource(pos cover.Pos, source string) shownSource {
	return shownSource{pos.File, pos.Line, pos.Column, strings.TrimSpace(printable(strings.ReplaceAll(source, "\t", " ")))}
}

func newShownEdge(flow *bpf.FlowEdge, blocks []shownBlock, table *cover.Table) shownEdge {
	e := shownEdge{
		From: -1, To: blocks[flow.To].First, Kind: flow.Kind.String(), Loop: flow.Back,
		only: flow.Only, taken: flow.Kind == cover.Taken, fromBlock: flow.From, block: flow.To,
	}
	if flow.From >= 0 {
		e.From = blocks[flow.From].Last
	}
	if flow.Edge >= 0 {
		observed := &table.Edges[flow.Edge]
		index, probe := flow.Edge, observed.Probe
		e.Index, e.Via, e.Skipped = &index, observed.Via, observed.Skipped
		if probe >= 0 {
			e.Probe = &probe
		}
	}
	return e
}

// text lists instructions in the words of bpftool's dump, with edges below the
// instruction that they start from.
func (s *shownCode) text(opcodes, linum bool) string {
	var b strings.Builder
	if s.ID != 0 {
		fmt.Fprintf(&b, "program %d\n", s.ID)
	}
	if s.covered {
		fmt.Fprintf(&b, "coverage by %s\n", count(s.Inputs, "input"))
	}
	for i := range s.Functions {
		s.Functions[i].text(&b, opcodes, linum)
	}
	return b.String()
}

func (f *shownFunction) text(b *strings.Builder, opcodes, linum bool) {
	fmt.Fprintf(b, "%s:\n", printable(f.Name))
	edges := map[int][]*shownEdge{}
	for i := range f.Edges {
		e := &f.Edges[i]
		edges[e.From] = append(edges[e.From], e)
	}
	f.writeEdges(b, edges[-1])
	for i := range f.Instructions {
		ins := &f.Instructions[i]
		ins.writeSource(b, linum)
		fmt.Fprintf(b, "%4d: %s\n", ins.Offset, printable(ins.Text))
		if opcodes {
			fmt.Fprintf(b, "      %s\n", spaced(ins.Opcodes))
		}
		f.writeEdges(b, edges[ins.Offset])
	}
}

// writeSource writes the line of source above its first instruction.
func (s *shownSource) writeSource(b *strings.Builder, linum bool) {
	if s.File == "" && s.Source == "" {
		return
	}
	fmt.Fprintf(b, "; %s", s.Source)
	if linum {
		fmt.Fprintf(b, " [file:%s line_num:%d line_col:%d]", printable(s.File), s.Line, s.Column)
	}
	b.WriteByte('\n')
}

// writeEdges writes edges that people have to know of: those that are observed.
func (f *shownFunction) writeEdges(b *strings.Builder, edges []*shownEdge) {
	for _, e := range edges {
		if text := e.text(); text != "" {
			fmt.Fprintf(b, "      -> %s\n", text)
		}
	}
}

func (e *shownEdge) text() string {
	if e.Index == nil {
		return ""
	}
	words := []string{fmt.Sprintf("%d %s, edge %d", e.To, e.Kind, *e.Index)}
	if e.Loop {
		words = append(words, "loop")
	}
	switch {
	case e.Probe != nil:
		words = append(words, fmt.Sprintf("probe %d", *e.Probe))
	case len(e.Via) > 0:
		words = append(words, "seen by edges "+strings.Join(strings.Fields(strings.Trim(fmt.Sprint(e.Via), "[]")), " and "))
	case e.Skipped != "":
		words = append(words, "not observed: "+e.Skipped)
	}
	if e.state != graph.Plain {
		words = append(words, e.state.String())
	}
	return strings.Join(words, ", ")
}

// spaced puts a space behind each byte of hexadecimal digits.
func spaced(digits string) string {
	var b strings.Builder
	for i := 0; i+1 < len(digits); i += 2 {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(digits[i : i+2])
	}
	return b.String()
}
