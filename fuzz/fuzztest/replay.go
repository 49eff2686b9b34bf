package fuzztest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf"
	"github.com/bpffuzz/bpffuzz/mutate"
	"github.com/bpffuzz/bpffuzz/triage"
	"github.com/bpffuzz/bpffuzz/triage/report"
)

// Require is the environment variable that, set to anything but 0, makes a fuzz target
// fail where it would be skipped since privileges or features of the kernel are missing.
const Require = "BPFFUZZ_REQUIRE"

// skip ends a fuzz target that cannot run here.
func skip(f *testing.F, reason string) {
	f.Helper()
	if value := os.Getenv(Require); value != "" && value != "0" {
		f.Fatalf("%s (%s is set, so this is a failure)", reason, Require)
	}
	f.Skip(reason)
}

// lacking reports whether an error of loading says that this machine cannot run the
// program, rather than that something is wrong with it.
func lacking(err error) bool {
	var rejected *bpf.RejectedError
	if errors.As(err, &rejected) {
		return false
	}
	return errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, ebpf.ErrNotSupported)
}

// replay runs the seeds and what testdata/fuzz has as subtests.
func replay(f *testing.F, targets []Target, fn Func, compare Compare) {
	f.Helper()
	if what := missing(); what != "" {
		skip(f, what)
	}
	players, err := openPlayers(f, targets, fn, compare)
	if err != nil && lacking(err) {
		skip(f, err.Error())
	}
	if err != nil {
		f.Fatal(err)
	}
	if players[0].native {
		addNativeSeeds(f, newLanes(f, players))
	} else {
		addSeeds(f, players)
	}
	f.Fuzz(func(t *testing.T, encoded []byte) {
		in := corpus.Decode(encoded)
		if len(players) == 1 {
			players[0].play(t, in)
			return
		}
		for _, p := range players {
			t.Run(p.subject.name(), func(t *testing.T) { p.play(t, in) })
		}
	})
}

// openPlayers loads the programs, which are closed with the fuzz target.
func openPlayers(f *testing.F, targets []Target, fn Func, compare Compare) (players []*player, err error) {
	f.Helper()
	for i := range targets {
		p, err := newPlayer(&targets[i], fn)
		if err != nil {
			return nil, err
		}
		f.Cleanup(func() {
			if err := p.host.close(); err != nil {
				f.Errorf("closing program %q: %v", p.subject.name(), err)
			}
		})
		p.native = targets[0].Native
		players = append(players, p)
	}
	if compare != nil {
		players[0].other, players[0].fn = players[1], compare.asFunc(false)
	}
	return players, nil
}

// addSeeds adds the seeds that targets name.
func addSeeds(f *testing.F, players []*player) {
	f.Helper()
	for _, p := range players {
		seeds, err := p.subject.seeds()
		if err != nil {
			f.Fatal(err)
		}
		for _, note := range p.subject.notes {
			f.Log(note)
		}
		for _, in := range seeds {
			f.Add(corpus.Encode(in))
		}
	}
}

// player runs inputs one by one, each from the initial state.
type player struct {
	subject *subject
	fn      Func
	other   *player // what it is compared with; nil for nothing
	judge   *triage.Judge
	host    *host
	ran     bool
	native  bool // inputs are those of Go's engine
}

func newPlayer(given *Target, fn Func) (*player, error) {
	s, err := load(given)
	if err != nil {
		return nil, err
	}
	h, err := newHost(s.target, 0)
	if err != nil {
		return nil, err
	}
	return &player{subject: s, fn: fn, judge: s.judge(), host: h}, nil
}

// rerun implements triage.Rerun, with everything recorded.
func (p *player) rerun(ctx context.Context, in *corpus.Input, want corpus.Have) (out *corpus.Outcome, err error) {
	p.host.do(func(exec fuzz.Executor) {
		if p.ran && len(p.subject.target.Shape().Lasts()) > 0 {
			if err = exec.Recreate(ctx); err != nil {
				return
			}
		}
		p.ran = true
		out, err = exec.Alone(ctx, in, want|costly)
	})
	return out, err
}

// fit makes an input one that the program takes. Go's engine makes any bytes: what it
// found runs again as it ran there.
func (p *player) fit(given *corpus.Input) (*corpus.Input, error) {
	if p.native {
		in, _ := mutate.Adapt(p.subject.target.Shape(), given)
		return in, nil
	}
	return mutate.Fit(p.subject.target.Shape(), given)
}

// play runs an input as a test.
func (p *player) play(t *testing.T, given *corpus.Input) {
	in, err := p.fit(given)
	if err != nil {
		t.Skipf("program %s does not take this input any more: %v", p.subject.name(), err)
	}
	defer func() {
		if t.Failed() {
			p.describe(t, in)
		}
	}()
	failure, err := p.judge.Sampled(t.Context(), p.rerun, in)
	if err != nil {
		t.Fatalf("running program %s: %v", p.subject.name(), err)
	}
	if failure != nil {
		fmt.Fprintf(t.Output(), "%s\n", reason(failure.Oracle, failure.Error()))
		t.Fail()
	}
	if p.fn != nil {
		p.call(t, in)
	}
}

// call calls the Func with an input and its outcome.
func (p *player) call(t *testing.T, in *corpus.Input) {
	out, err := p.rerun(t.Context(), in, costly)
	if err != nil {
		t.Fatalf("running program %s: %v", p.subject.name(), err)
	}
	own := &T{TB: t, shape: p.subject.target.Shape(), in: in, out: out, require: func(corpus.Have) {}}
	if p.other != nil && p.other.subject.target.Shape().Check(in) == nil {
		if own.twin, err = p.other.rerun(t.Context(), in, costly); err != nil {
			t.Fatalf("running program %s: %v", p.other.subject.name(), err)
		}
	}
	p.fn(own, in, out)
}

// describe shows the input, what became of it, and the way it took.
func (p *player) describe(t *testing.T, in *corpus.Input) {
	text, err := describe(context.Background(), p.subject, p.rerun, in)
	if err != nil {
		t.Logf("running program %s to describe the failure: %v", p.subject.name(), err)
		return
	}
	fmt.Fprintln(t.Output(), text)
}

func describe(ctx context.Context, s *subject, rerun triage.Rerun, in *corpus.Input) (string, error) {
	seen, err := triage.Observe(ctx, rerun, in, triage.Options{Table: s.target.Table(), Shape: s.target.Shape()})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("\nprogram %s (%s)\n\n", seen.Program, seen.Type) + report.Body(seen), nil
}
