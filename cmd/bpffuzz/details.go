package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf"
	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
	"github.com/bpffuzz/bpffuzz/triage/report/lines"
)

// asked is a target that somebody asks about while it is fuzzed.
type asked struct {
	dir string // its output directory
	// load returns the target to be run, and the flags that it comes from.
	load func() (*subject, *targetFlags, error)
}

// details answers what is asked about targets. What it takes to answer is taken from the
// fuzzing, so there is one answer in the making at a time, and answers are kept. It is safe
// for concurrent use.
type details struct {
	find func(target string) (*asked, error)
	turn chan struct{}

	mu      sync.Mutex
	answers map[string]*answered // by target
}

// newDetails returns details of targets that find finds. An error of find says in a line
// why nothing can be said of one yet.
func newDetails(find func(target string) (*asked, error)) *details {
	return &details{find: find, turn: make(chan struct{}, 1), answers: map[string]*answered{}}
}

// answered is what is known of a target.
type answered struct {
	frontier remembered[[]campaign.Blocked]
	code     remembered[*covered]
}

// covered is a program with what a corpus covers.
type covered struct {
	code   *bpf.Code
	by     *coverage
	report *lines.Report
}

// remembered is an answer for as long as it is as good as a new one: until the corpus has
// grown, and then for a while.
type remembered[T any] struct {
	value  T
	inputs int // in the corpus
	at     time.Time
}

// answeredFor is how long an answer is good enough while the corpus grows.
const answeredFor = 10 * time.Second

func (r *remembered[T]) get(dir string, make func() (T, error)) (T, error) {
	entries, err := os.ReadDir(filepath.Join(dir, "corpus"))
	if err != nil {
		return r.value, fmt.Errorf("reading the corpus: %w", err)
	}
	if !r.at.IsZero() && (r.inputs == len(entries) || time.Since(r.at) < answeredFor) {
		return r.value, nil
	}
	value, err := make()
	if err == nil {
		r.value, r.inputs, r.at = value, len(entries), time.Now()
	}
	return value, err
}

// about waits for its turn and has do answer.
func (d *details) about(ctx context.Context, target string, do func(*asked, *answered) error) error {
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	what, err := d.find(target)
	if err != nil {
		return err
	}
	d.mu.Lock()
	a := d.answers[target]
	if a == nil {
		a = &answered{}
		d.answers[target] = a
	}
	d.mu.Unlock()
	return do(what, a)
}

// Frontier implements campaign.Details.
func (d *details) Frontier(ctx context.Context, target string) (list []campaign.Blocked, err error) {
	err = d.about(ctx, target, func(what *asked, a *answered) (err error) {
		list, err = a.frontier.get(what.dir, func() ([]campaign.Blocked, error) {
			s, _, err := what.load()
			if err != nil {
				return nil, err
			}
			return blockedOf(ctx, s, what.dir)
		})
		return err
	})
	return list, err
}

// Source implements campaign.Details.
func (d *details) Source(ctx context.Context, target string) (report *lines.Report, err error) {
	err = d.about(ctx, target, func(what *asked, a *answered) error {
		c, err := a.code.get(what.dir, func() (*covered, error) { return coveredOf(ctx, what) })
		if err == nil {
			report = c.report
		}
		return err
	})
	return report, err
}

// Graph implements campaign.Details.
func (d *details) Graph(ctx context.Context, target string, w io.Writer) error {
	return d.about(ctx, target, func(what *asked, a *answered) error {
		c, err := a.code.get(what.dir, func() (*covered, error) { return coveredOf(ctx, what) })
		if err != nil {
			return err
		}
		picture, err := newShownCode(c.code, c.by).draw(true)
		if err == nil {
			_, err = w.Write(picture)
		}
		return err
	})
}

// coveredOf runs the corpus, each input alone, with an executor of its own.
func coveredOf(ctx context.Context, what *asked) (*covered, error) {
	s, flags, err := what.load()
	if err != nil {
		return nil, err
	}
	if flags.kernel.loaded() {
		return nil, errors.New("a program that is loaded already cannot be instrumented: there is no coverage of its source")
	}
	inputs, err := askedInputs(s, what.dir)
	if err != nil {
		return nil, err
	}
	all := make([]named, len(inputs))
	for i, in := range inputs {
		all[i] = named{name: fmt.Sprintf("input %d", i), in: in}
	}
	by, err := replayCoverage(ctx, s.target, all)
	if err != nil {
		return nil, err
	}
	code, err := flags.code(s.target.Shape().Program)
	if err != nil {
		return nil, err
	}
	return &covered{code, by, newCoverReport(code, by, newSources(flags.path(), nil))}, nil
}
