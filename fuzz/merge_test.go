package fuzz

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

// letters is a toy with an edge for each letter that a packet has behind its header.
func letters() *toy {
	return newToy(26, func(r *toyRun, packet []byte) uint32 {
		for _, c := range packet[14:] {
			if c >= 'a' && c <= 'z' {
				r.hit(int(c - 'a'))
			}
		}
		return 2
	})
}

// textInputs makes an input of each text, with a step for each word.
func textInputs(texts ...string) []*corpus.Input {
	var all []*corpus.Input
	for _, text := range texts {
		in := &corpus.Input{}
		for word := range splitWords(text) {
			in.Steps = append(in.Steps, corpus.Step{Packet: append(make([]byte, 14), word...)})
		}
		all = append(all, in)
	}
	return all
}

func splitWords(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for len(text) > 0 {
			n := slices.Index([]byte(text+" "), ' ')
			if !yield(text[:n]) {
				return
			}
			text = text[min(n+1, len(text)):]
		}
	}
}

func textsOf(all []*corpus.Input) (texts []string) {
	for _, in := range all {
		text := ""
		for i := range in.Steps {
			if i > 0 {
				text += " "
			}
			text += string(in.Steps[i].Packet[14:])
		}
		texts = append(texts, text)
	}
	return texts
}

func TestMerge(t *testing.T) {
	for _, test := range []struct {
		name  string
		texts []string
		want  []string
		edges int
	}{
		{"nothing", nil, nil, 0},
		{"nothing covered", []string{"..", "..."}, nil, 0},
		{"the shorter of two", []string{"aaab", "ab"}, []string{"ab"}, 2},
		{"one step in place of two", []string{"a b", "ab"}, []string{"ab"}, 2},
		{"two for one that is long", []string{"ab" + string(make([]byte, 170)), "a", "b"}, []string{"a", "b"}, 2},
		{"one for many", []string{"a", "b", "c", "d", "abcd"}, []string{"abcd"}, 4},
		{"duplicates", []string{"ab", "ab", "ab"}, []string{"ab"}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			inputs := textInputs(test.texts...)
			merged, err := Merge(t.Context(), letters(), slices.Values(inputs), MergeOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if got := textsOf(merged.Inputs); !slices.Equal(got, test.want) {
				t.Errorf("merged to %q, want %q", got, test.want)
			}
			if merged.Before.Edges != test.edges || merged.After != merged.Before {
				t.Errorf("covered %+v before and %+v after, want %d edges", merged.Before, merged.After, test.edges)
			}
			if merged.Read != len(inputs) || len(merged.Missed)+len(merged.Unstable) > 0 {
				t.Errorf("read %d inputs, missed %v, unstable %v", merged.Read, merged.Missed, merged.Unstable)
			}
		})
	}
}

// TestMergeFollowsFromItsInputs merges the same inputs with different workers, in
// different orders and with little memory.
func TestMergeFollowsFromItsInputs(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var texts []string
	for range 2000 {
		b := make([]byte, 1+rng.IntN(12))
		for i := range b {
			b[i] = 'a' + byte(min(rng.IntN(30), rng.IntN(30)))
		}
		texts = append(texts, string(b))
	}
	inputs := textInputs(texts...)
	merge := func(opts MergeOptions) *Merged {
		merged, err := Merge(t.Context(), letters(), slices.Values(inputs), opts)
		if err != nil {
			t.Fatal(err)
		}
		return merged
	}
	first := merge(MergeOptions{})
	for range 3 {
		rng.Shuffle(len(inputs), func(i, j int) { inputs[i], inputs[j] = inputs[j], inputs[i] })
		again := merge(MergeOptions{Workers: 4})
		if !slices.EqualFunc(first.Inputs, again.Inputs, (*corpus.Input).Equal) {
			t.Errorf("with more workers and in another order %q, not %q", textsOf(again.Inputs), textsOf(first.Inputs))
		}
	}
	if little := merge(MergeOptions{Memory: 4096}); little.After != first.After || first.After.Edges != 26 {
		t.Errorf("with little memory %+v is covered, else %+v", little.After, first.After)
	}
}

