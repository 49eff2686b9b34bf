package main

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/journal"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf"
)

// packetWith is an input for planted.o, whose bytes are zero but for those given.
func packetWith(bytes map[int]byte) *corpus.Input {
	packet := make([]byte, 64)
	for at, b := range bytes {
		packet[at] = b
	}
	return &corpus.Input{Steps: []corpus.Step{{Packet: packet}}}
}

// leave writes into an output directory's journal what processes would have left that
// ended one after the other, the second and those after it while they ran alone alone.
func leave(t *testing.T, out string, processes int, batch []*corpus.Input, alone *corpus.Input) {
	t.Helper()
	for range processes {
		j, err := journal.Open(filepath.Join(out, "journal"), journal.Options{})
		if err != nil {
			t.Fatal(err)
		}
		lane, err := j.Lane(0, 1<<16)
		if err != nil {
			t.Fatal(err)
		}
		lane.Begin()
		for _, in := range batch {
			lane.Add(in)
		}
		if err := lane.Run(); err != nil {
			t.Fatal(err)
		}
		if alone != nil {
			lane.Ran()
			lane.Alone(alone)
		}
		if err := j.Close(false); err != nil {
			t.Fatal(err)
		}
	}
}

// What was in flight is run again, and reported.
func TestInputsInFlightAreReported(t *testing.T) {
	if !privileged() {
		t.Skip("running programs needs CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and CAP_SYS_ADMIN")
	}
	harmless, failing := packetWith(nil), packetWith(map[int]byte{50: 0x11, 51: 0x22, 52: 0x33})
	tooLong := &corpus.Input{Steps: []corpus.Step{{Packet: make([]byte, 1<<17)}}}
	for name, test := range map[string]struct {
		processes int
		batch     []*corpus.Input
		alone     *corpus.Input
		damage    bool // to the worker's file
		args      []string
		says      []string
		findings  []string // beginnings of keys
		stays     bool     // the journal
	}{
		"none fails": {
			1,
			[]*corpus.Input{harmless},
			nil, false, nil,
			[]string{"the last run in out did not end in order: 1 input in flight", "ran again what was in flight: inputs: 1, failing: 0"},
			nil, false,
		},
		"one fails": {
			1,
			[]*corpus.Input{harmless, failing},
			nil, false, nil,
			[]string{"ran again what was in flight: inputs: 2, failing: 1", "written to out/findings/verdict-forgetful-"},
			[]string{"verdict-forgetful-"},
			false,
		},
		"suspect": {
			2,
			[]*corpus.Input{harmless},
			failing, false, nil,
			[]string{"warning: the last run ended while it ran out/suspects/"},
			[]string{"verdict-forgetful-"},
			false,
		},
		"fatal": {
			3,
			[]*corpus.Input{harmless},
			failing, false, nil,
			[]string{"finding: fatal: the process ended while the input ran alone"},
			[]string{"fatal-forgetful-"},
			false,
		},
		"too long for the journal": {
			1,
			[]*corpus.Input{harmless, tooLong},
			nil, false, nil,
			[]string{"1 input in flight, and 1 for which the journal had no room"},
			nil, false,
		},
		"damaged": {
			1,
			[]*corpus.Input{harmless, failing},
			nil, true, nil,
			[]string{"warning: reading journal out/journal/worker-0: ", "it was moved to out/corrupt/journal-worker-0-"},
			nil, false,
		},
		"no journal": {
			1,
			[]*corpus.Input{failing},
			nil, false,
			[]string{"--journal", "off"},
			nil, nil, true,
		},
		"journal that is stored": {
			1,
			[]*corpus.Input{failing},
			nil, false,
			[]string{"--journal", "sync"},
			[]string{"ran again what was in flight: inputs: 1, failing: 1"},
			[]string{"verdict-forgetful-"},
			false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			out := filepath.Join(dir, "out")
			leave(t, out, test.processes, test.batch, test.alone)
			if test.damage {
				if err := os.WriteFile(filepath.Join(out, "journal", "worker-0"), []byte("no journal at all"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			args := append([]string{"run", "-o", "out", "-j", "1", "--seed", "1", "--execs", "1", "--json", abs(t, "testdata/planted.o")}, test.args...)
			r := start(t, dir, "bpffuzz", args...)
			said := &strings.Builder{}
			for r.read() {
				said.WriteString(r.lines.Text() + "\n")
			}
			r.end()
			for _, want := range test.says {
				if !strings.Contains(said.String(), want) {
					t.Errorf("the run does not say %q", want)
				}
			}
			if len(test.says) == 0 && strings.Contains(said.String(), "in flight") {
				t.Error("the run speaks of inputs in flight")
			}
			checkFindings(t, r.stdout.String(), test.findings)
			if _, err := os.Stat(filepath.Join(out, "journal")); os.IsNotExist(err) == test.stays {
				t.Errorf("the journal after the run: %v", err)
			}
			if name == "fatal" {
				checkFatal(t, dir)
			}
		})
	}
}

// checkFindings compares the keys in a summary by their beginnings. One finding is no
// news: built-in seeds fail.
func checkFindings(t *testing.T, text string, want []string) {
	t.Helper()
	var s summary
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	builtIn := func(f summaryFinding) bool { return strings.HasPrefix(f.Title, "step 0 returned 70 ") }
	if s.Saved != len(s.Findings) {
		t.Errorf("%d findings are saved, %d listed", s.Saved, len(s.Findings))
	}
	s.Findings = slices.DeleteFunc(s.Findings, builtIn)
	ok := len(s.Findings) == len(want)
	for i := range want {
		ok = ok && strings.HasPrefix(s.Findings[i].Key, want[i])
	}
	if !ok {
		t.Errorf("findings %+v, want %q", s.Findings, want)
	}
}

// checkFatal looks at what becomes of a fatal input later: it is listed, and run by
// nobody.
func checkFatal(t *testing.T, dir string) {
	t.Helper()
	for _, test := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"findings", "out"}, exitClean, "  open\n  fatal: the process ended while the input ran alone\n"},
		{[]string{"findings", "--recheck", "out"}, exitFindings, "its input ends the process or the machine"},
		{[]string{"run", "-o", "out", "-j", "1", "--execs", "1", "--json", "--seeds", fatalInput(t, dir), abs(t, "testdata/planted.o")}, exitFindings, `"saved_findings":1,`},
	} {
		r := start(t, dir, "bpffuzz", test.args...)
		if code := r.end().ExitCode(); code != test.code || !strings.Contains(r.stdout.String(), test.says) {
			t.Errorf("%q ends with %d and says %q; want %d and %q", test.args, code, r.stdout.String(), test.code, test.says)
		}
	}
}

