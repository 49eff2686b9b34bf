package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/corpus/pcap"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/mutate"
)

// mergeFlags are the flags of merge.
type mergeFlags struct {
	frontierFlags
	out     string
	workers int
}

func newMerge(u *ui) *cobra.Command {
	f := &mergeFlags{}
	cmd := &cobra.Command{
		Use:   "merge [flags] -o DIR [OBJECT] CORPUS...",
		Short: "Make of many corpora one that is as small as can be and covers the same",
		Long: `Merge runs every input of the corpora, each from the initial state, and writes to DIR a
selection that covers the same: edges, how often loops go round (in powers of two), which
way comparisons go, and how near they come to going the other way. Small inputs are
preferred (bytes times steps), then those that do less. What is written follows from the
inputs, whatever their order and the number of workers. It is run once more before it is
written: what only happens at times is said, and an input that it happened with is kept.

CORPUS is an output directory of bpffuzz run, a directory of corpus files, a package of
Go or its testdata/fuzz/FuzzXxx, what AFL or libFuzzer left, a capture, a raw packet, or
a directory of such files.

DIR is a directory of corpus files, which run --seeds, import and go test read; an output
directory of bpffuzz run gets them in its corpus. It has to be new, empty, or one of the
corpora: that is then merged in place, and files go only when what takes their place is on
stable storage. Findings stay.

The program is the one that the first output directory among the corpora is about, unless
OBJECT or a target file names it.`,
		Example: `  bpffuzz merge -o small bpffuzz-out/firewall other-machine/firewall
  bpffuzz merge -o bpffuzz-out/firewall bpffuzz-out/firewall
  bpffuzz merge -c target.yaml -o seeds traffic.pcap afl-out testdata/fuzz/FuzzFirewall`,
		Args:              pointed(cobra.MinimumNArgs(1)),
		ValidArgsFunction: completeObject,
		RunE:              func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), u, args) },
	}
	f.register(cmd)
	flags := cmd.Flags()
	flags.StringVarP(&f.out, "output", "o", "", "`directory` of corpus files, or output directory of bpffuzz run, that is written")
	flags.IntVarP(&f.workers, "workers", "j", runtime.GOMAXPROCS(0), "workers, each with a thread, programs and maps of its own")
	flags.BoolVar(&f.json, "json", false, "write a summary as the last line of standard output, one JSON object")
	_ = cmd.MarkFlagDirname("output")
	return cmd
}

func (f *mergeFlags) run(ctx context.Context, u *ui, args []string) error {
	if f.out == "" {
		return usageError("no destination: name a directory with -o")
	}
	if err := checkWorkers(f.workers); err != nil {
		return err
	}
	corpora, err := f.choose(args)
	if err != nil {
		return err
	}
	to, err := openMergeOutput(f.out, corpora)
	if err != nil {
		return err
	}
	return errors.Join(f.merge(ctx, u, to, corpora), to.Close())
}

// choose settles which program is run and returns the corpora.
func (f *mergeFlags) choose(args []string) ([]string, error) {
	corpora := args
	if f.config == "" && !f.kernel.loaded() && !isELF(args[0]) {
		for _, path := range args {
			if isFile(filepath.Join(path, ownerFile)) {
				return corpora, f.adopt(path, nil)
			}
		}
		return nil, usageError("no object: none of the corpora is an output directory that says which program it is about; name a compiled BPF object, or a target file with -c")
	}
	corpora, err := f.read(args)
	if err != nil {
		return nil, err
	}
	if f.kernel.loaded() {
		return nil, usageError("merge needs the object: a program that is loaded already (%s) cannot be instrumented", f.kernel.which)
	}
	if len(corpora) == 0 {
		return nil, usageError("nothing to merge: name output directories, corpora, captures or packets")
	}
	return corpora, nil
}

// maxMergeSteps is how many steps inputs may have, whatever their target file says.
const maxMergeSteps = 256

func (f *mergeFlags) merge(ctx context.Context, u *ui, to *mergeOutput, corpora []string) error {
	s, err := f.load(u, maxMergeSteps)
	if err != nil {
		return err
	}
	if err := f.settle(u, s, to); err != nil {
		return err
	}
	table := s.target.Table()
	u.say("merging corpora of %s (%s) of %s: %s, %s, %s", s.target.Shape().Program, s.target.Shape().Type, s.path,
		count(table.Observable(), "edge"), count(len(table.Comparisons), "comparison"), count(f.workers, "worker"))
	reader := &mergeReader{gatherer: gatherer{warn: func(err error) { u.warn("%v", err) }, noFatal: true}, shape: s.target.Shape(), ran: to.ran}
	merged, err := fuzz.Merge(ctx, s.target, reader.inputs(corpora), fuzz.MergeOptions{
		Workers: f.workers,
		Progress: func(p fuzz.MergeProgress) {
			u.say("elapsed: %s, inputs: %d (%.0f/sec), held: %d", p.Elapsed.Round(time.Second), p.Inputs, float64(p.Inputs)/p.Elapsed.Seconds(), p.Held)
		},
	})
	if err = errors.Join(err, reader.err); err != nil {
		return to.explain(ctx, err)
	}
	reader.say(u)
	if len(merged.Inputs) == 0 {
		return fmt.Errorf("none of %s covers anything of %s: nothing is written; is it the program that they are for?", count(merged.Read, "input"), s.target.Shape().Program)
	}
	removed, err := to.write(merged.Inputs)
	if err != nil {
		return err
	}
	return f.tell(u, to, newMergeSummary(table, merged, to.path, removed))
}

