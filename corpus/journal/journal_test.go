package journal

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// input returns an input of a step whose packet is text.
func input(text string) *corpus.Input {
	return &corpus.Input{Steps: []corpus.Step{{Packet: []byte(text)}}}
}

// rich returns an input with something in every place.
func rich(rng *rand.Rand) *corpus.Input {
	random := func(n int) []byte {
		b := make([]byte, rng.IntN(n))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	in := &corpus.Input{}
	for range rng.IntN(3) {
		in.Maps = append(in.Maps, corpus.MapEntry{Map: string(random(9)), Key: random(9), Value: random(30)})
	}
	for range 1 + rng.IntN(4) {
		s := corpus.Step{Packet: random(90), Meta: random(9), Context: random(60), Chance: random(20)}
		if rng.IntN(2) == 0 {
			s.CPU, s.Flags, s.Fault = int32(rng.Uint32()), rng.Uint32(), rng.Uint32()
		}
		in.Steps = append(in.Steps, s)
	}
	return in
}

func mustOpen(t testing.TB, dir string, opts Options) *Journal {
	t.Helper()
	j, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close(false) })
	return j
}

func mustLane(t testing.TB, j *Journal, worker, room int) *Lane {
	t.Helper()
	l, err := j.Lane(worker, room)
	if err != nil {
		t.Skipf("no mapping: %v", err)
	}
	return l
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// runs notes that a batch runs.
func runs(l *Lane, inputs []corpus.Input) error {
	l.Begin()
	for i := range inputs {
		l.Add(&inputs[i])
	}
	return l.Run()
}

func texts(inputs []*corpus.Input) string {
	var all []string
	for _, in := range inputs {
		all = append(all, string(in.Steps[0].Packet))
	}
	return strings.Join(all, " ")
}

func TestRecords(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		in := rich(rng)
		b := make([]byte, recordSize(in)+3)
		n := put(b, in)
		if n != recordSize(in) {
			t.Fatalf("put writes %d bytes, want %d", n, recordSize(in))
		}
		got, rest, err := take(b)
		if err != nil || len(rest) != 3 || !got.Equal(in) {
			t.Fatalf("take gives %+v with %d bytes left, %v; want %+v", got, len(rest), err, in)
		}
		if put(b[:n-1], in) != 0 {
			t.Fatal("a record is written where there is no room for it")
		}
	}
}

// What the next process learns when one is killed at a certain point.
func TestLeft(t *testing.T) {
	both := []corpus.Input{*input("one"), *input("two")}
	for name, test := range map[string]struct {
		do      func(t *testing.T, j *Journal, l *Lane)
		inputs  string
		missing int
	}{
		"nothing":         {func(*testing.T, *Journal, *Lane) {}, "", 0},
		"a batch runs":    {func(t *testing.T, _ *Journal, l *Lane) { must(t, runs(l, both)) }, "one two", 0},
		"a batch ran":     {func(t *testing.T, _ *Journal, l *Lane) { must(t, runs(l, both)); l.Ran() }, "one two", 0},
		"another batch":   {func(t *testing.T, _ *Journal, l *Lane) { must(t, runs(l, both)); must(t, runs(l, both[1:])) }, "two", 0},
		"being written":   {func(t *testing.T, _ *Journal, l *Lane) { must(t, runs(l, both)); l.batch.set(empty) }, "", 0},
		"runs alone":      {func(t *testing.T, _ *Journal, l *Lane) { must(t, runs(l, both)); l.Alone(&both[1]) }, "two one", 0},
		"ran alone":       {func(t *testing.T, _ *Journal, l *Lane) { must(t, runs(l, both)); l.Alone(&both[1]); l.AloneRan() }, "one two", 0},
		"looked into":     {func(_ *testing.T, _ *Journal, l *Lane) { l.Hold(&both[0]) }, "one", 0},
		"was looked into": {func(_ *testing.T, _ *Journal, l *Lane) { l.Hold(&both[0]); l.Release() }, "", 0},
		"not stored":      {func(t *testing.T, j *Journal, _ *Lane) { must(t, j.Entry(&both[0])); must(t, j.Entry(&both[1])) }, "one two", 0},
		"stored":          {func(t *testing.T, j *Journal, _ *Lane) { must(t, j.Entry(&both[0])); must(t, j.Stored()) }, "", 0},
		"stored, one again": {func(t *testing.T, j *Journal, _ *Lane) {
			must(t, j.Entry(&both[0]))
			must(t, j.Stored())
			must(t, j.Entry(&both[1]))
		}, "two", 0},
		"entry cut off": {func(t *testing.T, j *Journal, _ *Lane) {
			must(t, j.Entry(&both[0]))
			must(t, j.Entry(&both[1]))
			must(t, j.entries.Truncate(j.size-2))
		}, "one", 0},
		"no room": {func(t *testing.T, _ *Journal, l *Lane) {
			must(t, runs(l, []corpus.Input{*input("one"), *input(strings.Repeat("x", 2*minRoom)), *input("two")}))
		}, "one two", 1},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "journal")
			j := mustOpen(t, dir, Options{})
			test.do(t, j, mustLane(t, j, 0, 0))
			left := mustOpen(t, dir, Options{}).Left()
			if got := texts(left.Inputs); got != test.inputs || left.Missing != test.missing {
				t.Errorf("left %q and %d for which there was no room, want %q and %d", got, left.Missing, test.inputs, test.missing)
			}
			if !left.Killed || left.Restarted || len(left.Problems) > 0 || len(left.Fatal) > 0 || len(left.Suspects) > 0 {
				t.Errorf("left %+v", left)
			}
		})
	}
}

