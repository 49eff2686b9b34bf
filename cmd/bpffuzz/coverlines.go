package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf"
	"github.com/bpffuzz/bpffuzz/triage/report/graph"
	"github.com/bpffuzz/bpffuzz/triage/report/lines"
)

// lineKey is a line of the source.
type lineKey struct {
	file string
	line int
}

// lineCounter collects what is known of lines.
type lineCounter struct {
	report  *lines.Report
	covered *coverage
	code    *bpf.Code
	found   map[lineKey]*countedLine
	sites   int
}

// countedLine is a line while it is counted. A line may have code in many blocks.
type countedLine struct {
	text     string
	states   [lines.Merged + 1]bool // that its blocks have
	passed   []bool                 // by input
	branches []lines.Branch
}

// newCoverReport lays what inputs cover over the source.
func newCoverReport(code *bpf.Code, covered *coverage, sources *sources) *lines.Report {
	c := &lineCounter{
		report:  &lines.Report{Program: code.Program, Inputs: covered.inputs, Notes: append([]string{}, code.Notes...)},
		covered: covered, code: code, found: map[lineKey]*countedLine{},
	}
	for i := range code.Functions {
		c.function(&code.Functions[i])
	}
	c.list(sources)
	return c.report
}

// function counts the lines and branches of a function.
func (c *lineCounter) function(f *bpf.CodeFunction) {
	shown := newShownFunction(f, c.code.Table)
	c.covered.mark(&shown, c.code)
	passed := c.blocksPassed(f)
	fn := lines.Function{Name: f.Name, State: lines.Unknown}
	at := c.places(f)
	for b := range f.Blocks {
		if b == 0 {
			fn.State, fn.Inputs = stateOfGraph(shown.Blocks[b].state), trues(passed[b])
			fn.File, fn.Line = at[f.Blocks[b].First].file, at[f.Blocks[b].First].line
		}
		for i := f.Blocks[b].First; i < f.Blocks[b].End; i++ {
			if at[i].line == 0 {
				fn.Unplaced++
				continue
			}
			c.line(at[i]).pass(stateOfGraph(shown.Blocks[b].state), passed[b])
		}
	}
	c.branches(f, &shown, at, passed, &fn)
	c.report.Edges.Passed += fn.Edges.Passed
	c.report.Edges.Total += fn.Edges.Total
	c.report.Edges.Removed += fn.Edges.Removed
	c.report.Edges.Unknown += fn.Edges.Unknown
	c.report.Functions = append(c.report.Functions, fn)
}

// places returns the line of each instruction. What follows the beginning of a line
// belongs to it.
func (c *lineCounter) places(f *bpf.CodeFunction) []lineKey {
	at := make([]lineKey, len(f.Instructions))
	var last lineKey
	for i := range f.Instructions {
		ins := &f.Instructions[i]
		if ins.Pos.File != "" {
			last = lineKey{ins.Pos.File, ins.Pos.Line}
			if ins.Pos.Line > 0 && c.line(last).text == "" {
				c.line(last).text = ins.Source
			}
		}
		at[i] = last
	}
	return at
}

func (c *lineCounter) line(key lineKey) *countedLine {
	l := c.found[key]
	if l == nil {
		l = &countedLine{passed: make([]bool, c.covered.inputs)}
		c.found[key] = l
	}
	return l
}

func (l *countedLine) pass(s lines.State, by []bool) {
	l.states[s] = true
	for i, p := range by {
		l.passed[i] = l.passed[i] || p
	}
}

// state joins the states of the blocks in which a line has code.
func (l *countedLine) state() lines.State {
	has := &l.states
	switch {
	case has[lines.Covered] && (has[lines.Missed] || has[lines.Unknown]):
		return lines.Partial
	case has[lines.Covered]:
		return lines.Covered
	case has[lines.Unknown]:
		return lines.Unknown
	case has[lines.Missed]:
		return lines.Missed
	case has[lines.Removed]:
		return lines.Removed
	}
	return lines.None
}

