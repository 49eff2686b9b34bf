package bpf

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/mutate"
)

var _ fuzz.Scorer = (*batchExecutor)(nil)

// scoreOf is what a score should be.
func scoreOf(c *cover.Comparison, a, b uint64) uint64 {
	if c.Size == 4 {
		a, b = uint64(uint32(a)), uint64(uint32(b))
	}
	switch c.Relation {
	case cover.Equal, cover.NotEqual:
		return a ^ b
	case cover.AnyBit:
		return a & b
	}
	less := cover.Comparison{Relation: cover.Less, Size: c.Size, Signed: c.Signed}
	if c.Size == 4 && c.Signed {
		a, b = uint64(int64(int32(a))), uint64(int64(int32(b)))
	}
	if less.Holds(a, b) {
		return b - a
	}
	return a - b
}

func TestScoresOfEveryJump(t *testing.T) {
	needBatches(t)
	target, err := NewTarget(FromSpec("jumps.o", everyJump()), Options{})
	if err != nil {
		t.Fatal(err)
	}
	sites := target.table.Comparisons
	isolated(t, func() {
		b := mustBatch(t, target)
		rng := rand.New(rand.NewPCG(1, 2))
		scores, want := make([]fuzz.Score, len(sites)), make([]fuzz.Score, len(sites))
		for i := range want {
			scores[i].Distance, want[i].Distance = ^uint64(0), ^uint64(0)
		}
		scores[1].Distance, want[1].Distance = 0, 0 // of no interest
		for range 3 {
			for i := range want {
				want[i].Input = -1
			}
			b.batch.Reset()
			for n := 0; ; n++ {
				in := b.batch.Next()
				if in == nil {
					break
				}
				packet := make([]byte, 60)
				x, y := rng.Uint64()>>(rng.Uint32()%64), -(rng.Uint64() >> (rng.Uint32() % 64))
				binary.NativeEndian.PutUint64(packet, x)
				binary.NativeEndian.PutUint64(packet[8:], y)
				in.CopyFrom(&corpus.Input{Steps: []corpus.Step{{Packet: packet}}})
				b.batch.Commit()
				for i := range sites {
					second := y
					if sites[i].Constant {
						second = sites[i].B.Value
					}
					if d := scoreOf(&sites[i], x, second); !sites[i].Length && d < want[i].Distance {
						want[i] = fuzz.Score{Distance: d, Input: n}
					}
				}
			}
			if err := b.Score(t.Context(), scores); err != nil {
				t.Fatal(err)
			}
			if scored, short, err := b.Scored(); err != nil || short != "" || len(scored) != len(sites)-1 {
				t.Fatalf("%d of %d comparisons are scored, %v", len(scored), len(sites), err)
			}
			for i := range want {
				if scores[i] != want[i] {
					t.Errorf("%+v: score %+v, want %+v", sites[i], scores[i], want[i])
				}
			}
		}
	})
}

// TestScoringChangesNothing: outcomes and coverage are those of a batch without
// scores, in programs that others wrote.
func TestScoringChangesNothing(t *testing.T) {
	needBatches(t)
	total, scored := 0, 0
	for _, pattern := range []string{"../../examples/*/*.o", "/usr/lib/*/bpf/*.o"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			obj, err := Open(path)
			if err != nil {
				continue
			}
			for _, name := range programNames(obj.spec) {
				t.Run(filepath.Base(path)+"/"+name, func(t *testing.T) {
					target, err := NewTarget(obj, Options{Program: name, MaxSteps: 1})
					if err != nil || len(target.shape.Chance) > 0 {
						t.Skipf("not loaded, or asks for time: %.100v", err)
					}
					isolated(t, func() {
						n := scoresAlike(t, mustBatch(t, target))
						total, scored = total+len(target.table.Comparisons), scored+n
					})
				})
			}
		}
	}
	t.Logf("%d of %d comparisons are scored", scored, total)
	if scored == 0 {
		t.Error("nothing is scored")
	}
}

