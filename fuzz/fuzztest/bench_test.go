package fuzztest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// stagedRun is one run of a fuzz target over the staged program, with one worker.
type stagedRun struct {
	rate   float64 // executions per second, between first and last line of progress
	solved bool
	took   time.Duration
}

// BenchmarkStaged measures executions per second of one worker, and the time until the
// staged programs are solved, of at most two minutes: by package fuzztest, by Go's engine
// in its native mode, and by f.Fuzz around Program.Run. All are built as go test -fuzz
// builds them. Staged is a chain of nine comparisons of up to 64 bits, Magic one of four
// of a byte each.
//
//	go test -run '^$' -bench BenchmarkStaged -benchtime 1x ./fuzz/fuzztest
func BenchmarkStaged(b *testing.B) {
	dir := b.TempDir()
	for _, pkg := range []string{"byhand", "targets"} {
		if out, err := exec.Command("go", "test", "-c", "-fuzz=Fuzz", "-o", filepath.Join(dir, pkg), "./testdata/"+pkg).CombinedOutput(); err != nil {
			b.Fatalf("building the fuzz targets: %v\n%s", err, out)
		}
	}
	for _, at := range []string{
		"byhand/FuzzStagedByHand", "targets/FuzzStagedNative", "targets/FuzzStaged",
		"byhand/FuzzMagicByHand", "targets/FuzzMagicNative", "targets/FuzzMagic",
	} {
		pkg, name := filepath.Split(at)
		binary := filepath.Join(dir, pkg)
		b.Run(name, func(b *testing.B) {
			for range b.N {
				rate := runStaged(b, binary, name, "10s", false)
				solve := runStaged(b, binary, name, "120s", true)
				b.ReportMetric(rate.rate, "execs/s")
				b.ReportMetric(solve.took.Seconds(), "s-to-end")
				if solve.solved {
					b.ReportMetric(1, "solved")
				} else {
					b.ReportMetric(0, "solved")
				}
			}
		})
	}
}

// progressLine is what Go's engine and ours print every three seconds.
var progressLine = regexp.MustCompile(`elapsed: (\S+), execs: (\d+) `)

func runStaged(b *testing.B, binary, name, fuzztime string, solve bool) stagedRun {
	b.Helper()
	object, err := filepath.Abs("testdata/targets/staged.o")
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	cmd := exec.Command(binary, "-test.run=^$", "-test.fuzz=^"+name+"$", "-test.parallel=1",
		"-test.fuzztime="+fuzztime, "-test.fuzzcachedir="+filepath.Join(dir, "cache"))
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "STAGED_OBJECT="+object)
	if solve {
		cmd.Env = append(cmd.Env, "STAGED_SOLVE=1")
	}
	started := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil && !solve {
		b.Fatalf("%v\n%s", err, out)
	}
	result := stagedRun{solved: err != nil, took: time.Since(started)}
	lines := progressLine.FindAllSubmatch(out, -1)
	if len(lines) == 0 {
		b.Fatalf("no line of progress:\n%s", out)
	}
	last := lines[len(lines)-1]
	elapsed, err := time.ParseDuration(string(last[1]))
	if err != nil {
		b.Fatal(err)
	}
	execs, err := strconv.ParseFloat(string(last[2]), 64)
	if err != nil {
		b.Fatal(err)
	}
	if elapsed > 0 {
		result.rate = execs / elapsed.Seconds()
	}
	return result
}
