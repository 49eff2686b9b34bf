package fuzztest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/mutate"
	"github.com/bpffuzz/bpffuzz/triage"
	"github.com/bpffuzz/bpffuzz/triage/report"
)

// Descriptors that a process that works inherits.
const (
	fdMessages = 3 + iota // messages are written here
	fdControl             // ends when the run is to end
	fdFlights             // memory for flights
)

// workerMark is set in the environment of a process that works for coordinate: those
// that Go's own engine starts have the same flags and do not have it. It is workerAll
// or, for a process that runs again what ended another one, the index of its flight.
const (
	workerMark = "BPFFUZZ_FUZZTEST_WORKER"
	workerAll  = "all"
)

// errFailed ends a run whose failure was sent.
var errFailed = errors.New("an input fails")

// work fuzzes in a process that coordinate started.
func work(f *testing.F, targets []Target, fn Func, compare Compare) {
	defer fuzzed(f)
	send := newSender(os.NewFile(fdMessages, "messages"))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop) // a second interrupt is not caught
	go func() {                  // the other side closes it, or is gone
		_, _ = io.Copy(io.Discard, os.NewFile(fdControl, "control"))
		stop()
	}()
	w := &session{f: f, fn: fn, compare: compare, send: send}
	if err := w.run(ctx, targets); err != nil && !errors.Is(err, errFailed) {
		send.send(message{Error: err.Error()})
	}
	send.send(message{Done: true})
}

// session is all that one process fuzzes.
type session struct {
	f        *testing.F
	fn       Func
	compare  Compare // takes the place of fn; the two programs are others to each other
	send     *sender
	flags    flags
	flights  []*flight
	cache    *corpus.Dir // nil for none
	seeds    []seed
	cached   []*corpus.Input // of the cache, and what was found since
	known    map[string]bool // names of these
	fresh    atomic.Int64    // how many are new
	traced   atomic.Bool
	saved    bool     // a failing input was
	progress progress // of the programs that were fuzzed before
}

func (s *session) run(ctx context.Context, targets []Target) (err error) {
	if s.flags, err = readFlags(); err != nil {
		return err
	}
	if err := s.openCache(); err != nil {
		return err
	}
	if s.seeds, err = readSeeds(s.f); err != nil {
		return err
	}
	var subjects []*subject
	for i := range targets {
		sub, err := load(&targets[i])
		if err != nil {
			return err
		}
		subjects = append(subjects, sub)
	}
	if s.compare != nil {
		subjects[0].other, subjects[1].other = subjects[1], subjects[0]
		subjects[1].swapped = true
	}
	if err := s.mapFlights(subjects); err != nil {
		return err
	}
	if n, err := strconv.Atoi(os.Getenv(workerMark)); err == nil {
		return s.retry(ctx, subjects, n)
	}
	if s.flags.limit.time > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.flags.limit.time)
		defer cancel()
	}
	defer context.AfterFunc(ctx, func() { s.send.send(message{Ending: true}) })()
	return takeTurns(ctx, subjects, s.flags.limit, s.fuzz)
}

// retry calls the Func with the input of a flight, on each program that takes it. It
// is not expected to return.
func (s *session) retry(ctx context.Context, subjects []*subject, n int) error {
	if n < 0 || n >= len(s.flights) {
		return fmt.Errorf("running input %d again: there are %d", n, len(s.flights))
	}
	in := s.flights[n].pending()
	s.flights = nil
	for _, sub := range subjects {
		s.seeds = []seed{{"", in}}
		if err := s.testSeeds(ctx, sub, s.judged(sub)); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) mapFlights(subjects []*subject) (err error) {
	if os.Getenv(workerMark) != workerAll { // they are there, and in use
		s.flights, err = mapFlights(os.NewFile(fdFlights, "flights"), s.flags.workers, 0)
		return err
	}
	room := 0
	for _, sub := range subjects {
		room = max(room, encodedRoom(sub.target.Shape()))
	}
	s.flights, err = mapFlights(os.NewFile(fdFlights, "flights"), s.flags.workers, room)
	return err
}

// fuzz fuzzes one program.
func (s *session) fuzz(ctx context.Context, sub *subject, until limit) error {
	j := s.judged(sub)
	seeds, err := s.engineSeeds(sub)
	if err != nil {
		return err
	}
	for _, note := range sub.notes {
		s.send.send(message{Note: note})
	}
	if err := s.testSeeds(ctx, sub, j); err != nil {
		return err
	}
	opts := s.options(sub, until)
	opts.Seeds = seeds
	seeded := len(seeds) + len(mutate.Seeds(sub.target.Shape()))
	s.send.send(message{Baseline: &baseline{0, seeded, s.flags.workers}})
	j.started = func() {
		s.send.send(message{Baseline: &baseline{seeded, seeded, s.flags.workers}})
	}
	if until.time > 0 { // here, since the Func has to be told as well
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, until.time)
		defer cancel()
	}
	defer context.AfterFunc(ctx, func() { j.stopped.Store(true) })()
	opts.Progress = func(stats fuzz.Stats) { s.report(&stats) }
	result, err := fuzz.Run(ctx, j, opts)
	if err != nil {
		return err
	}
	s.report(&result.Stats)
	s.progress.Execs += result.Stats.Execs
	if len(result.Findings) > 0 {
		return errFailed
	}
	return nil
}