// What was left stays until it has been run again, however many processes end before.
func TestLeftUntilSettled(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	j := mustOpen(t, dir, Options{})
	must(t, runs(mustLane(t, j, 0, 0), []corpus.Input{*input("one"), *input("two")}))
	j = mustOpen(t, dir, Options{})
	must(t, runs(mustLane(t, j, 0, 0), []corpus.Input{*input("two"), *input("three")}))
	j = mustOpen(t, dir, Options{})
	if got := texts(j.Left().Inputs); got != "one two three" {
		t.Errorf("left %q", got)
	}
	must(t, j.Close(true))
	j = mustOpen(t, dir, Options{})
	if got := texts(j.Left().Inputs); got != "one two three" {
		t.Errorf("after a process that ended in order before it ran them: %q", got)
	}
	must(t, j.Settle())
	must(t, j.Settle())
	must(t, j.Close(true))
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the journal of a process that ended in order is there: %v", err)
	}
	if left := mustOpen(t, dir, Options{}).Left(); left.Killed || len(left.Inputs) > 0 {
		t.Errorf("a new journal has %+v", left)
	}
}

// A process that is killed between writing the suspects and removing what they come
// from counts for nothing.
func TestKilledWhileOpening(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	j := mustOpen(t, dir, Options{})
	mustLane(t, j, 0, 0).Alone(input("one"))
	lane, err := os.ReadFile(filepath.Join(dir, "worker-0"))
	must(t, err)
	for range 3 {
		left := mustOpen(t, dir, Options{}).Left()
		if got := texts(left.Inputs); got != "one" || len(left.Fatal) > 0 {
			t.Fatalf("left %q and fatal %v", got, left.Fatal)
		}
		must(t, os.WriteFile(filepath.Join(dir, "worker-0"), lane, 0o644))
	}
}

// An input that ends the process each time it runs alone is blamed the third time, and
// the first time if it was to be expected and took the machine with it.
func TestFatal(t *testing.T) {
	for name, test := range map[string]struct {
		restarts []bool // of the machine, after each process
		suspects []string
		fatal    []int // how many inputs, after each process
		machine  bool
	}{
		"process": {[]bool{false, false, false, false}, []string{"", "bad", "bad", ""}, []int{0, 0, 0, 1}, false},
		"machine": {[]bool{true, true}, []string{"", ""}, []int{0, 1}, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "journal")
			j := mustOpen(t, dir, Options{})
			for i, restart := range test.restarts {
				if restart {
					j.head.boot = "another"
				}
				l := mustLane(t, j, 0, 0)
				if i == 0 {
					must(t, runs(l, []corpus.Input{*input("good"), *input("bad")}))
				} else {
					must(t, l.Suspect(input("good")))
					l.AloneRan()
					must(t, l.Suspect(input("bad")))
				}
				j = mustOpen(t, dir, Options{})
				left := j.Left()
				if left.Restarted != restart {
					t.Errorf("process %d: restarted is %v", i, left.Restarted)
				}
				if got := texts(left.Suspects); got != test.suspects[i] {
					t.Errorf("process %d: suspects %q, want %q", i, got, test.suspects[i])
				}
				if len(left.Fatal) != test.fatal[i] {
					t.Fatalf("process %d: %d are fatal, want %d", i, len(left.Fatal), test.fatal[i])
				}
			}
			f := j.Left().Fatal[0]
			if string(f.Input.Steps[0].Packet) != "bad" || f.Ends != len(test.restarts)-1 || f.Machine != test.machine {
				t.Errorf("fatal is %+v", f)
			}
			if got := texts(j.Left().Inputs); got != "good" {
				t.Errorf("left to run %q", got)
			}
			// It is not forgotten before somebody says that it is stored.
			if again := mustOpen(t, dir, Options{}).Left(); len(again.Fatal) != 1 {
				t.Errorf("the next process knows %d that are fatal", len(again.Fatal))
			}
		})
	}
}