// branches counts a function's observed edges, and adds those that are one of two ways to
// the lines that they leave.
func (c *lineCounter) branches(f *bpf.CodeFunction, shown *shownFunction, at []lineKey, passed [][]bool, fn *lines.Function) {
	sites := map[int]int{} // by the block that is left
	for i := range f.Flow {
		e, s := &f.Flow[i], stateOfGraph(shown.Edges[i].state)
		if e.Edge < 0 {
			continue
		}
		fn.Edges.Add(s)
		if e.From < 0 || e.Only {
			continue
		}
		from := at[f.Blocks[e.From].End-1]
		if from.line == 0 {
			continue
		}
		if _, ok := sites[e.From]; !ok {
			sites[e.From] = c.sites
			c.sites++
		}
		observed := &c.code.Table.Edges[e.Edge]
		b := lines.Branch{
			Site: sites[e.From], Taken: e.Kind == cover.Taken, State: s, Inputs: trues(c.covered.passes[observed.ID]),
			Reached: trues(passed[e.From]) > 0, To: observed.ToPos.String(),
		}
		b.To = cmp.Or(b.To, fmt.Sprintf("insn %d", observed.To))
		c.line(from).branches = append(c.line(from).branches, b)
	}
}

// blocksPassed says which inputs passed each block: those that passed an edge of it that
// is observed, and what control cannot but reach from there.
func (c *lineCounter) blocksPassed(f *bpf.CodeFunction) [][]bool {
	all := make([][]bool, len(f.Blocks))
	for b := range all {
		all[b] = make([]bool, c.covered.inputs)
	}
	only := map[int][]int{} // the unobserved ways out of blocks
	for i := range f.Flow {
		if e := &f.Flow[i]; e.Edge < 0 && e.From >= 0 {
			only[e.From] = append(only[e.From], e.To)
		}
	}
	for input := range c.covered.inputs {
		var work []int
		mark := func(b int) {
			if b >= 0 && !all[b][input] {
				all[b][input] = true
				work = append(work, b)
			}
		}
		for i := range f.Flow {
			e := &f.Flow[i]
			if e.Edge < 0 {
				continue
			}
			if by := c.covered.passes[c.code.Table.Edges[e.Edge].ID]; by != nil && by[input] {
				mark(e.From)
				mark(e.To)
			}
		}
		for len(work) > 0 {
			b := work[len(work)-1]
			if work = work[:len(work)-1]; !f.Blocks[b].Leaves {
				for _, to := range only[b] {
					mark(to)
				}
			}
		}
	}
	return all
}

// list puts the lines into the report, file by file.
func (c *lineCounter) list(sources *sources) {
	byFile := map[string][]lineKey{}
	for key := range c.found {
		if key.line > 0 {
			byFile[key.file] = append(byFile[key.file], key)
		}
	}
	for name, keys := range byFile {
		slices.SortFunc(keys, func(a, b lineKey) int { return cmp.Compare(a.line, b.line) })
		f := lines.File{Name: name}
		for _, key := range keys {
			l := c.found[key]
			f.Lines = append(f.Lines, lines.Line{
				Number: key.line, Text: strings.TrimRight(l.text, "\r\n"), State: l.state(), Inputs: trues(l.passed), Branches: l.branches,
			})
		}
		note := sources.fill(&f)
		if note != "" {
			c.report.Notes = append(c.report.Notes, note)
		}
		for i := range f.Lines {
			c.report.Lines.Add(f.Lines[i].State)
		}
		c.report.Files = append(c.report.Files, f)
	}
	slices.SortFunc(c.report.Files, func(a, b lines.File) int { return cmp.Compare(a.Name, b.Name) })
	slices.Sort(c.report.Notes)
}

func stateOfGraph(s graph.State) lines.State {
	switch s {
	case graph.Covered:
		return lines.Covered
	case graph.Missed:
		return lines.Missed
	case graph.Removed:
		return lines.Removed
	case graph.Plain, graph.Unknown:
	}
	return lines.Unknown
}

// trues counts what is true.
func trues(list []bool) int {
	n := 0
	for _, b := range list {
		if b {
			n++
		}
	}
	return n
}
