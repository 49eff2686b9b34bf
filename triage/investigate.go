package triage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

// DefaultMaxExecs is how many runs of the program minimisation may take. Most
// inputs need a few hundred, a packet of 1,500 bytes that all matter some 10,000.
const DefaultMaxExecs = 200_000

// Options says how to investigate. The zero value works, without a path.
type Options struct {
	// Program names the program in keys; "" means the shape's.
	Program string
	// Table resolves traces to source lines; nil leaves the path empty, so that a
	// key is made of oracle and program only.
	Table *cover.Table
	// Shape is what the minimised input has to obey; nil obeys nothing.
	Shape *corpus.Shape
	// MaxExecs bounds the runs of the program that minimisation takes; 0 means
	// DefaultMaxExecs, less than 0 not to minimise.
	MaxExecs int
	// StudyExecs bounds the runs that it takes to find out which parts of the minimised
	// input matter; 0 means DefaultStudyExecs, less than 0 not to.
	StudyExecs int
	// MaxTime bounds the time that minimisation takes; 0 means no bound.
	MaxTime time.Duration
	// Recreate makes programs and maps anew. It is called before each run that
	// confirms where the shape has maps whose contents cannot be put back; nil
	// where there is nothing to recreate.
	Recreate func(ctx context.Context) error
}

// Reasons why an investigation ends without a finding.
var (
	// ErrUnconfirmed means that the input alone does not fail often enough: what
	// failed depends on what ran before, or on chance.
	ErrUnconfirmed = errors.New("not confirmed from the initial state")
	// ErrKnown means that the failure's key is known; the error is a *KnownError.
	ErrKnown = errors.New("finding is known already")
)

// alone is recorded on each run of an investigation, besides what oracles need: a
// summary, the path, and a context that settles what a batch left open.
const alone = corpus.HaveRet | corpus.HavePacket | corpus.HaveContext | corpus.HaveCover | corpus.HaveTrace

// Investigate turns a failing input into a finding: it judges in alone, names the
// failure, confirms it, minimises in to one that fails in the same way, and
// measures how reliably that does. Known, which may be nil, is asked for the key
// of each failure of in until it denies one, which is then pursued; it is asked no
// more then. The error
// wraps ErrUnconfirmed or ErrKnown, or is one of rerun's or Recreate's.
//
// When ctx ends once the failure is confirmed, the smallest input so far is
// measured and returned with a note.
func Investigate(ctx context.Context, rerun Rerun, judge *Judge, in *corpus.Input, opts Options, known func(key string) bool) (*Finding, error) {
	v := newInvestigation(rerun, judge, opts)
	start, err := v.choose(ctx, in, known)
	if err != nil {
		return nil, err
	}
	if err := v.confirm(ctx, start); err != nil {
		return nil, err
	}
	if start, err = v.climb(ctx, start); err != nil {
		return nil, err
	}
	small, err := v.minimise(ctx, start)
	if err != nil {
		return nil, err
	}
	f, err := v.finding(context.WithoutCancel(ctx), small, in)
	if err == nil {
		v.studyInput(ctx, f)
	}
	return f, err
}

// investigation pursues one failure.
type investigation struct {
	rerun Rerun
	judge *Judge
	opts  Options

	oracle, key string
	attempts    int // runs until an input counts as not failing
	execs       int
	notes       []string
	// floor is the weight below which an input is no longer the failure, where the
	// oracle weighs outcomes.
	floor uint64
}

func newInvestigation(rerun Rerun, judge *Judge, opts Options) *investigation {
	if opts.Program == "" && opts.Shape != nil {
		opts.Program = opts.Shape.Program
	}
	if opts.MaxExecs == 0 {
		opts.MaxExecs = DefaultMaxExecs
	}
	v := &investigation{judge: judge, opts: opts, attempts: 1}
	v.rerun = func(ctx context.Context, in *corpus.Input, want corpus.Have) (*corpus.Outcome, error) {
		v.execs += max(len(in.Steps), 1)
		return rerun(ctx, in, want)
	}
	return v
}

// choose runs in alone, picks the first of its failures that is not known, and
// returns the input without the steps behind the failure. An input that does not
// fail gets as many chances as a failure that is confirmed by a hair's breadth needs.
func (v *investigation) choose(ctx context.Context, in *corpus.Input, known func(string) bool) (*corpus.Input, error) {
	if v.judge == nil {
		return nil, ErrUnconfirmed
	}
	for range confirmRuns - confirmFailing + 1 {
		heard, err := v.judge.hear(ctx, v.rerun, in, alone, "")
		if err != nil {
			return nil, err
		}
		for _, f := range heard.failures {
			v.oracle = f.Oracle
			prefix, out, err := v.prefix(ctx, in, heard.out)
			if err != nil {
				return nil, err
			}
			if v.key = v.keyOf(f, out); known == nil || !known(v.key) {
				return prefix, nil
			}
		}
		if len(heard.failures) > 0 {
			return nil, &KnownError{Key: v.key}
		}
	}
	return nil, ErrUnconfirmed
}