// in returns an area of a lane.
func in(b []byte, i int) area {
	size := (len(b) - laneHeader) / areas
	return b[laneHeader+i*size:][:size]
}

// Files that are damaged are reported and kept; what others have is not lost.
func TestDamagedFiles(t *testing.T) {
	for name, test := range map[string]struct {
		file   string
		damage func(b []byte) []byte
		inputs string
		want   string
		// unsummed says that there are no checksums.
		unsummed bool
	}{
		"input":          {"worker-0", func(b []byte) []byte { in(b, alone)[areaHeader+20] ^= 1; return b }, "batch held entry batch1", "the input that ran alone: it has checksum", false},
		"size":           {"worker-0", func(b []byte) []byte { in(b, alone)[8] ^= 0x80; return b }, "batch held entry batch1", "the input that ran alone: it has checksum", false},
		"huge size":      {"worker-0", func(b []byte) []byte { in(b, batch)[14] = 0xff; return b }, "alone held entry batch1", "where there is room for", true},
		"state":          {"worker-0", func(b []byte) []byte { in(b, held)[0] = 7; return b }, "alone batch entry batch1", "state 7", true},
		"being stored":   {"worker-0", func(b []byte) []byte { in(b, batch)[areaHeader+20] ^= 1; return b }, "old alone held entry batch1", "", false},
		"length":         {"worker-0", func(b []byte) []byte { return b[:len(b)-1] }, "entry batch1", "areas of", false},
		"no journal":     {"worker-0", func(b []byte) []byte { return []byte("hello") }, "entry batch1", "it is no journal", false},
		"newer version":  {"worker-0", func(b []byte) []byte { b[8] = 2; return b }, "entry batch1", "version 2, this program reads version 1", false},
		"entry":          {"entries", func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, "alone batch held batch1", "a frame with checksum", false},
		"never stored":   {"worker-0", func(b []byte) []byte { return make([]byte, len(b)) }, "entry batch1", "", false},
		"record":         {"worker-0", func(b []byte) []byte { in(b, batch)[areaHeader+1] = 9; return b }, "alone held entry batch1", "a record of", true},
		"count":          {"worker-0", func(b []byte) []byte { in(b, batch)[4] = 9; return b }, "alone held entry batch1", "another number of inputs", true},
		"empty file":     {"worker-0", func(b []byte) []byte { return nil }, "entry batch1", "", false},
		"header alone":   {"worker-0", func(b []byte) []byte { return b[:headerSize] }, "entry batch1", "", false},
		"entries header": {"entries", func(b []byte) []byte { return b[:headerSize] }, "alone batch held batch1", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			dir := filepath.Join(root, "journal")
			j := mustOpen(t, dir, Options{Sync: !test.unsummed})
			l := mustLane(t, j, 0, 0)
			must(t, runs(l, []corpus.Input{*input("old")}))
			must(t, runs(l, []corpus.Input{*input("batch")}))
			l.Ran()
			must(t, l.Suspect(input("alone")))
			l.Hold(input("held"))
			must(t, runs(mustLane(t, j, 1, 0), []corpus.Input{*input("batch1")}))
			must(t, j.Entry(input("entry")))
			path := filepath.Join(dir, test.file)
			b, err := os.ReadFile(path)
			must(t, err)
			b = test.damage(b)
			must(t, os.WriteFile(path, b, 0o644))
			left := mustOpen(t, dir, Options{}).Left()
			for _, want := range strings.Fields(test.inputs) {
				if !strings.Contains(" "+texts(left.Inputs)+" ", " "+want+" ") {
					t.Errorf("left %q, which lacks %q", texts(left.Inputs), want)
				}
			}
			aside, err := filepath.Glob(filepath.Join(root, "corrupt", "journal-"+test.file+"-*"))
			must(t, err)
			if test.want == "" {
				if len(left.Problems)+len(aside) > 0 {
					t.Errorf("problems %v, set aside %v", left.Problems, aside)
				}
				return
			}
			if len(left.Problems) != 1 || !strings.Contains(left.Problems[0].Error(), test.want) {
				t.Fatalf("problems %v, want one with %q", left.Problems, test.want)
			}
			if len(aside) != 1 {
				t.Fatalf("set aside %v", aside)
			}
			if kept, err := os.ReadFile(aside[0]); err != nil || !bytes.Equal(kept, b) {
				t.Errorf("the file set aside has other bytes: %v", err)
			}
		})
	}
}

