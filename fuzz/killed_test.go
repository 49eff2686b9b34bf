//go:build unix

package fuzz

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/journal"
)

// journalRun is what the environment says when this executable acts as a fuzzing
// process: the output directory, and what the program does.
const journalRun = "BPFFUZZ_TEST_JOURNAL"

// The process that TestKilledAnywhereLosesNothing and TestInputsThatEndTheProcess start.
func TestJournalProcess(t *testing.T) {
	dir := os.Getenv(journalRun)
	if dir == "" {
		t.Skip("it is started by other tests of this file")
	}
	if err := journalProcess(t.Context(), t, dir, os.Getenv(journalRun+"_ENDS") != ""); err != nil {
		t.Fatal(err)
	}
}

// ladder is a program with an edge for each correct byte, and for each low nibble of the
// byte behind those: there is always something new to find for a while. Witness is told
// of each edge while it is passed for the first time in this process.
func ladder(witness func(edge int)) *toy {
	const rungs = 24
	known := map[int]bool{}
	return newToy(17*rungs, func(r *toyRun, packet []byte) uint32 {
		hit := func(edge int) {
			r.hit(edge)
			if !known[edge] {
				known[edge] = true
				witness(edge)
			}
		}
		for i := range rungs {
			if i >= len(packet) {
				break
			}
			hit(17*i + int(packet[i]&15))
			if packet[i]>>4 != byte(i%3) {
				break
			}
			hit(17*i + 16)
		}
		return 2
	})
}

// deadly ends the process when it runs.
var deadly = []byte("ends the process")