func (s *session) judged(sub *subject) *judged {
	j := &judged{
		Target: sub.target, fn: s.fn,
		tb:      func(int) *execution { return &execution{TB: s.f} },
		flights: s.flight,
		investigating: func() {
			if !s.traced.Swap(true) {
				s.send.send(message{Investigating: true})
			}
		},
	}
	if s.compare != nil {
		j.other, j.fn = sub.other.target, s.compare.asFunc(sub.swapped)
	}
	j.switched = func() {
		s.send.send(message{Note: fmt.Sprintf("%s: the function reads maps, contexts or durations: one BPF_PROG_RUN call for each execution", sub.name())})
	}
	j.require(sub.given.Need)
	if sub.other != nil {
		j.require(sub.other.given.Need)
	}
	return j
}

// flight returns that of a worker; nil where an input is run again.
func (s *session) flight(worker int) *flight {
	if worker >= len(s.flights) {
		return nil
	}
	return s.flights[worker]
}

func (s *session) options(sub *subject, until limit) fuzz.Options {
	seed := sub.given.Seed
	if seed == 0 {
		seed = rand.Uint64()
	}
	shape := sub.target.Shape()
	s.send.send(message{Note: fmt.Sprintf("%s (%s): %d edges, seed %d", shape.Program, shape.Type, sub.target.Table().Observable(), seed)})
	opts := fuzz.Options{
		Workers: s.flags.workers, Seed: seed, Execs: until.execs,
		Mutate: mutate.Options{Dictionary: sub.given.Dictionary, Operators: sub.given.Operators},
		Judge:  sub.judge(), StopOnFinding: true,
		Triage: triage.Options{Table: sub.target.Table(), Shape: shape, MaxTime: s.flags.minimize.time, MaxExecs: int(s.flags.minimize.execs), StudyExecs: -1},
		Report: func(found *triage.Finding) error { return s.sendFinding(sub, found) },
		Warn:   func(err error) { s.send.send(message{Note: err.Error()}) },
	}
	if s.flags.minimize == (limit{}) { // -fuzzminimizetime 0
		opts.Triage.MaxExecs = -1
	}
	opts.Keep = s.keep
	return opts
}

// keep stores what is worth keeping, as fuzz.Options has it.
func (s *session) keep(inputs ...*corpus.Input) error {
	for _, in := range inputs {
		name := corpus.FileName(corpus.MarshalFile(in))
		if s.known[name] {
			continue
		}
		s.known[name] = true
		s.cached = append(s.cached, in)
		s.fresh.Add(1)
	}
	if s.cache == nil {
		return nil
	}
	return s.cache.Add(inputs...)
}

func (s *session) sendFinding(sub *subject, found *triage.Finding) error {
	text := reason(found.Oracle, found.Title)
	details := fmt.Sprintf("\nprogram %s (%s)\n\n", found.Program, found.Type) + report.Body(found)
	for _, note := range found.Notes {
		details += "\nnote: " + note
	}
	if s.saved {
		return nil // another worker was at it when the first failure ended the run
	}
	s.saved = true
	path, err := save(s.f.Name(), found.Input)
	s.send.send(message{Failure: &failing{Text: text, Details: details, Path: path}})
	return err
}

// reason says what an oracle objects to. Functions and invariants say who they are.
func reason(oracle, text string) string {
	if oracle == funcName || strings.HasPrefix(oracle, "invariant-") {
		return text
	}
	return oracle + ": " + text
}

func (s *session) report(stats *fuzz.Stats) {
	s.send.send(message{Progress: &progress{
		Execs: s.progress.Execs + stats.Execs, Interesting: int(s.fresh.Load()), All: stats.Corpus,
		Edges: stats.Edges, Observable: stats.Total, Unconfirmed: stats.Unconfirmed,
	}})
}

// openCache opens what Go's engine has for this fuzz target and reads it.
func (s *session) openCache() error {
	s.known = map[string]bool{}
	if s.flags.cache == "" {
		return nil
	}
	var err error
	s.cache, s.cached, err = readCache(s.flags.cache, s.f.Name(), func(text string) { s.send.send(message{Note: text}) })
	for _, in := range s.cached {
		s.known[corpus.FileName(corpus.MarshalFile(in))] = true
	}
	return err
}