// Lanes are written in the hot loop.
func TestLaneDoesNotAllocate(t *testing.T) {
	l := mustLane(t, mustOpen(t, t.TempDir(), Options{}), 0, 1<<16)
	inputs := make([]corpus.Input, 64)
	for i := range inputs {
		inputs[i] = *input("sixty-four bytes of packet, or nearly as many as that")
	}
	if n := testing.AllocsPerRun(100, func() {
		must(t, runs(l, inputs))
		l.Ran()
		l.Alone(&inputs[0])
		l.AloneRan()
		l.Hold(&inputs[0])
		l.Release()
	}); n != 0 {
		t.Errorf("a batch allocates %v times", n)
	}
}

// Without a journal nothing is noted.
func TestNil(t *testing.T) {
	var j *Journal
	l, err := j.Lane(0, 0)
	must(t, err)
	must(t, runs(l, []corpus.Input{*input("one")}))
	l.Ran()
	l.Alone(input("one"))
	l.AloneRan()
	must(t, l.Suspect(input("one")))
	l.Hold(input("one"))
	l.Release()
	must(t, j.Entry(input("one")))
	must(t, j.Stored())
	if j.Syncs() {
		t.Error("no journal syncs")
	}
}

// FuzzOpen reads any bytes as each file of a journal: it says what is wrong with them,
// and what it takes is inputs that can be noted again.
func FuzzOpen(f *testing.F) {
	dir := f.TempDir()
	j := mustOpen(f, dir, Options{})
	l := mustLane(f, j, 0, 0)
	rng := rand.New(rand.NewPCG(3, 4))
	for range 3 {
		must(f, runs(l, []corpus.Input{*rich(rng), *rich(rng)}))
		l.Alone(rich(rng))
		must(f, j.Entry(rich(rng)))
	}
	for kind, name := range []string{"worker-0", entriesName} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		must(f, err)
		f.Add(uint8(kind), b, uint16(0))
	}
	f.Fuzz(func(t *testing.T, kind uint8, b []byte, mend uint16) {
		name := []string{"worker-0", entriesName, suspectsName}[kind%3]
		if size := len(b); mend&1 != 0 && size > laneHeader+areaHeader && binary.LittleEndian.Uint64(b[laneHeader+8:]) <= uint64(size-laneHeader-areaHeader) {
			// Checksums would keep random bytes from getting anywhere.
			a := area(b[laneHeader:])
			binary.LittleEndian.PutUint32(a[16:], a.sum(int(binary.LittleEndian.Uint64(a[8:]))))
		}
		dir := t.TempDir()
		must(t, os.WriteFile(filepath.Join(dir, name), b, 0o644))
		r := newReader(dir, "boot")
		_ = r.file(name) // which may say anything
		left := r.result()
		for _, in := range left.Inputs {
			if len(in.Steps) == 0 {
				t.Fatal("an input without steps")
			}
			got, _, err := take(appendFrame(nil, 0, in)[frameHeader:])
			if err != nil || !got.Equal(in) {
				t.Fatalf("noted again it is %+v, %v; want %+v", got, err, in)
			}
		}
	})
}

// BenchmarkBatch is what a batch of 256 packets of 64 bytes costs.
func BenchmarkBatch(b *testing.B) {
	inputs := make([]corpus.Input, 256)
	for i := range inputs {
		inputs[i] = *input(strings.Repeat("x", 64))
	}
	for name, opts := range map[string]Options{"on": {}, "sync": {Sync: true}} {
		b.Run(name, func(b *testing.B) {
			l := mustLane(b, mustOpen(b, b.TempDir(), opts), 0, 256*(64+Overhead))
			for b.Loop() {
				if err := runs(l, inputs); err != nil {
					b.Fatal(err)
				}
				l.Ran()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/256, "ns/input")
		})
	}
}
