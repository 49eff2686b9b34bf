package fuzztest_test

import (
	"bufio"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// TestKilled: however often a run is killed, each input that it saved stays as it is, and
// no file is half an input.
func TestKilled(t *testing.T) {
	t.Parallel()
	g := newTargetsTest(t)
	rng := rand.New(rand.NewPCG(1, 2))
	kept := map[string]string{}
	for range 20 {
		g.kill(time.Duration(rng.IntN(300)) * time.Millisecond)
		now := g.inputs()
		for name, contents := range kept {
			if now[name] != contents {
				t.Errorf("%s was %q and is %q", name, contents, now[name])
			}
		}
		maps.Copy(kept, now)
	}
	if len(kept) == 0 {
		t.Error("no run saved anything before it was killed: this test proves nothing")
	}
	code, out := g.fuzz("FuzzFine", "1000x")
	if code != 0 || strings.Contains(out, "files of the fuzz cache") {
		t.Errorf("the run after that: exit code %d:\n%s", code, out)
	}
}

// kill fuzzes until so long after the first line that a run says, and kills it with all
// of its processes.
func (g *targetsTest) kill(after time.Duration) {
	g.t.Helper()
	cmd := g.command("-test.run=^$", "-test.fuzz=FuzzFine")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	said, err := cmd.StdoutPipe()
	if err != nil {
		g.t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	lines := bufio.NewScanner(said)
	lines.Scan()
	timer := time.AfterFunc(after, func() {
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil {
			g.t.Errorf("killing the run: %v", err)
		}
	})
	defer timer.Stop()
	for lines.Scan() { // until all of its processes are gone
	}
	if err := cmd.Wait(); err == nil {
		g.t.Error("the run ended by itself")
	}
}

// inputs returns what the files of FuzzFine hold, by path, and fails for one that is no input.
func (g *targetsTest) inputs() map[string]string {
	g.t.Helper()
	found := map[string]string{}
	for _, dir := range []string{"cache/FuzzFine", "testdata/fuzz/FuzzFine"} {
		files, err := filepath.Glob(filepath.Join(g.dir, dir, "*"))
		if err != nil {
			g.t.Fatal(err)
		}
		for _, file := range files {
			contents, err := os.ReadFile(file)
			if err == nil {
				_, err = corpus.UnmarshalFile(contents)
			}
			if err != nil {
				g.t.Errorf("%s: %v", file, err)
			}
			found[file] = string(contents)
		}
	}
	return found
}
