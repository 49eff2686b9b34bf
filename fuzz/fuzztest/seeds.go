package fuzztest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/mutate"
	"github.com/bpffuzz/bpffuzz/triage"
)

// Packets encodes packets for f.Add: they are the steps of one input, in order, with
// default contexts.
func Packets(packets ...[]byte) []byte {
	in := &corpus.Input{}
	for _, p := range packets {
		in.Steps = append(in.Steps, corpus.Step{Packet: p})
	}
	return corpus.Encode(in)
}

// seed is an input of f.Add or of testdata/fuzz.
type seed struct {
	name string
	in   *corpus.Input
}

// corpusDir is where go test looks for a fuzz target's saved inputs.
func corpusDir(name string) string { return filepath.Join("testdata", "fuzz", name) }

// readSeeds returns what f.Add was called with and what testdata/fuzz has. Errors read
// like those of package testing; nothing is moved or written.
func readSeeds(f *testing.F) ([]seed, error) {
	all, err := addedSeeds(f)
	if err != nil {
		return nil, err
	}
	dir := corpusDir(f.Name())
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading seed corpus from testdata: %w", err)
	}
	var malformed []error
	for _, e := range entries {
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		in, err := corpus.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			malformed = append(malformed, err)
			continue
		}
		all = append(all, seed{e.Name(), in})
	}
	return all, errors.Join(malformed...)
}

// addedSeeds returns what f.Add was called with. Package testing has no other way to
// it than to look into f.
func addedSeeds(f *testing.F) (all []seed, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("this version of Go hides what f.Add was called with (%v): use Target.Seeds instead", p)
		}
	}()
	added := reflect.ValueOf(f).Elem().FieldByName("corpus")
	for i := range added.Len() {
		values := added.Index(i).FieldByName("Values")
		if values.Len() != 1 || values.Index(0).Elem().Type() != reflect.TypeFor[[]byte]() {
			return nil, fmt.Errorf("wrong type in f.Add: seed#%d is not a single []byte, see fuzztest.Packets", i)
		}
		all = append(all, seed{fmt.Sprintf("seed#%d", i), corpus.Decode(values.Index(0).Elem().Bytes())})
	}
	return all, nil
}

// readCache opens a fuzz target's part of Go's fuzz cache. As for Go's engine, files
// there that cannot be read are left alone.
func readCache(cache, name string, note func(string)) (*corpus.Dir, []*corpus.Input, error) {
	dir, err := corpus.OpenDir(filepath.Join(cache, name))
	if err != nil {
		return nil, nil, err
	}
	entries, err := os.ReadDir(dir.Path())
	if err != nil {
		return nil, nil, fmt.Errorf("reading the fuzz cache: %w", err)
	}
	var inputs []*corpus.Input
	unreadable := 0
	for _, e := range entries {
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		in, err := corpus.ReadFile(filepath.Join(dir.Path(), e.Name()))
		if err != nil {
			unreadable++
			continue
		}
		inputs = append(inputs, in)
	}
	if unreadable > 0 {
		note(fmt.Sprintf("%d files of the fuzz cache %s cannot be read and are left out", unreadable, dir.Path()))
	}
	return dir, inputs, nil
}

// engineSeeds returns what the engine starts from, as far as the program takes it.
func (s *session) engineSeeds(sub *subject) ([]*corpus.Input, error) {
	named, err := sub.seeds()
	if err != nil {
		return nil, err
	}
	all := make([]*corpus.Input, 0, len(s.seeds)+len(named)+len(s.cached))
	refused := 0
	add := func(in *corpus.Input) {
		fitted, err := mutate.Fit(sub.target.Shape(), in)
		if err != nil {
			refused++
			return
		}
		all = append(all, fitted)
	}
	for _, seed := range s.seeds {
		add(seed.in)
	}
	for _, in := range append(named, s.cached...) {
		add(in)
	}
	if refused > 0 {
		s.send.send(refusedNote(sub, refused))
	}
	return all, nil
}

func refusedNote(sub *subject, n int) message {
	return message{Note: fmt.Sprintf("%d saved inputs are left out: program %s does not take them (any more)", n, sub.name())}
}

// testSeeds runs the seeds of f.Add and testdata/fuzz, each alone. The first that
// fails is sent, and the error is errFailed then.
func (s *session) testSeeds(ctx context.Context, sub *subject, j *judged) error {
	if len(s.seeds) == 0 {
		return nil
	}
	done := make(chan error)
	go func() { done <- s.testSeedsHere(ctx, sub, j) }() // executors lock their goroutine to a thread
	return <-done
}

func (s *session) testSeedsHere(ctx context.Context, sub *subject, j *judged) (err error) {
	exec, err := j.NewExecutor(0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, exec.Close()) }()
	for _, seed := range s.seeds {
		in, err := mutate.Fit(sub.target.Shape(), seed.in)
		if err != nil || ctx.Err() != nil {
			continue
		}
		failure, err := sub.judge().Sampled(ctx, exec.Alone, in)
		if err != nil {
			return err
		}
		if failure != nil {
			return s.sendSeed(ctx, sub, seed, exec.Alone, failure)
		}
	}
	return nil
}

func (s *session) sendSeed(ctx context.Context, sub *subject, seed seed, rerun triage.Rerun, failure *triage.Failure) error {
	f := &failing{Text: reason(failure.Oracle, failure.Error()), Seed: seed.name}
	in, err := mutate.Fit(sub.target.Shape(), seed.in)
	if err == nil {
		f.Details, err = describe(ctx, sub, rerun, in)
	}
	s.send.send(message{Failure: f})
	return errors.Join(err, errFailed)
}