func scoresAlike(t *testing.T, b *batchExecutor) int {
	t.Helper()
	mut, seeds := mutate.New(b.target().shape, mutate.Options{Seed: 5}), mutate.Seeds(b.target().shape)
	scores := make([]fuzz.Score, len(b.target().table.Comparisons))
	for i := range scores {
		scores[i].Distance = ^uint64(0)
	}
	for range 3 {
		b.batch.Reset()
		for i := 0; ; i++ {
			in := b.batch.Next()
			if in == nil {
				break
			}
			mut.Mutate(in, seeds[i%len(seeds)], nil)
			b.batch.Commit()
		}
		if err := b.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		var want []string
		for i := range b.batch.Outcomes() {
			want = append(want, outcomeText(&b.batch.Outcomes()[i]))
		}
		covered := bytes.Clone(b.Cover())
		if err := b.Score(t.Context(), scores); err != nil {
			t.Fatal(err)
		}
		for i := range b.batch.Outcomes() {
			if got := outcomeText(&b.batch.Outcomes()[i]); got != want[i] {
				t.Fatalf("slot %d: with scores %.200s, without %.200s", i, got, want[i])
			}
		}
		if !bytes.Equal(b.Cover(), covered) {
			t.Errorf("with scores a batch covers\n%x, without\n%x", b.Cover(), covered)
		}
	}
	sites, _, err := b.Scored()
	if err != nil {
		t.Fatal(err)
	}
	return len(sites)
}

func TestScoreDoesNotAllocate(t *testing.T) {
	needBatches(t)
	target := exampleTarget(t, "firewall")
	isolated(t, func() {
		b := mustBatch(t, target)
		mut, seeds := mutate.New(target.shape, mutate.Options{}), mutate.Seeds(target.shape)
		scores := make([]fuzz.Score, len(target.table.Comparisons))
		round := func() {
			b.batch.Reset()
			for i := 0; ; i++ {
				in := b.batch.Next()
				if in == nil {
					break
				}
				mut.Mutate(in, seeds[i%len(seeds)], nil)
				b.batch.Commit()
			}
			if err := b.Score(t.Context(), scores); err != nil {
				t.Fatal(err)
			}
		}
		for range 20 {
			round()
		}
		if n := testing.AllocsPerRun(20, round); n > 0 {
			t.Errorf("a batch with scores allocates %v times", n)
		}
	})
}

// BenchmarkScore is the time of an execution in a batch without and with scores, and
// of one that logs what it compares.
func BenchmarkScore(b *testing.B) {
	needBatches(b)
	target := exampleTarget(b, "firewall")
	scores := make([]fuzz.Score, len(target.table.Comparisons))
	for i := range scores {
		scores[i].Distance = ^uint64(0)
	}
	for _, way := range []struct {
		name string
		run  func(b *testing.B, e *batchExecutor) error
	}{
		{"run", func(b *testing.B, e *batchExecutor) error { return e.Run(b.Context()) }},
		{"score", func(b *testing.B, e *batchExecutor) error { return e.Score(b.Context(), scores) }},
		{"compare", func(b *testing.B, e *batchExecutor) (err error) {
			var compared []cover.Compared
			for i := range e.batch.Len() {
				if compared, err = e.Compare(b.Context(), e.batch.Input(i), compared[:0]); err != nil {
					return err
				}
			}
			return nil
		}},
	} {
		b.Run(way.name, func(b *testing.B) {
			isolated(b, func() {
				e := mustBatch(b, target)
				mut, seeds := mutate.New(target.shape, mutate.Options{}), mutate.Seeds(target.shape)
				for i := 0; ; i++ {
					in := e.batch.Next()
					if in == nil {
						break
					}
					mut.Mutate(in, seeds[i%len(seeds)], nil)
					e.batch.Commit()
				}
				if err := way.run(b, e); err != nil { // loads what it takes
					b.Fatal(err)
				}
				b.ResetTimer()
				for n := 0; n < b.N; n += e.batch.Len() {
					if err := way.run(b, e); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}
