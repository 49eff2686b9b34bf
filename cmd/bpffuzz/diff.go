package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/triage"
	"github.com/bpffuzz/bpffuzz/triage/report"
)

// diffFlags are the flags of diff. Those of a run are the old program's.
type diffFlags struct {
	runFlags
	ignore []string
	all    bool
}

// defaultDiffExecs is how many executions diff takes when nothing limits it.
const defaultDiffExecs = 1_000_000

func newDiff(u *ui) *cobra.Command {
	f := &diffFlags{}
	cmd := &cobra.Command{
		Use:   "diff [flags] OLD NEW [INPUT...]",
		Short: "Find inputs to which two builds of a program answer differently",
		Long: `Diff fuzzes two builds of a program with the same inputs and the same initial state,
guided by the coverage of both, and reports the first input, confirmed and minimised,
after which verdict, packet, context or maps differ. With --all it goes on and reports
each kind of difference and each place once. It ends after a million executions, unless
-d or --execs says otherwise.

Verdicts and packets are compared in each run; contexts and maps in those that reach
something new, and in one in --sample others. Global variables are not compared: builds
need not have the same.

--ignore leaves out what may differ: verdict, packet, out.len, out.LAYER, out.LAYER.FIELD,
ctx, ctx.FIELD, maps or map("NAME").

With INPUTs it runs these, which may be findings, corpus files, captures or packets, and
nothing else.

The exit code is 1 when there is a difference.`,
		Example: `  bpffuzz diff old/firewall.o new/firewall.o
  bpffuzz diff --ignore out.ipv4.ttl --ignore out.ipv4.check -d 1m old.o new.o
  bpffuzz diff -c target.yaml --seeds traffic.pcap old.o new.o
  bpffuzz diff old.o new.o bpffuzz-out/diff-firewall/findings/diff-verdict-firewall-1f2e3d4c`,
		Args:              pointed(cobra.MinimumNArgs(2)),
		ValidArgsFunction: completeObject,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("seed") {
				f.seed = rand.Uint64()
			}
			return f.run(cmd.Context(), u, args)
		},
	}
	f.registerDiff(cmd)
	return cmd
}