// settle makes sure that an output directory is about the program that is run.
func (f *mergeFlags) settle(u *ui, s *subject, to *mergeOutput) error {
	if to.claim == nil {
		return nil
	}
	who, err := newOwner(s, &f.targetFlags)
	if err != nil {
		return err
	}
	return who.settle(f.out, u)
}

// tell says what came of it.
func (f *mergeFlags) tell(u *ui, to *mergeOutput, m *mergeSummary) error {
	u.say("%s (%s) merged to %d (%s) in %s", count(m.InputsBefore, "input"), count(int(m.BytesBefore), "byte"), m.Inputs, count(m.Bytes, "byte"), to.path)
	u.say("they cover %d of %s, %s, %d ways of comparisons and come near to %d", m.Edges, count(m.Total, "edge"), count(m.Loops, "loop count"), m.Ways, m.Near)
	if n := len(m.Unstable); n > 0 {
		u.say("unstable: %s covered only at times: inputs that did are kept%s", wereOf(n, "feature"), listed(u, m.Unstable))
	}
	if n := len(m.Missed); n > 0 {
		u.say("missed: %s not covered again when the result was run: inputs that did once are kept%s", wereOf(n, "feature"), listed(u, m.Missed))
	}
	if m.Removed > 0 {
		u.say("%s of %s removed: others cover what they did", count(m.Removed, "file"), to.path)
	}
	if f.json {
		return u.printJSON(m)
	}
	return nil
}

func wereOf(n int, what string) string {
	if n == 1 {
		return count(n, what) + " was"
	}
	return count(n, what) + " were"
}

// listed says what is meant, with -v all of it.
func listed(u *ui, labels []string) string {
	text := ""
	for i, label := range labels {
		if i == 3 && !u.verbose {
			return text + fmt.Sprintf("\nbpffuzz:   and %d more, shown with -v", len(labels)-i)
		}
		text += "\nbpffuzz:   " + label
	}
	return text
}

// mergeSummary is what merge --json shows.
type mergeSummary struct {
	Output string `json:"output"`
	// Inputs were run, of which some are left; Bytes are those of their packets,
	// contexts and so on.
	InputsBefore int   `json:"inputs_before"`
	BytesBefore  int64 `json:"bytes_before"`
	Inputs       int   `json:"inputs"`
	Bytes        int   `json:"bytes"`
	// Removed counts files that are gone, of a corpus that was merged in place.
	Removed int `json:"removed"`
	// Edges of Total observable ones are covered, Loops buckets of loop counts, Ways that
	// comparisons went, and Near those that they did not go and came near to.
	Edges int `json:"edges_found"`
	Total int `json:"total_edges"`
	Loops int `json:"loop_counts"`
	Ways  int `json:"comparison_ways"`
	Near  int `json:"comparisons_near"`
	// Unstable lists what no input covered in both of two runs, Missed what the result
	// did not cover again.
	Unstable []string `json:"unstable"`
	Missed   []string `json:"missed"`
	Seconds  float64  `json:"seconds"`
}

func newMergeSummary(table *cover.Table, m *fuzz.Merged, path string, removed int) *mergeSummary {
	s := &mergeSummary{
		Output: path, InputsBefore: m.Read, BytesBefore: m.ReadBytes, Inputs: len(m.Inputs), Removed: removed,
		Edges: m.Before.Edges, Total: table.Observable(), Loops: m.Before.Loops, Ways: m.Before.Ways, Near: m.Before.Near,
		Unstable: []string{}, Missed: []string{}, Seconds: m.Elapsed.Seconds(),
	}
	for _, in := range m.Inputs {
		s.Bytes += in.Len()
	}
	for _, feature := range m.Unstable {
		s.Unstable = append(s.Unstable, table.FeatureLabel(feature))
	}
	for _, feature := range m.Missed {
		s.Missed = append(s.Missed, table.FeatureLabel(feature))
	}
	return s
}

// mergeReader reads inputs that a target takes.
type mergeReader struct {
	gatherer
	shape *corpus.Shape
	// ran is told the name of each input that is run.
	ran func(name string)
}

func (r *mergeReader) inputs(corpora []string) iter.Seq[*corpus.Input] {
	return func(yield func(*corpus.Input) bool) {
		for one := range r.each(corpora) {
			if one.frames && pcap.FormOf(r.shape) == pcap.Payload {
				if one.in = carried(one.in); len(one.in.Steps) == 0 {
					r.leave(one.name, "a frame", "carries nothing over TCP or UDP, and the program takes payload")
					continue
				}
			}
			in, err := mutate.Fit(r.shape, one.in)
			if err != nil {
				r.skip(fmt.Errorf("%s cannot be run: %w", one.name, err))
				continue
			}
			if r.ran(one.name); !yield(in) {
				return
			}
		}
	}
}
