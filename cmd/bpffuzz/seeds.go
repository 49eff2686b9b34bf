package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/mutate"
	"github.com/bpffuzz/bpffuzz/triage"
)

// seeds collects what a run starts from.
type seeds struct {
	u      *ui
	shape  *corpus.Shape
	inputs []*corpus.Input
	avoid  []*corpus.Input // are known to end runs
}

// readSeeds returns, in this order, what earlier runs found and kept in the output
// directory, what the flags and what the target file name.
func (f *runFlags) readSeeds(ctx context.Context, u *ui, s *subject, out *output) ([]*corpus.Input, error) {
	seeds := &seeds{u: u, shape: s.target.Shape(), avoid: out.avoided()}
	warn := func(err error) { u.warn("%v", err) }
	for _, key := range out.findings.Keys() {
		if in, err := corpus.ReadFile(filepath.Join(out.findings.Path(key), "input")); err == nil && !triage.HasNoRun(key) {
			seeds.add(named{name: "finding " + key, in: in})
		}
	}
	before := len(seeds.inputs)
	if err := seeds.addCorpus(ctx, out.corpus); err != nil {
		return nil, err
	}
	out.own = seeds.inputs[before:len(seeds.inputs):len(seeds.inputs)]
	if n := len(seeds.inputs); n > 0 {
		u.say("going on from %s of earlier runs in %s", count(n, "input"), out.dir)
	}
	given := len(seeds.inputs)
	for i, path := range append(append([]string(nil), f.seeds...), f.file.Seeds...) {
		g := &gatherer{warn: warn, noFatal: true}
		all := slices.Collect(g.each([]string{path}))
		if g.err != nil && i >= len(f.seeds) {
			g.err = fmt.Errorf("%s: seeds: %w", f.file.SeedAt(i-len(f.seeds)), g.err)
		}
		if g.err != nil {
			return nil, g.err
		}
		g.say(u)
		all = unwrapped(u, path, seeds.shape, all)
		u.detail("%s: %s", path, count(len(all), "seed"))
		seeds.addAll(all)
	}
	contexts, err := f.file.EncodeContexts(seeds.shape)
	if err != nil {
		return nil, err
	}
	seeds.addContexts(seeds.inputs[given:], contexts)
	return seeds.inputs, nil
}

// loadingEvery is how often it is said how many entries of a large corpus are read.
const loadingEvery = 3 * time.Second

// addCorpus adds the entries of a corpus, and says how far it is where that takes long.
func (s *seeds) addCorpus(ctx context.Context, dir *corpusDir) error {
	read, said := 0, time.Now()
	add := func(in *corpus.Input) {
		s.add(named{name: "an entry of the corpus", in: in})
		if read++; read%1024 == 0 && time.Since(said) >= loadingEvery {
			said = time.Now()
			s.u.say("reading the corpus: %d entries so far", read)
		}
	}
	return dir.Load(ctx, add, func(err error) { s.u.warn("%v", err) })
}

// addAll adds inputs, and neighbouring ones of a step each as sequences where the
// target takes some: the packets of a capture belong together.
func (s *seeds) addAll(all []named) {
	var single []named
	for _, n := range all {
		if s.add(n) && len(n.in.Steps) == 1 {
			single = append(single, n)
		}
	}
	for n := s.shape.MaxSteps; n > 1 && len(single) > 1; single = single[min(n, len(single)):] {
		s.inputs = append(s.inputs, asSequence("", single[:min(n, len(single))])[0].in.Clone())
	}
}

// add adds an input that the target takes, see mutate.Fit.
func (s *seeds) add(n named) bool {
	in, err := mutate.Fit(s.shape, n.in)
	if err != nil {
		s.u.warn("%s is skipped: %v", n.name, err)
		return false
	}
	if slices.ContainsFunc(s.avoid, in.Equal) {
		s.u.warn("%s is skipped: a finding says that it ends the process or the machine", n.name)
		return false
	}
	s.inputs = append(s.inputs, in)
	return true
}

// withContexts is how many seeds get each context of the target file.
const withContexts = 16

// addContexts adds copies of the first seeds, of built-in ones where none are
// given, with each context.
func (s *seeds) addContexts(base []*corpus.Input, contexts [][]byte) {
	if len(contexts) == 0 {
		return
	}
	if len(base) == 0 {
		base = mutate.Seeds(s.shape)
	}
	for _, in := range base[:min(len(base), withContexts)] {
		for _, context := range contexts {
			in := in.Clone()
			for i := range in.Steps {
				in.Steps[i].Context = append([]byte(nil), context...)
			}
			s.inputs = append(s.inputs, in)
		}
	}
}