// prefix returns the shortest beginning of in that fails, with its outcome: what
// steps behind the failure do has no place in its name. Out is that of in itself.
func (v *investigation) prefix(ctx context.Context, in *corpus.Input, out *corpus.Outcome) (*corpus.Input, *corpus.Outcome, error) {
	for n := 1; n < len(in.Steps); n++ {
		short := &corpus.Input{Maps: in.Maps, Steps: in.Steps[:n]}
		if f, shortOut, err := v.look(ctx, short); err != nil || f != nil {
			return short.Clone(), shortOut, err
		}
	}
	return in, out, nil
}

// look runs in alone; the failure is nil when the oracle does not object.
func (v *investigation) look(ctx context.Context, in *corpus.Input) (*Failure, *corpus.Outcome, error) {
	heard, err := v.judge.hear(ctx, v.rerun, in, alone, v.oracle)
	if err != nil || len(heard.failures) == 0 {
		return nil, nil, err
	}
	return heard.failures[0], heard.out, nil
}

// same reports whether a failure with its outcome has the key that is pursued.
func (v *investigation) same(f *Failure, out *corpus.Outcome) bool {
	return v.keyOf(f, out) == v.key
}

// heavy reports whether an outcome is as bad as it has to be.
func (v *investigation) heavy(out *corpus.Outcome) bool {
	if v.floor == 0 {
		return true
	}
	return v.weigher()(out) >= v.floor
}

func (v *investigation) keyOf(f *Failure, out *corpus.Outcome) string {
	if place, ok := errors.AsType[sited](f.Err); ok {
		return keyAt(v.oracle, v.opts.Program, []string{place.site()})
	}
	return newKey(v.oracle, v.opts.Program, path(v.opts.Table, out))
}

// errBudget ends minimisation.
var errBudget = errors.New("no executions left")

// minimise returns the smallest input that fails with the same key.
func (v *investigation) minimise(ctx context.Context, in *corpus.Input) (*corpus.Input, error) {
	limit := v.execs + v.opts.MaxExecs
	if v.opts.MaxTime > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, v.opts.MaxTime)
		defer cancel()
	}
	small, err := Minimise(in, func(candidate *corpus.Input) (bool, error) {
		if v.opts.Shape != nil && v.opts.Shape.Check(candidate) != nil {
			return false, nil
		}
		for range v.attempts {
			if v.execs >= limit {
				return false, errBudget
			}
			if err := ctx.Err(); err != nil {
				return false, err
			}
			if f, out, err := v.look(ctx, candidate); err != nil || f != nil && v.same(f, out) && v.heavy(out) {
				return err == nil, err
			}
		}
		return false, nil
	})
	switch {
	case err == nil, v.opts.MaxExecs < 0:
	case errors.Is(err, errBudget):
		v.note("minimisation stopped after %d executions: a smaller input may exist", v.opts.MaxExecs)
	case ctx.Err() != nil:
		v.note("minimisation was interrupted: a smaller input may exist")
	default:
		return nil, err
	}
	return small, nil
}

// finding measures the minimised input and describes it; the original where
// minimisation made it unreliable.
func (v *investigation) finding(ctx context.Context, small, original *corpus.Input) (*Finding, error) {
	m, err := v.measure(ctx, small)
	if err != nil {
		return nil, err
	}
	if m.failing*confirmRuns < confirmFailing*measureRuns && !small.Equal(original) {
		v.note("the minimised input failed in %d of %d runs only: this is the original", m.failing, measureRuns)
		small = original
		if m, err = v.measure(ctx, original); err != nil {
			return nil, err
		}
	}
	if m.out == nil {
		return nil, fmt.Errorf("measuring: %w", ErrUnconfirmed)
	}
	if len(m.out.Trace) == 0 && len(m.out.Cover) > 0 {
		v.note("the kernel does not accept the variant of the program that orders edges: the path is in the order of the code")
	}
	v.noteCost(m.out)
	if m.failing < measureRuns {
		v.note("it fails in %d of %d runs from the initial state", m.failing, measureRuns)
	}
	f := &Finding{
		Key: v.key, Oracle: v.oracle, Title: m.failure.Error(), Program: v.opts.Program,
		Input: small, Original: original.Clone(), Entries: entries(v.opts.Shape, small),
		Steps: summarise(v.opts.Shape, small, m.out), Path: path(v.opts.Table, m.out), Events: m.out.Events,
		Reliability: m.failing, Runs: measureRuns, Executions: v.execs, Count: 1, Notes: v.notes,
	}
	if v.opts.Shape != nil {
		f.Type, f.Payload = v.opts.Shape.Type, v.opts.Shape.Payload
	}
	return f, nil
}

// Observe runs in alone and describes what it gave, as a finding without a failure:
// it has no key, title and reliability.
func Observe(ctx context.Context, rerun Rerun, in *corpus.Input, opts Options) (*Finding, error) {
	out, err := rerun(ctx, in, alone)
	if err != nil {
		return nil, err
	}
	f := &Finding{
		Program: opts.Program, Input: in, Steps: summarise(opts.Shape, in, out), Path: path(opts.Table, out),
		Events: out.Events, Executions: max(len(in.Steps), 1), Entries: entries(opts.Shape, in),
	}
	if opts.Shape != nil {
		f.Program, f.Type = opts.Shape.Program, opts.Shape.Type
	}
	return f, nil
}

func (v *investigation) note(format string, args ...any) {
	v.notes = append(v.notes, fmt.Sprintf(format, args...))
}
