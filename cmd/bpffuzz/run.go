package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
	"github.com/bpffuzz/bpffuzz/mutate"
	"github.com/bpffuzz/bpffuzz/triage"
	"github.com/bpffuzz/bpffuzz/triage/report"
)

// runFlags are the flags of run.
type runFlags struct {
	targetFlags
	watch         watchFlags
	exchange      exchangeFlags
	sharing       *sharing // nil where nothing is shared
	duration      time.Duration
	execs, seed   uint64
	workers       int
	workersGiven  bool
	out           string
	seeds         []string
	dict          string
	executor      string
	state         string
	journal       string
	sample        int
	stopOnFinding bool
	json          bool
}

func newRun(u *ui) *cobra.Command {
	f := &runFlags{}
	cmd := &cobra.Command{
		Use:   "run [flags] [OBJECT]",
		Short: "Fuzz a program of a compiled object",
		Long: `Run fuzzes a program until it is interrupted or a limit is reached. OBJECT is
what clang -target bpf made; a target file (-c) may name it instead, together
with the program, contents of maps, invariants and seeds.

Everything that is worth keeping goes to the output directory:

  corpus/     an input per file that reached something new, in the format of go test fuzz
  corpus.pack a copy of a corpus of many thousand files in one, which is read faster
  findings/   a directory per finding: input, input.pcap, report.txt, report.json, and
              repro_test.go, repro.sh, repro.c and repro.py, which run it elsewhere
  unconfirmed/  a few failures that did not happen again from the initial state, each with
              the inputs that ran before it
  journal/    inputs in flight; it is gone when a run ends in order, and run again first
              when one does not
  corrupt/    files of corpus and journal that could not be read
  stats.json  the state of the run, and plot.csv a line of it every three seconds
  target.json the program that the directory is about

On a terminal it shows a screen, see ? there; --no-tui writes lines, as ever where
there is none.

A run on a directory that is there goes on from what it holds, if that is of the
same program and no other process is at it. With one worker, a
seed and a limit on executions, a run from an empty directory can be repeated
exactly.`,
		Example: `  bpffuzz run firewall.o
  bpffuzz run -p xdp_balance -d 10m -j 4 lb.o
  bpffuzz run -c target.yaml --stop-on-finding
  bpffuzz run --seeds traffic.pcap --dict words.dict --invariant 'ret <= 4' lb.o
  bpffuzz run -c target.yaml --seed 1 -j 1 --execs 1000000 --json | tail -n 1 | jq .edges_found`,
		Args:              pointed(cobra.MaximumNArgs(1)),
		ValidArgsFunction: completeObject,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("seed") {
				f.seed = rand.Uint64()
			}
			f.workersGiven = cmd.Flags().Changed("workers")
			return f.run(cmd.Context(), u, args)
		},
	}
	f.register(cmd)
	return cmd
}

