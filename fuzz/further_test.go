package fuzz

import (
	"hash/crc32"
	"slices"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

// hashing is a toy that returns a hash of the packet and writes it there, along three
// edges: all that a program can do to look different each time.
func hashing() *toy {
	target := newToy(3, func(r *toyRun, packet []byte) uint32 {
		sum := crc32.ChecksumIEEE(packet)
		r.hit(0)
		r.hit(1 + int(sum&1))
		r.out[int(sum>>1)%len(r.out)] ^= byte(sum >> 8)
		return sum
	})
	target.shape.Closed = false
	return target
}

func TestFurtherFeaturesAreBounded(t *testing.T) {
	opts := Options{Seed: 1, Execs: 400_000, FurtherAfter: 1000}
	result := runToy(t, hashing(), opts)
	if n := result.Stats.Further; n < cover.DomainBits || n > cover.MaxFurther {
		t.Errorf("%d entries are kept for further features, want between %d and %d", n, cover.DomainBits, cover.MaxFurther)
	}
	if n := len(result.Entries); n > 3 {
		t.Errorf("%d entries for three edges", n)
	}
	if result.Stats.Corpus != len(result.Entries) {
		t.Errorf("%d entries are stored, want the %d that cover something", result.Stats.Corpus, len(result.Entries))
	}
	opts.NoFurther = true
	if n := runToy(t, hashing(), opts).Stats.Further; n != 0 {
		t.Errorf("%d entries are kept for further features that are not to count", n)
	}
}

func TestFurtherFeaturesCountWhenEdgesDoNotGrow(t *testing.T) {
	for _, test := range []struct {
		name          string
		newest, execs uint64
		on            bool
	}{
		{"at the start", 0, 0, false},
		{"few", 10, 999_999, false},
		{"a million", 10, 1_000_010, true},
		{"fewer than it took", 3_000_000, 5_999_999, false},
		{"as many as it took", 3_000_000, 6_000_000, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newRun(hashing(), Options{}.withDefaults()).workers[0]
			w.more.newest = test.newest
			w.execs.Store(test.execs)
			if w.more.turn(); w.more.on != test.on {
				t.Errorf("on: %v", w.more.on)
			}
			w.more.grown()
			if w.more.turn(); w.more.on && test.execs > 0 {
				t.Error("on right after a new edge")
			}
		})
	}
}

// TestFurtherFeaturesLead has a bug behind a return value that no edge tells of: the
// way there is in steps, none of which covers more than the one before.
func TestFurtherFeaturesLead(t *testing.T) {
	ladder := func() *toy {
		target := newToy(2, func(r *toyRun, packet []byte) uint32 {
			r.hit(0)
			n := uint32(0)
			for _, want := range []byte("rung") {
				for shift := 4; shift >= 0; shift -= 4 {
					if packet[n/2]>>shift&15 != want>>shift&15 {
						return n
					}
					n++
				}
			}
			r.hit(1)
			return n
		})
		target.shape.Closed, target.shape.Packet.Max = false, 20 // little else to change
		return target
	}
	opts := Options{Seed: 1, Execs: 3_000_000, FurtherAfter: 1000}
	if n := runToy(t, ladder(), opts).Stats.Edges; n != 2 {
		t.Errorf("%d edges with further features, want 2", n)
	}
	opts.NoFurther = true
	if n := runToy(t, ladder(), opts).Stats.Edges; n != 1 {
		t.Errorf("%d edges without further features: the program is too easy to tell", n)
	}
}

func TestFurtherRunsRepeat(t *testing.T) {
	var first []*corpus.Input
	for i := range 2 {
		var inputs []*corpus.Input
		r := newRun(hashing(), Options{Seed: 7, Execs: 50_000, FurtherAfter: 1000}.withDefaults())
		if err := r.workers[0].work(t.Context()); err != errExecs {
			t.Fatal(err)
		}
		for _, e := range r.corpus.Snapshot().Entries() {
			inputs = append(inputs, e.Input)
		}
		if i == 0 {
			first = inputs
		} else if !slices.EqualFunc(first, inputs, (*corpus.Input).Equal) {
			t.Error("the same seed keeps other inputs")
		}
	}
}

func TestOutputFeatures(t *testing.T) {
	of := func(before, after string) (f cover.Further) {
		addOutput(&f, []byte(before), []byte(after))
		return f
	}
	none := cover.Further{}
	if of("abcd", "abcd") != none {
		t.Error("an unchanged packet has a feature")
	}
	seen := []cover.Further{none}
	for _, after := range []string{"Xbcd", "aXcd", "XXcd", "abcde", "abc", ""} {
		got := of("abcd", after)
		if slices.Contains(seen, got) {
			t.Errorf("abcd becoming %q has the features of another change", after)
		}
		seen = append(seen, got)
	}
}

// note is asked about every input of every batch.
func TestNoteDoesNotAllocate(t *testing.T) {
	target := hashing()
	w := newRun(target, Options{}.withDefaults()).workers[0]
	exec, err := target.NewExecutor(0)
	if err != nil {
		t.Fatal(err)
	}
	batch := exec.Batch()
	for in := batch.Next(); in != nil; in = batch.Next() {
		in.CopyFrom(&corpus.Input{Steps: []corpus.Step{{Packet: make([]byte, 60)}}})
		batch.Commit()
	}
	if err := exec.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.more.on, w.more.found = true, make([]int, 0, batch.Cap())
	if n := testing.AllocsPerRun(100, func() { w.more.note(batch) }); n != 0 {
		t.Errorf("noting what a batch gave allocates %v times", n)
	}
}