func journalProcess(ctx context.Context, t *testing.T, dir string, ends bool) error {
	target := ladder(func(edge int) {
		var b [2]byte
		binary.LittleEndian.PutUint16(b[:], uint16(edge))
		_, _ = os.Stderr.Write(b[:]) // whole, and there when the process is not
		for begin := time.Now(); time.Since(begin) < 100*time.Microsecond; {
			runtime.Gosched() // time in which the process can be killed
		}
	})
	opts := Options{Seed: rand.Uint64(), Execs: 40_000}
	if ends {
		opts.Seeds = []*corpus.Input{{Steps: []corpus.Step{{Packet: deadly}}}}
		harmless := target.prog
		target.prog = func(r *toyRun, packet []byte) uint32 {
			if bytes.Equal(packet, deadly) {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
			return harmless(r, packet)
		}
	}
	entries, err := corpus.OpenDir(filepath.Join(dir, "corpus"))
	if err != nil {
		return err
	}
	j, err := journal.Open(filepath.Join(dir, "journal"), journal.Options{})
	if err != nil {
		return err
	}
	for _, f := range j.Left().Fatal {
		fmt.Printf("fatal %q after %d\n", f.Input.Steps[0].Packet, f.Ends)
		if ends {
			opts.Seeds = nil
		} else if err := entries.Add(f.Input); err != nil {
			return err
		}
	}
	if err := entries.Load(t.Context(), func(in *corpus.Input) { opts.Seeds = append(opts.Seeds, in) }, func(err error) { t.Error(err) }); err != nil {
		return err
	}
	opts.Journal, opts.Resume = j, j.Left().Inputs
	opts.Resumed = func(int) error { return j.Settle() }
	opts.Keep = entries.Add
	if _, err = Run(ctx, target, opts); err != nil {
		return err
	}
	return j.Close(true)
}

// journalCommand is such a process, about the directory.
func journalCommand(t *testing.T, dir string, more ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run", "^TestJournalProcess$")
	cmd.Env = append(append(os.Environ(), journalRun+"="+dir), more...)
	return cmd
}

// A process that is killed at any moment loses nothing: each edge that an input passed,
// even if the process was killed while that ran, is passed by what is on disk, corpus
// and journal. What the processes do is chance; that it holds is not.
func TestKilledAnywhereLosesNothing(t *testing.T) {
	if _, err := os.Stat("/proc/self/exe"); err != nil {
		t.Skipf("processes are killed on Linux only: %v", err)
	}
	const directories, kills = 20, 10
	rng := rand.New(rand.NewPCG(7, 8))
	killed, edges := 0, 0
	for range directories {
		dir := t.TempDir()
		witnessed := map[int]bool{}
		for range kills {
			if killedProcess(t, dir, rng, witnessed) {
				killed++
			}
			passed := storedEdges(t, dir)
			for edge := range witnessed {
				if !passed[edge] {
					t.Errorf("edge %d was passed, and nothing that is stored passes it", edge)
				}
			}
		}
		edges += len(witnessed)
	}
	t.Logf("%d of %d processes were killed, %d edges", killed, directories*kills, edges)
	if killed == 0 || edges == 0 {
		t.Errorf("%d processes were killed, %d edges passed: this test tests nothing", killed, edges)
	}
}

// killedProcess starts a process about the directory and kills it, after some time or
// while some input passes an edge that is new to it; it adds the edges that were passed,
// and reports whether the process was killed before it ended.
func killedProcess(t *testing.T, dir string, rng *rand.Rand, witnessed map[int]bool) bool {
	t.Helper()
	cmd := journalCommand(t, dir)
	pipe, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	// One in four may be killed before it is under way.
	after, early := time.Duration(rng.IntN(30_000))*time.Microsecond, rng.IntN(4) == 0
	kill := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	defer func() { kill.Stop() }()
	if !early {
		kill.Stop()
	}
	last := 1 + rng.IntN(60)
	for n := 1; ; n++ {
		var b [2]byte
		if _, err := io.ReadFull(pipe, b[:]); err != nil {
			break
		}
		if n == 1 && !early {
			kill.Reset(after)
		}
		witnessed[int(binary.LittleEndian.Uint16(b[:]))] = true
		if n == last {
			_ = cmd.Process.Kill()
		}
	}
	err = cmd.Wait()
	if cmd.ProcessState.Sys().(syscall.WaitStatus).Signaled() {
		return true
	}
	if err != nil {
		t.Fatalf("a process ends with %v", err)
	}
	return false
}

// storedEdges are those that corpus and journal pass.
func storedEdges(t *testing.T, dir string) map[int]bool {
	t.Helper()
	passed := map[int]bool{}
	target := ladder(func(edge int) { passed[edge] = true })
	exec, err := target.NewExecutor(0)
	if err != nil {
		t.Fatal(err)
	}
	run := func(in *corpus.Input) {
		if _, err := exec.Alone(t.Context(), in, 0); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := corpus.OpenDir(filepath.Join(dir, "corpus"))
	if err != nil {
		t.Fatal(err)
	}
	if err := entries.Load(t.Context(), run, func(err error) { t.Error(err) }); err != nil {
		t.Fatal(err)
	}
	there := filepath.Join(dir, "journal") // stays: the next process opens it
	if _, err := os.Stat(there); err != nil {
		return passed
	}
	copied := filepath.Join(t.TempDir(), "journal")
	if err := os.CopyFS(copied, os.DirFS(there)); err != nil {
		t.Fatal(err)
	}
	j, err := journal.Open(copied, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range j.Left().Problems {
		t.Error(err)
	}
	for _, in := range j.Left().Inputs {
		run(in)
	}
	for _, f := range j.Left().Fatal { // killed three times at the same input
		run(f.Input)
	}
	return passed
}

// An input that ends the process each time is found by the processes that follow, which
// then do without it.
func TestInputsThatEndTheProcess(t *testing.T) {
	if _, err := os.Stat("/proc/self/exe"); err != nil {
		t.Skipf("processes are killed on Linux only: %v", err)
	}
	dir := t.TempDir()
	for i, want := range []string{"", "", "", fmt.Sprintf("fatal %q after 3\n", deadly)} {
		var said bytes.Buffer
		cmd := journalCommand(t, dir, journalRun+"_ENDS=1")
		cmd.Stdout = &said
		err := cmd.Run()
		if ended := err != nil; ended != (i < 3) {
			t.Fatalf("process %d: %v\n%s", i, err, said.Bytes())
		}
		if line, _ := said.ReadString('\n'); line != want {
			t.Errorf("process %d says %q, want %q", i, line, want)
		}
	}
}