func (f *runFlags) register(cmd *cobra.Command) {
	f.targetFlags.register(cmd)
	f.watch.register(cmd)
	f.exchange.register(cmd)
	flags := cmd.Flags()
	flags.DurationVarP(&f.duration, "duration", "d", 0, "end after so `long`, such as 30s or 8h (default: when interrupted)")
	flags.Uint64Var(&f.execs, "execs", 0, "end after about so many executions of the program (default: when interrupted)")
	flags.IntVarP(&f.workers, "workers", "j", runtime.GOMAXPROCS(0), "workers, each with a thread, programs and maps of its own")
	flags.Uint64Var(&f.seed, "seed", 0, "seed of every random choice (default: another one each time, which is printed)")
	flags.StringVarP(&f.out, "output", "o", "", "output `directory` (default bpffuzz-out/PROGRAM)")
	flags.StringArrayVar(&f.seeds, "seeds", nil, "capture (pcap, pcapng), raw packet, corpus file, or directory of such to start from (may be repeated)")
	flags.StringVar(&f.dict, "dict", "", "dictionary `file` as AFL and libFuzzer write them")
	flags.StringVar(&f.executor, "executor", "auto", "how to run the program: auto, batch or single")
	flags.StringVar(&f.state, "state", "", "what happens to `map` state: reset puts it back before each batch, keep never (default the target file's, or reset)")
	flags.StringVar(&f.journal, "journal", journalOn, "note inputs before they run, for the next run after one that is killed: `on`, sync (each batch on stable storage, for a machine that may go down) or off")
	flags.IntVar(&f.sample, "sample", 1000, "judge one input in so `many` alone, by the oracles that batches cannot ask, besides those that reach something new")
	flags.BoolVar(&f.stopOnFinding, "stop-on-finding", false, "end with the first finding that is not marked as known")
	flags.BoolVar(&f.json, "json", false, "write a summary as the last line of standard output, one JSON object")
	_ = cmd.RegisterFlagCompletionFunc("executor", cobra.FixedCompletions([]string{"auto", "batch", "single"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions([]string{"reset", "keep"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("journal", cobra.FixedCompletions([]string{journalOn, journalSync, journalOff}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.MarkFlagDirname("output")
}

// check refuses flags that make no sense before anything is loaded.
func (f *runFlags) check() error {
	if err := cmp.Or(checkExecutor(f.executor), checkJournal(f.journal)); err != nil {
		return err
	}
	switch f.state {
	case "", "reset", "keep":
	default:
		return usageError("--state %q: choose reset or keep", f.state)
	}
	if f.sample < 1 {
		return usageError("--sample %d: choose 1 for every input, or more", f.sample)
	}
	if err := cmp.Or(checkWorkers(f.workers), f.watch.check(), f.exchange.check()); err != nil {
		return err
	}
	if f.duration < 0 {
		return usageError("--duration %s: a run cannot end before it starts", f.duration)
	}
	return nil
}

func checkExecutor(name string) error {
	switch name {
	case "auto", "batch", "single":
		return nil
	}
	return usageError("--executor %q: choose auto, batch or single", name)
}

func checkWorkers(n int) error {
	if n < 1 || n > 1024 {
		return usageError("--workers %d: choose 1 to 1024", n)
	}
	return nil
}

func (f *runFlags) run(ctx context.Context, u *ui, args []string) error {
	if err := f.check(); err != nil {
		return err
	}
	if _, err := f.read(args); err != nil {
		return err
	}
	if err := f.prepare(u, f.workersGiven); err != nil {
		return err
	}
	opts := fuzz.Options{
		Workers: f.workers, Seed: f.seed, Duration: f.duration, Execs: f.execs, Sample: f.sample, StopOnFinding: f.stopOnFinding,
		Warn: func(err error) { u.warn("%v", err) },
	}
	if f.dict != "" {
		words, err := readDictionary(f.dict)
		if err != nil {
			return err
		}
		opts.Mutate = mutate.Options{Dictionary: words}
	}
	f.how, f.keeping = f.executor, cmp.Or(f.state, f.file.State)
	subject, err := f.load(u, 0)
	if err != nil {
		return f.asFinding(u, err)
	}
	if err := sayVerified(u, subject.target); err != nil {
		return err
	}
	opts.Judge = subject.judge()
	if err := f.checkEvery(opts.Judge); err != nil {
		return err
	}
	out, err := f.openOutput(u, subject)
	if err != nil {
		return err
	}
	err = f.resumed(ctx, u, subject, out, opts)
	clean := err == nil || errors.Is(err, errFindings)
	return cmp.Or(err, out.closeJournal(clean), out.Close())
}

// resumed goes on from what is in the output directory.
func (f *runFlags) resumed(ctx context.Context, u *ui, s *subject, out *output, opts fuzz.Options) error {
	err := out.openJournal(f.journal, s.target.Shape())
	if err != nil {
		return err
	}
	if opts.Seeds, err = f.readSeeds(ctx, u, s, out); err != nil {
		return err
	}
	if err := out.resume(&opts, s.target.Shape()); err != nil {
		return err
	}
	return f.fuzz(ctx, u, s, out, opts)
}

// checkEvery refuses batches where an invariant needs every run by itself.
func (f *runFlags) checkEvery(judge *triage.Judge) error {
	if f.executor != "batch" {
		return nil
	}
	if one := judge.EveryNeeding(corpus.HaveContext | corpus.HaveMaps | corpus.HaveInsns); len(one) > 0 {
		return usageError("--executor batch: %s is asked about every run and reads what batches do not record: leave out every: true, or choose auto or single", strings.Join(one, ", "))
	}
	return nil
}

// nameOf is the program's name as a file name: it is the object's and must not lead
// elsewhere.
func nameOf(s *subject) string { return filepath.Base(filepath.Join("/", s.target.Shape().Program)) }

func (f *runFlags) openOutput(u *ui, s *subject) (*output, error) {
	if f.out == "" {
		f.out = filepath.Join("bpffuzz-out", nameOf(s))
	}
	who, err := newOwner(s, &f.targetFlags)
	if err != nil {
		return nil, err
	}
	out, err := openOutput(f.out, who, report.Options{Command: replayCommand(&f.targetFlags), Recipe: f.recipe(s)}, u)
	if err == nil {
		out.kept = f.keeping == "keep"
	}
	return out, err
}

// fuzz fuzzes while others may watch.
func (f *runFlags) fuzz(ctx context.Context, u *ui, s *subject, out *output, opts fuzz.Options) error {
	board := &campaign.Board{}
	board.Update(func(now *campaign.Status) {
		now.Title, now.Started, now.Workers = s.target.Shape().Program, time.Now(), f.workers
	})
	publish := newPublisher(board, nameOf(s))
	details := newDetails(func(string) (*asked, error) {
		return &asked{out.dir, func() (*subject, *targetFlags, error) { return s, &f.targetFlags, nil }}, nil
	})
	watching, err := f.watch.start(ctx, u, watched{board: board, blocked: details.Frontier, details: details})
	if err != nil {
		return err
	}
	defer watching.unshow() // a panic is to be read
	publish.begin(s, out, &opts)
	opts.Panicking = u.reclaim
	if f.sharing, err = f.exchange.open(ctx, u, out.dir); err == nil {
		err = f.watched(ctx, u, s, out, opts, publish, watching.unshow)
	}
	return cmp.Or(err, f.sharing.Close(), watching.Close())
}

// watched runs the engine and says what it does and what came of it.
func (f *runFlags) watched(ctx context.Context, u *ui, s *subject, out *output, opts fuzz.Options, publish *publisher, ended func()) error {
	opts.Triage = triage.Options{Table: s.target.Table(), Shape: s.target.Shape()}
	opts.Keep = out.corpus.Add
	opts.Report = out.report
	opts.Known = out.isKnown
	opts.Unconfirmed = out.aside
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	progress := newProgress(u, out, cancel)
	opts.ProgressEvery = time.Second
	out.live = s.target.LiveReport
	opts.Progress = func(s fuzz.Stats) { publish.tick(s); progress.second(s) }
	u.say("fuzzing %s (%s) of %s: %s, %s, seed %d, output in %s", s.target.Shape().Program, s.target.Shape().Type,
		s.path, count(s.target.Table().Observable(), "edge"), count(f.workers, "worker"), f.seed, out.dir)
	shared, err := f.sharing.join(ctx, s, out, &opts, publish)
	if err != nil {
		return err
	}
	result, err := fuzz.Run(ctx, s.target, opts)
	publish.end(result, err)
	ended()
	if err := shared.Close(); err != nil {
		u.warn("%v", err)
	}
	if result != nil && (err == nil || result.Stats.Execs > 0) {
		// What went wrong first is the reason for what went wrong later.
		progress.introduce(&result.Stats)
		sayLive(u, s.target.LiveReport())
		finish := f.finish(u, out, s, result, progress.said(&result.Stats))
		err = cmp.Or(err, progress.err, finish)
	}
	if err != nil {
		return err
	}
	if out.counts(out.list()) {
		return errFindings
	}
	return nil
}

// finish writes and prints the last state, unless it was said a moment ago.
func (f *runFlags) finish(u *ui, out *output, target *subject, result *fuzz.Result, said bool) error {
	s := newSummary(&result.Stats, out.list(), out)
	if !said {
		u.say("%s", progressLine(&result.Stats, result.Stats.Rate()))
	}
	if n := result.Stats.Unconfirmed; n > 0 {
		u.say("unconfirmed: %s did not fail again from the initial state%s", count(int(n), "failing input"), out.asideText())
	}
	if n := len(s.Findings); n > 0 {
		u.say("%s in %s", count(n, "finding"), out.findings.Dir())
	}
	f.sayFrontier(u, out, target, result)
	if err := out.recount(result.Findings); err != nil {
		u.warn("%v", err)
	}
	err := out.write(s)
	if err != nil {
		err = fmt.Errorf("writing the statistics to %s: %w", out.dir, explainFull(err))
	}
	if f.json {
		return errors.Join(err, u.printJSON(s))
	}
	return err
}