func TestMergeKeepsWhatComesNearest(t *testing.T) {
	target := newToy(3, func(r *toyRun, packet []byte) uint32 {
		r.hit(0)
		r.compare(0, binary.BigEndian.Uint64(packet[14:]), 1000)
		return 2
	}).comparing(cover.Comparison{Relation: cover.Equal})
	number := func(n uint64) *corpus.Input {
		return &corpus.Input{Steps: []corpus.Step{{Packet: binary.BigEndian.AppendUint64(make([]byte, 14), n)}}}
	}
	for _, test := range []struct {
		name          string
		numbers, want []uint64
		tally         cover.Tally
	}{
		{"never equal", []uint64{1 << 40, 1001, 900, 5}, []uint64{1001}, cover.Tally{Edges: 2, Ways: 1, Near: 1}},
		{"equal once", []uint64{1 << 40, 1001, 1000, 5}, []uint64{5, 1000}, cover.Tally{Edges: 3, Ways: 2}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var inputs []*corpus.Input
			for _, n := range test.numbers {
				inputs = append(inputs, number(n))
			}
			merged, err := Merge(t.Context(), target, slices.Values(inputs), MergeOptions{})
			if err != nil {
				t.Fatal(err)
			}
			var got []uint64
			for _, in := range merged.Inputs {
				got = append(got, binary.BigEndian.Uint64(in.Steps[0].Packet[14:]))
			}
			if !slices.Equal(got, test.want) || merged.After != test.tally {
				t.Errorf("merged to %d with %+v, want %d with %+v", got, merged.After, test.want, test.tally)
			}
		})
	}
}

// TestMergeSaysWhatIsUnstable has edges that depend on how often the program ran.
func TestMergeSaysWhatIsUnstable(t *testing.T) {
	var runs atomic.Int64
	target := newToy(4, func(r *toyRun, packet []byte) uint32 {
		r.hit(0)
		switch n := runs.Add(1); {
		case packet[14] == 'a' && n == 1:
			r.hit(1) // never again
		case packet[14] == 'b' && n%2 == 0, packet[14] == 'c':
			r.hit(2) // at times, or always
		case packet[14] == 'd' && n%2 == 1:
			r.hit(3) // at times only
		}
		return 2
	})
	merged, err := Merge(t.Context(), target, slices.Values(textInputs("a", "b", "cccc", "d")), MergeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := textsOf(merged.Inputs), []string{"a", "d", "cccc"}; !slices.Equal(got, want) {
		t.Errorf("merged to %q, want %q: what had something once is kept, what always has it is preferred", got, want)
	}
	if !slices.Equal(merged.Unstable, []int{8, 24}) || !slices.Equal(merged.Missed, []int{8}) {
		t.Errorf("unstable %v, want bits 8 and 24; missed %v, want 8", merged.Unstable, merged.Missed)
	}
	if merged.Before.Edges != 4 || merged.After.Edges != 3 {
		t.Errorf("%d edges before and %d after, want 4 and 3", merged.Before.Edges, merged.After.Edges)
	}
}

func TestMergeEnds(t *testing.T) {
	broken := errors.New("broken")
	for _, test := range []struct {
		name   string
		target func(*atomic.Int64, func()) Target
		inputs func() iter.Seq[*corpus.Input]
		want   error
	}{
		{"when it is interrupted", func(runs *atomic.Int64, stop func()) Target {
			return newToy(1, func(r *toyRun, _ []byte) uint32 {
				if runs.Add(1) == 300 {
					stop()
				}
				return 2
			})
		}, endless, context.Canceled},
		{"when a run fails", func(runs *atomic.Int64, _ func()) Target {
			return &failing{toy: newToy(1, func(*toyRun, []byte) uint32 { return 2 }), after: 300, runs: runs, err: broken}
		}, endless, broken},
		{"when an input is none of the target's", func(*atomic.Int64, func()) Target { return letters() }, func() iter.Seq[*corpus.Input] {
			return slices.Values([]*corpus.Input{{Steps: make([]corpus.Step, 5)}})
		}, errAny},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var runs atomic.Int64
			merged, err := Merge(ctx, test.target(&runs, stop), test.inputs(), MergeOptions{Workers: 3})
			if merged != nil || err == nil || test.want != errAny && !errors.Is(err, test.want) {
				t.Errorf("Merge = %v, %v; want error %v", merged, err, test.want)
			}
		})
	}
}

var errAny = errors.New("any")

func endless() iter.Seq[*corpus.Input] {
	return func(yield func(*corpus.Input) bool) {
		for n := uint64(0); yield(textInputs(fmt.Sprint(n))[0]); n++ {
		}
	}
}

// failing is a target whose executors fail after some runs.
type failing struct {
	*toy
	after int64
	runs  *atomic.Int64
	err   error
}

func (t *failing) NewExecutor(n int) (Executor, error) {
	e, err := t.toy.NewExecutor(n)
	return &failingExecutor{e, t}, err
}

type failingExecutor struct {
	Executor
	target *failing
}

func (e *failingExecutor) Alone(ctx context.Context, in *corpus.Input, want corpus.Have) (*corpus.Outcome, error) {
	if e.target.runs.Add(1) > e.target.after {
		return nil, e.target.err
	}
	return e.Executor.Alone(ctx, in, want)
}
