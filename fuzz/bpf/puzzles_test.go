package bpf

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/mutate/solve"
	"github.com/bpffuzz/bpffuzz/triage"
	"github.com/bpffuzz/bpffuzz/triage/expr"
)

const (
	// puzzleSeeds is how often a puzzle is solved for one number.
	puzzleSeeds = 5
	// puzzleExecs and puzzleTime, of the CPUs, are the bar for each puzzle.
	puzzleExecs = 1_000_000
	puzzleTime  = 10 * time.Second
	// puzzlePatience ends an attempt on a machine that is busy with other things.
	puzzlePatience = 6 * puzzleTime
)

// puzzleWay is a choice of techniques.
type puzzleWay struct {
	name     string
	solve    solve.Technique // those that are used
	noScores bool
}

// puzzleWays are compared: coverage of edges alone, with each technique, and with all.
func puzzleWays() []puzzleWay {
	ways := []puzzleWay{{"edges", 0, true}}
	for t := solve.Operands; t <= solve.Keys; t <<= 1 {
		ways = append(ways, puzzleWay{t.String(), t, true})
	}
	return append(ways, puzzleWay{"scores", 0, false}, puzzleWay{"all", solve.Every, false})
}

// puzzles lists the suite.
func puzzles(t testing.TB) []string {
	t.Helper()
	paths, err := filepath.Glob("../../examples/puzzles/*/*.o")
	if err != nil || len(paths) == 0 {
		t.Fatalf("finding puzzles: %d, %v", len(paths), err)
	}
	names := make([]string, len(paths))
	for i, path := range paths {
		names[i] = strings.TrimSuffix(filepath.Base(path), ".o")
	}
	return names
}

// openPuzzle loads a puzzle as its target file says, if it has one.
func openPuzzle(t testing.TB, name string) (*Target, *triage.Judge) {
	t.Helper()
	dir := filepath.Join("../../examples/puzzles", name)
	file, err := ReadTargetFile(filepath.Join(dir, "target.yaml"))
	if errors.Is(err, fs.ErrNotExist) {
		file, err = &TargetFile{Object: filepath.Join(dir, name+".o")}, nil
	}
	if err != nil {
		t.Fatal(err)
	}
	obj, err := Open(file.Object)
	if err != nil {
		t.Fatal(err)
	}
	target, err := NewTarget(obj, Options{Program: file.Program, Setup: file.Setup(), MaxSteps: file.MaxSteps})
	if err != nil {
		t.Fatal(err)
	}
	goal, err := expr.Compile("goal", "ret != 77 && ret != 99", target.Shape())
	if err != nil {
		t.Fatal(err)
	}
	return target, triage.NewJudge([]triage.Oracle{goal}, nil)
}

// attempt is what one run for a puzzle's goal came to.
type attempt struct {
	solved bool
	execs  uint64
	took   time.Duration // of CPU time, which other work on the machine hardly changes
}

func solvePuzzle(ctx context.Context, target *Target, judge *triage.Judge, way puzzleWay, seed, execs uint64) (attempt, error) {
	begin, err := cpuTime(unix.CLOCK_PROCESS_CPUTIME_ID)
	if err != nil {
		return attempt{}, err
	}
	result, err := fuzz.Run(ctx, target, fuzz.Options{
		Seed: seed, Execs: execs, Duration: puzzlePatience, StopOnFinding: true, Judge: judge,
		Solve: solve.Options{Without: solve.Every &^ way.solve}, NoScores: way.noScores,
		Triage: triage.Options{Shape: target.Shape(), MaxExecs: -1},
	})
	if err != nil {
		return attempt{}, err
	}
	end, err := cpuTime(unix.CLOCK_PROCESS_CPUTIME_ID)
	return attempt{len(result.Findings) > 0 && end-begin <= puzzleTime, result.Stats.Execs, end - begin}, err
}

// TestSolvesPuzzles solves some puzzles within bounds on executions.
func TestSolvesPuzzles(t *testing.T) {
	needBatches(t)
	all := puzzleWays()[len(puzzleWays())-1]
	for _, p := range []struct {
		name  string
		execs uint64
	}{{"magic8", 2000}, {"crc", 5000}, {"key", 5000}, {"lengths", 5000}, {"session", 5000}, {"tailcall", 20_000}} {
		t.Run(p.name, func(t *testing.T) {
			target, judge := openPuzzle(t, p.name)
			got, err := solvePuzzle(t.Context(), target, judge, all, 1, p.execs)
			if err != nil {
				t.Fatal(err)
			}
			if !got.solved {
				t.Errorf("not solved after %d executions", got.execs)
			}
		})
	}
}

// BenchmarkPuzzles prints a table of the executions and CPU seconds that each puzzle
// takes with each technique. It needs -benchtime 1x, and some ten minutes for all of them.
func BenchmarkPuzzles(b *testing.B) {
	needBatches(b)
	ways := puzzleWays()
	table := puzzleHeader(ways)
	for _, name := range puzzles(b) {
		target, judge := openPuzzle(b, name)
		table += "| " + name
		for _, way := range ways {
			cell := ""
			b.Run(name+"/"+way.name, func(b *testing.B) {
				median := attempt{}
				for b.Loop() {
					median = medianAttempt(b, target, judge, way)
				}
				cell = median.String()
				b.ReportMetric(float64(median.rank()), "solved")
				b.ReportMetric(float64(median.execs), "execs")
				b.ReportMetric(median.took.Seconds(), "cpu-s")
				b.ReportMetric(0, "ns/op")
			})
			table += " | " + cell
		}
		table += " |\n"
	}
	b.Log("\n" + table)
}

func puzzleHeader(ways []puzzleWay) string {
	names, rule := "| ", "|---"
	for _, way := range ways {
		names += " | " + way.name
		rule += "|---"
	}
	return names + " |\n" + rule + "|\n"
}

// medianAttempt is the median of several seeds, where those that did not solve the
// puzzle come last.
func medianAttempt(b *testing.B, target *Target, judge *triage.Judge, way puzzleWay) attempt {
	var list []attempt
	missed := 0
	for seed := range uint64(puzzleSeeds) {
		a, err := solvePuzzle(b.Context(), target, judge, way, seed, puzzleExecs)
		if err != nil {
			b.Fatal(err)
		}
		if list = append(list, a); !a.solved {
			missed++
		}
		if missed > puzzleSeeds/2 {
			return a // whatever the others come to
		}
	}
	slices.SortFunc(list, func(x, y attempt) int {
		if x.solved != y.solved {
			return cmp.Compare(y.rank(), x.rank())
		}
		return cmp.Compare(x.execs, y.execs)
	})
	return list[puzzleSeeds/2]
}

func (a attempt) rank() int {
	if a.solved {
		return 1
	}
	return 0
}

func (a attempt) String() string {
	if !a.solved {
		return "-"
	}
	return fmt.Sprintf("%d, %.2f s", a.execs, a.took.Seconds())
}