func fatalInput(t *testing.T, dir string) string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "out/findings/fatal-*/input"))
	if err != nil || len(paths) != 1 {
		t.Fatalf("fatal findings %v: %v", paths, err)
	}
	return paths[0]
}

// Runs that are killed at any moment, one after the other, lose no finding and no entry.
func TestRunsKilledAtAnyMoment(t *testing.T) {
	if !privileged() {
		t.Skip("running programs needs CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and CAP_SYS_ADMIN")
	}
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(11, 12))
	planted := abs(t, "testdata/planted.o")
	all := &running{t: t} // what any of them announced
	for range 16 {
		r := start(t, dir, "bpffuzz", "run", "-o", "out", "-j", "2", "--seed", "3", planted)
		timer := time.AfterFunc(time.Duration(rng.IntN(500))*time.Millisecond, func() { _ = r.cmd.Process.Kill() })
		if state := r.end(); !state.Sys().(syscall.WaitStatus).Signaled() {
			t.Fatalf("the run ended by itself: %v", state)
		}
		timer.Stop()
		all.findings = append(all.findings, r.findings...)
		if _, err := os.Stat(filepath.Join(dir, "out/corpus")); err == nil {
			checkStored(t, dir, all)
		}
	}
	last := start(t, dir, "bpffuzz", "run", "-o", "out", "-j", "1", "--seed", "3", "--execs", "100000", "--json", planted)
	if code := last.end().ExitCode(); code != exitFindings {
		t.Errorf("the last run ends with %d", code)
	}
	var s summary
	if err := json.Unmarshal([]byte(last.stdout.String()), &s); err != nil {
		t.Fatalf("%v in %q", err, last.stdout.String())
	}
	for _, path := range all.findings {
		if !slices.ContainsFunc(s.Findings, func(f summaryFinding) bool { return f.Path == path }) {
			t.Errorf("the last run does not know finding %s", path)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "out/corrupt/*")); len(left) > 0 {
		t.Errorf("files that could not be read: %v", left)
	}
	if s.Saved != 4 {
		t.Errorf("%d findings, want the 4 that are planted", s.Saved)
	}
}

// stopping is an executor whose run is interrupted.
type stopping struct {
	fuzz.Executor
	after int
	stop  context.CancelFunc
}

func (e *stopping) Alone(ctx context.Context, in *corpus.Input, want corpus.Have) (*corpus.Outcome, error) {
	if e.after--; e.after == 0 {
		e.stop()
	}
	return e.Executor.Alone(ctx, in, want)
}

// Minimization for coverage that is interrupted gives the smallest input so far.
func TestInterruptedCoverageMinimization(t *testing.T) {
	if !privileged() {
		t.Skip("running programs needs CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and CAP_SYS_ADMIN")
	}
	object, err := bpf.Open("testdata/planted.o")
	if err != nil {
		t.Fatal(err)
	}
	target, err := bpf.NewTarget(object, bpf.Options{})
	if err != nil {
		t.Fatal(err)
	}
	in := &corpus.Input{Steps: []corpus.Step{{Packet: make([]byte, 300)}}}
	in.Steps[0].Packet[40], in.Steps[0].Packet[299] = 0xff, 1
	last := in.Len()
	for _, after := range []int{3, 8, 1000} {
		ctx, cancel := context.WithCancel(t.Context())
		err := withExecutor(target, func(exec fuzz.Executor) error {
			p := newPlayer(&stopping{exec, after, cancel}, target.Shape())
			result := &minimized{}
			small, err := (&minimizeFlags{cover: true}).minimize(ctx, &subject{target: target}, p, in, result)
			if err != nil {
				return err
			}
			if small.Len() > last || after == 1000 && small.Len() != 64 {
				t.Errorf("after %d runs: %d bytes, before %d", after, small.Len(), last)
			}
			if interrupted := len(result.notes) == 1; interrupted != (after < 1000) {
				t.Errorf("after %d runs: notes %q", after, result.notes)
			}
			last = small.Len()
			return nil
		})
		cancel()
		if err != nil {
			t.Error(err)
		}
	}
}
