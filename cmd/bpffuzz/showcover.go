package main

import (
	"bytes"
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
	passes map[uint64][]bool      // by the id of the edge: which inputs passed it
	prunes bool                   // what the verifier removed is known
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
	return replayCoverage(ctx, target, all)
}

// replayCoverage runs inputs, each alone.
func replayCoverage(ctx context.Context, target *bpf.Target, all []named) (*coverage, error) {
	var covers [][]byte
	err := withExecutor(target, func(exec fuzz.Executor) (err error) {
		covers, err = coversOf(ctx, newPlayer(exec, target.Shape()), all)
		return err
	})
	if err != nil {
		return nil, err
	}
	return newCoverage(target, covers)
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

// coversOf returns what each of the inputs covers.
func coversOf(ctx context.Context, p *player, all []named) ([][]byte, error) {
	covers := make([][]byte, len(all))
	for i, one := range all {
		if err := p.recreate(ctx); err != nil {
			return nil, err
		}
		out, err := p.rerun(ctx, one.in, corpus.HaveRet|corpus.HaveCover)
		if err != nil {
			return nil, fmt.Errorf("running %s: %w", one.name, err)
		}
		covers[i] = bytes.Clone(out.Cover)
	}
	return covers, nil
}

func newCoverage(target *bpf.Target, covers [][]byte) (*coverage, error) {
	c := &coverage{inputs: len(covers), states: map[uint64]graph.State{}, passes: map[uint64][]bool{}}
	table := target.Table()
	gone, err := target.Unreachable()
	if err != nil {
		return nil, fmt.Errorf("reading coverage: asking which edges can be reached: %w", err)
	}
	c.prunes = gone != nil
	var hits []bool
	for input, features := range covers {
		hits = table.Expand(hits[:0], features)
		for i, hit := range hits {
			if id := table.Edges[i].ID; hit {
				if c.passes[id] == nil {
					c.passes[id] = make([]bool, len(covers))
				}
				c.passes[id][input] = true
			}
		}
	}
	for i := range table.Edges {
		e := &table.Edges[i]
		switch {
		case c.passes[e.ID] != nil:
			c.states[e.ID] = graph.Covered
		case e.Skipped != "":
			c.states[e.ID] = graph.Unknown
		case gone != nil && gone[i]:
			c.states[e.ID] = graph.Removed
		default:
			c.states[e.ID] = graph.Missed
		}
	}
	return c, nil
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
	infer(f, leaves(f, code), c.least())
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

// least is the state of what no state of an observed edge says anything about.
func (c *coverage) least() graph.State {
	if c.prunes {
		return graph.Removed
	}
	return graph.Missed
}

// infer finds the states of blocks, and of edges that are the only way out of a block
// and therefore not observed. A block was passed when one of its edges was; its only
// way out then too, unless the program may have ended on the way. States only ever
// rise, from least to covered, so this comes to an end.
func infer(f *shownFunction, leaves []bool, least graph.State) {
	for i := range f.Blocks {
		f.Blocks[i].state = least
	}
	for i := range f.Edges {
		if e := &f.Edges[i]; e.Index == nil {
			e.state = least
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
	return [...]int{graph.Plain: 0, graph.Removed: 1, graph.Missed: 2, graph.Unknown: 3, graph.Covered: 4}[s]
}
