package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf"
	"github.com/bpffuzz/bpffuzz/triage/report/graph"
)

// coverage is which edges inputs passed.
type coverage struct {
	inputs int
	states map[uint64]graph.State // by the id of the edge
}

// readCoverage runs the corpus of an output directory, each input alone.
func (f *showFlags) readCoverage(ctx context.Context, u *ui) (*coverage, error) {
	dir := filepath.Join(f.cover, "corpus")
	all, err := readInputs(dir, func(err error) { u.warn("%v", err) })
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading coverage: %s has no corpus; give the directory that run -o wrote: %w", f.cover, err)
	}
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("reading coverage: no input in %s", dir)
	}
	target, err := f.target(u, longest(all))
	if err != nil {
		return nil, err
	}
	if who, err := readOwner(filepath.Join(f.cover, ownerFile)); err == nil && who.Program != target.Shape().Program {
		u.warn("the inputs in %s are of a run on %s: what they cover of %s says little", f.cover, who, target.Shape().Program)
	}
	if all, err = fitting(u, &subject{path: f.path(), target: target}, all); err != nil {
		return nil, err
	}
	var features []byte
	err = withExecutor(target, func(exec fuzz.Executor) (err error) {
		features, err = union(ctx, newPlayer(exec, target.Shape()), all)
		return err
	})
	if err != nil {
		return nil, err
	}
	return newCoverage(target, features, len(all)), nil
}

// target loads the program without anything that judges it.
func (f *showFlags) target(u *ui, steps int) (*bpf.Target, error) {
	opts, err := f.options()
	if err != nil {
		return nil, err
	}
	opts.MaxSteps = max(opts.MaxSteps, steps)
	target, err := f.openTarget(opts)
	if err != nil {
		return nil, err
	}
	for _, note := range target.Notes() {
		u.detail("note: %s", note)
	}
	return target, nil
}

// union returns what any of the inputs covers.
func union(ctx context.Context, p *player, all []named) ([]byte, error) {
	var features []byte
	for _, one := range all {
		if err := p.recreate(ctx); err != nil {
			return nil, err
		}
		out, err := p.rerun(ctx, one.in, corpus.HaveRet|corpus.HaveCover)
		if err != nil {
			return nil, fmt.Errorf("running %s: %w", one.name, err)
		}
		if features == nil {
			features = make([]byte, len(out.Cover))
		}
		for i, v := range out.Cover[:min(len(features), len(out.Cover))] {
			features[i] |= v
		}
	}
	return features, nil
}

func newCoverage(target *bpf.Target, features []byte, inputs int) *coverage {
	c := &coverage{inputs: inputs, states: map[uint64]graph.State{}}
	table := target.Table()
	for i, hit := range table.Expand(nil, features) {
		e := &table.Edges[i]
		switch {
		case hit:
			c.states[e.ID] = graph.Covered
		case e.Skipped != "":
			c.states[e.ID] = graph.Unknown
		default:
			c.states[e.ID] = graph.Missed
		}
	}
	return c
}

// mark gives edges and blocks their states: to those of edges that are observed it
// adds what follows for the others.
func (c *coverage) mark(f *shownFunction, code *bpf.Code) {
	for i := range f.Edges {
		if e := &f.Edges[i]; e.Index != nil {
			e.state = graph.Unknown
			if state, ok := c.states[code.Table.Edges[*e.Index].ID]; ok {
				e.state = state
			}
		}
	}
	infer(f, leaves(f, code))
	for i := range f.Edges {
		f.Edges[i].Coverage = f.Edges[i].state.String()
	}
	for i := range f.Blocks {
		f.Blocks[i].Coverage = f.Blocks[i].state.String()
	}
}

// leaves says of each block whether the program may end inside of it.
func leaves(f *shownFunction, code *bpf.Code) []bool {
	for i := range code.Functions {
		if fn := &code.Functions[i]; fn.Name == f.Name {
			list := make([]bool, len(fn.Blocks))
			for j, b := range fn.Blocks {
				list[j] = b.Leaves
			}
			return list
		}
	}
	return make([]bool, len(f.Blocks))
}

// infer finds the states of blocks, and of edges that are the only way out of a block
// and therefore not observed. A block was passed when one of its edges was; its only
// way out then too, unless the program may have ended on the way. States only ever
// rise, from missed to unknown to covered, so this comes to an end.
func infer(f *shownFunction, leaves []bool) {
	for i := range f.Blocks {
		f.Blocks[i].state = graph.Missed
	}
	for i := range f.Edges {
		if e := &f.Edges[i]; e.Index == nil {
			e.state = graph.Missed
		}
	}
	for changed := true; changed; {
		changed = false
		rise := func(s *graph.State, to graph.State) {
			if certainty(to) > certainty(*s) {
				*s, changed = to, true
			}
		}
		for i := range f.Edges {
			e := &f.Edges[i]
			rise(&f.Blocks[e.block].state, e.state)
			if e.fromBlock < 0 {
				continue
			}
			from := &f.Blocks[e.fromBlock]
			if e.state == graph.Covered {
				rise(&from.state, graph.Covered)
			}
			if e.Index != nil {
				continue
			}
			if leaves[e.fromBlock] && from.state == graph.Covered {
				rise(&e.state, graph.Unknown)
			} else {
				rise(&e.state, from.state)
			}
		}
	}
}

// certainty orders states by how much they say of a run.
func certainty(s graph.State) int {
	return map[graph.State]int{graph.Missed: 0, graph.Unknown: 1, graph.Covered: 2}[s]
}