func (f *diffFlags) registerDiff(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&f.config, "config", "c", "", "target `file` in YAML, for both builds: program, maps, variables ...")
	flags.StringVarP(&f.program, "program", "p", "", "`name` of the program in both (default: the only one that can be run)")
	flags.BoolVar(&f.realHelpers, "real-helpers", false, "have the kernel answer helpers for time, chance and the processor, not the input")
	flags.DurationVarP(&f.duration, "duration", "d", 0, "end after so `long`, such as 30s or 8h")
	flags.Uint64Var(&f.execs, "execs", 0, "end after about so many executions of each program")
	flags.IntVarP(&f.workers, "workers", "j", 1, "workers, each with two threads and programs and maps of its own")
	flags.Uint64Var(&f.seed, "seed", 0, "seed of every random choice (default: another one each time, which is printed)")
	flags.StringVarP(&f.out, "output", "o", "", "output `directory` (default bpffuzz-out/diff-PROGRAM)")
	flags.StringArrayVar(&f.seeds, "seeds", nil, "capture (pcap, pcapng), raw packet, corpus file, or directory of such to start from (may be repeated)")
	flags.StringVar(&f.executor, "executor", "auto", "how to run the programs: auto, batch or single")
	flags.IntVar(&f.sample, "sample", 100, "compare contexts and maps of one input in so `many`, besides those that reach something new")
	flags.StringArrayVar(&f.ignore, "ignore", nil, "leave out `what` may differ, such as out.ipv4.ttl, ctx.mark, map(\"seen\") or var(\"hits\") (may be repeated)")
	flags.BoolVar(&f.all, "all", false, "go on behind the first difference")
	flags.BoolVar(&f.json, "json", false, "write a summary as the last line of standard output, one JSON object")
	_ = cmd.RegisterFlagCompletionFunc("executor", cobra.FixedCompletions([]string{"auto", "batch", "single"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
	_ = cmd.MarkFlagDirname("output")
}

// twoBuilds is what is compared.
type twoBuilds struct {
	old, now *subject
	pair     *fuzz.Pair
}

func (f *diffFlags) run(ctx context.Context, u *ui, args []string) error {
	if f.journal = journalOff; f.duration == 0 && f.execs == 0 {
		f.execs = defaultDiffExecs
	}
	if err := f.check(); err != nil {
		return err
	}
	inputs, err := f.inputsOf(u, args[2:])
	if err != nil {
		return err
	}
	builds, err := f.loadBoth(u, args[0], args[1], longest(inputs))
	if err != nil {
		return err
	}
	if len(inputs) > 0 {
		return f.replayBoth(ctx, u, builds, inputs)
	}
	return f.fuzzBoth(ctx, u, builds)
}

// inputsOf reads the inputs that are to be run, if there are any.
func (f *diffFlags) inputsOf(u *ui, paths []string) ([]named, error) {
	if len(paths) == 0 {
		return nil, nil
	}
	return f.readInputs(u, paths, false)
}

// loadBoth makes a pair of the two builds.
func (f *diffFlags) loadBoth(u *ui, old, now string, steps int) (*twoBuilds, error) {
	ignored, err := fuzz.ParseIgnored(f.ignore)
	if err != nil {
		return nil, usageError("--ignore: %w", err)
	}
	for _, path := range []string{old, now} {
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("reading object: %w", err)
		}
		if !isELF(path) {
			return nil, usageError("%s is no object: name the old build, then the new one", path)
		}
	}
	f.how, f.live.frames = f.executor, 1 // which is no live frame
	if _, err := f.read([]string{old}); err != nil {
		return nil, err
	}
	b := &twoBuilds{}
	if b.old, err = f.load(u, steps); err != nil {
		return nil, fmt.Errorf("the old build: %w", err)
	}
	other := f.targetFlags
	other.object = now
	if b.now, err = other.load(u, steps); err != nil {
		return nil, fmt.Errorf("the new build: %w", err)
	}
	b.pair, err = fuzz.NewPair(b.old.target, b.now.target, ignored)
	return b, err
}

func (f *diffFlags) fuzzBoth(ctx context.Context, u *ui, b *twoBuilds) error {
	out, err := f.openDiff(u, b)
	if err != nil {
		return err
	}
	return cmp.Or(f.fuzzInto(ctx, u, b, out), out.Close())
}

func (f *diffFlags) openDiff(u *ui, b *twoBuilds) (*output, error) {
	program := b.pair.Shape().Program
	if f.out == "" {
		f.out = filepath.Join("bpffuzz-out", filepath.Base(filepath.Join("/", "diff-"+program)))
	}
	who, err := newOwner(b.old, &f.targetFlags)
	if err != nil {
		return nil, err
	}
	who.Program = "diff " + program // else a run on the old build could be taken for it
	return openOutput(f.out, who, report.Options{Command: f.command(b)}, u)
}

// command runs a finding in both builds again.
func (f *diffFlags) command(b *twoBuilds) string {
	words := []string{program(), "diff"}
	if os.Getenv("SUDO_UID") != "" {
		words = append([]string{"sudo"}, words...)
	}
	if f.config != "" {
		words = append(words, "-c", report.ShellWord(f.config))
	}
	if f.program != "" {
		words = append(words, "-p", report.ShellWord(f.program))
	}
	if f.realHelpers {
		words = append(words, "--real-helpers")
	}
	for _, what := range f.ignore {
		words = append(words, "--ignore", report.ShellWord(what))
	}
	return strings.Join(append(words, report.ShellWord(b.old.path), report.ShellWord(b.now.path), "FINDING"), " ")
}

func (f *diffFlags) fuzzInto(ctx context.Context, u *ui, b *twoBuilds, out *output) error {
	both := &subject{path: b.old.path, target: b.old.target}
	opts := fuzz.Options{
		Workers: f.workers, Seed: f.seed, Duration: f.duration, Execs: f.execs, Sample: f.sample, StopOnFinding: !f.all,
		Judge: triage.NewJudge(fuzz.Differences(), nil), Keep: out.corpus.Add, Report: out.report, Unconfirmed: out.aside,
		Triage: triage.Options{Table: b.pair.Table(), Shape: b.pair.Shape()},
		Warn:   func(err error) { u.warn("%v", err) },
	}
	var err error
	if opts.Seeds, err = f.readSeeds(ctx, u, both, out); err != nil {
		return err
	}
	progress := newProgress(u, out, func() {})
	opts.Progress = progress.tick
	u.say("comparing %s (%s) of %s with that of %s: %s, seed %d, output in %s", b.pair.Shape().Program, b.pair.Shape().Type,
		b.old.path, b.now.path, count(b.pair.Table().Observable(), "edge"), f.seed, out.dir)
	result, err := fuzz.Run(ctx, b.pair, opts)
	if err != nil {
		return err
	}
	return f.finishDiff(u, out, result)
}

// finishDiff says what came of it.
func (f *diffFlags) finishDiff(u *ui, out *output, result *fuzz.Result) error {
	s := newSummary(&result.Stats, out.list(), out)
	u.say("%s", progressLine(&result.Stats, result.Stats.Rate()))
	if n := result.Stats.Unconfirmed; n > 0 {
		u.say("unconfirmed: %s did not differ again from the initial state%s", count(int(n), "input"), out.asideText())
	}
	if err := errors.Join(out.recount(result.Findings), out.write(s)); err != nil {
		return fmt.Errorf("writing the statistics to %s: %w", out.dir, explainFull(err))
	}
	if f.json {
		if err := u.printJSON(s); err != nil {
			return err
		}
	}
	if out.counts(out.list()) {
		return errFindings
	}
	u.say("no difference in %s", count(int(result.Stats.Execs), "execution"))
	return nil
}

// replayBoth runs inputs in both and says what differs.
func (f *diffFlags) replayBoth(ctx context.Context, u *ui, b *twoBuilds, all []named) error {
	all, err := fitting(u, &subject{path: b.old.path, target: b.old.target}, all)
	if err != nil {
		return err
	}
	results := []diffedInput{}
	differ := 0
	err = withExecutor(b.pair, func(exec fuzz.Executor) error {
		p := newPlayer(exec, b.pair.Shape())
		for _, one := range all {
			r, err := diffInput(ctx, p, one)
			if err != nil {
				return err
			}
			if len(r.Differences) > 0 {
				differ++
			}
			if results = append(results, r); !f.json {
				u.print(r.text())
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if f.json {
		err = u.printJSON(struct {
			Different int           `json:"different"`
			Inputs    []diffedInput `json:"inputs"`
		}{differ, results})
	}
	if err == nil && differ > 0 {
		return errFindings
	}
	return err
}

// diffedInput is what two builds do differently with an input.
type diffedInput struct {
	Name        string           `json:"name"`
	Differences []diffDifference `json:"differences"`
}

type diffDifference struct {
	Kind string `json:"kind"`
	Text string `json:"text"`
}

func diffInput(ctx context.Context, p *player, one named) (diffedInput, error) {
	r := diffedInput{Name: one.name, Differences: []diffDifference{}}
	if err := p.recreate(ctx); err != nil {
		return r, err
	}
	oracles := fuzz.Differences()
	want := triage.NewJudge(oracles, nil).Need() | corpus.HaveRet
	out, err := p.rerun(ctx, one.in, want)
	if err != nil {
		return r, fmt.Errorf("running %s: %w", one.name, err)
	}
	for _, o := range oracles {
		if err := o.Judge(one.in, out); err != nil {
			r.Differences = append(r.Differences, diffDifference{o.Name, err.Error()})
		}
	}
	return r, nil
}

func (r *diffedInput) text() string {
	if len(r.Differences) == 0 {
		return r.Name + ": no difference\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", r.Name)
	for _, d := range r.Differences {
		fmt.Fprintf(&b, "  %s: %s\n", d.Kind, d.Text)
	}
	return b.String()
}
