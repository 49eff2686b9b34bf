package fuzztest

import (
	"context"
	"fmt"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/mutate"
	"github.com/bpffuzz/bpffuzz/triage"
)

// lane is a program whose inputs come from Go's engine.
type lane struct {
	*player
	trial *execution // judges before it is sure that a failure counts
	seen  *cover.Seen
	// What the last input was and gave. The outcome is valid until the program runs
	// again.
	in       *corpus.Input
	out      *corpus.Outcome
	compared []cover.Compared
	near     *near
	failing  bool // an input failed: the engine is likely to try parts of it
}

func newLane(p *player, f *testing.F) *lane {
	table := p.subject.target.Table()
	return &lane{
		player: p, trial: &execution{TB: f}, seen: cover.NewSeen(table.Len()),
		near: newNear(table),
	}
}

func (l *lane) shape() *corpus.Shape { return l.subject.target.Shape() }

// execute runs an input from the initial state, except for what cannot be put back.
func (l *lane) execute(ctx context.Context, given *corpus.Input) (err error) {
	l.in, _ = mutate.Adapt(l.shape(), given)
	l.compared = l.compared[:0]
	l.ran = true
	l.host.do(func(exec fuzz.Executor) {
		// Before the outcome, since both use the same memory.
		if comparer, ok := exec.(fuzz.Comparer); ok {
			if l.compared, err = comparer.Compare(ctx, l.in, l.compared); err != nil {
				return
			}
		}
		l.out, err = exec.Alone(ctx, l.in, costly)
	})
	return err
}

// appendFeatures appends what the last outcome covered and how near it came to more. The
// number of features is the same each time.
func (l *lane) appendFeatures(features []byte) []byte {
	return l.near.appendLevels(append(features, l.out.Cover...), l.compared)
}

// learn reports whether the last outcome covered what no earlier one of this process
// did.
func (l *lane) learn() bool {
	if l.seen.Merge(l.out.Cover) == 0 {
		return false
	}
	l.near.update(l.seen.Bytes())
	return true
}

// report judges the last outcome and reports what is wrong with it. Twin is what it is
// compared with, or nil.
func (l *lane) report(t *testing.T, twin *lane) {
	t.Helper()
	fresh := l.learn() || l.failing
	defer func() {
		if t.Failed() {
			l.failing = true
			l.describe(t, l.in)
		}
	}()
	if len(l.shape().Lasts()) == 0 || l.confirmed(t, twin) {
		if failure := l.judge.Every(l.in, l.out); failure != nil {
			l.fail(t, failure)
		}
		if l.fn != nil {
			l.fn(l.asT(t, twin), l.in, l.out)
		}
	}
	if !fresh || t.Failed() {
		return
	}
	failure, err := l.judge.Sampled(t.Context(), l.rerun, l.in)
	if err != nil {
		t.Fatalf("running program %s: %v", l.subject.name(), err)
	}
	if failure != nil {
		l.fail(t, failure)
	}
}

func (l *lane) fail(t *testing.T, failure *triage.Failure) {
	fmt.Fprintf(t.Output(), "%s\n", reason(failure.Oracle, failure.Error()))
	t.Fail()
}

func (l *lane) asT(tb testing.TB, twin *lane) *T {
	own := &T{TB: tb, shape: l.shape(), in: l.in, out: l.out, require: func(corpus.Have) {}}
	if twin != nil {
		own.twin = twin.out
	}
	return own
}

// confirmed reports whether anything is wrong with the outcome that is wrong as well
// where nothing of earlier inputs is left; the outcome is that one then.
func (l *lane) confirmed(t *testing.T, twin *lane) bool {
	t.Helper()
	if l.judge.Every(l.in, l.out) == nil && (l.fn == nil || l.trial.call(l.fn, l.asT(l.trial, twin), l.in, l.out) == nil) {
		return false
	}
	for _, again := range [...]*lane{l, twin} {
		if again == nil {
			continue
		}
		var err error
		if again.out, err = again.rerun(t.Context(), again.in, costly); err != nil {
			t.Fatalf("running program %s: %v", again.subject.name(), err)
		}
	}
	return true
}
