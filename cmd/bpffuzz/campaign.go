package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf"
	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
)

// campaignFlags are the flags of campaign.
type campaignFlags struct {
	watch          watchFlags
	exchange       exchangeFlags
	sharing        *sharing // nil where nothing is shared
	duration, turn time.Duration
	workers        int
	seed           uint64
	out, baseline  string
	mode           string
	only           []string
	journal        string
	list, json     bool
	anew           bool

	file    *campaign.File
	targets []campaign.Target
}

func newCampaign(u *ui) *cobra.Command {
	f := &campaignFlags{}
	cmd := &cobra.Command{
		Use:   "campaign [flags] FILE.yaml",
		Short: "Fuzz many targets for long, by turns",
		Long: `Campaign fuzzes the targets of a file: objects x programs x variants. The workers take
turns at them, and the time is shared by what each target still gains. Each has an
output directory of its own below that of the campaign, just as run writes it, so that
findings, cover, frontier and the other commands read it.

Modes:

  nightly     fuzz until the duration is over (the default)
  pr          run what is saved again, then fuzz for the duration; only a finding that
              the baseline does not have makes the exit code 1
  regression  run all findings and corpora that are saved, and nothing else

A campaign that is stopped, or killed, goes on where it stopped when it is started
again. A target that cannot be loaded is tried again later, and the others go on. When
an object was built again, its corpus is kept and its findings are run again.

Exit codes: 0 nothing is new, 1 there are new findings (with regression: some that are
not marked as known fail), 2 no target could run (with pr and regression: some could not).`,
		Example: `  bpffuzz campaign nightly.yaml
  bpffuzz campaign --list nightly.yaml
  bpffuzz campaign --mode pr -d 5m --baseline /var/lib/bpffuzz/nightly -o pr nightly.yaml
  bpffuzz campaign --mode regression --json nightly.yaml | jq .targets`,
		Args: pointed(cobra.ExactArgs(1)),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), u, args[0]) },
	}
	f.register(cmd)
	return cmd
}

func (f *campaignFlags) register(cmd *cobra.Command) {
	f.watch.register(cmd)
	f.exchange.register(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.mode, "mode", "", "what for: nightly, pr or `regression` (default the file's, or nightly)")
	flags.DurationVarP(&f.duration, "duration", "d", 0, "fuzz for so `long`, over all targets (default the file's, or until interrupted)")
	flags.DurationVar(&f.turn, "turn", 0, "fuzz a target for so `long` at a time (default the file's, or 1m)")
	flags.IntVarP(&f.workers, "workers", "j", 0, "workers, over all targets (default the file's, or one for each processor)")
	flags.Uint64Var(&f.seed, "seed", 0, "seed of every random choice of a new campaign (default the file's, or another one each time)")
	flags.StringVarP(&f.out, "output", "o", "", "output `directory` (default the file's, or bpffuzz-out/FILE)")
	flags.StringVar(&f.baseline, "baseline", "", "with --mode pr, `directory` of another campaign whose findings are not new and whose corpora are run; it is only read")
	flags.StringArrayVar(&f.only, "only", nil, "leave out targets but those of this `name`, or pattern such as 'lb-*' (may be repeated)")
	flags.StringVar(&f.journal, "journal", journalOn, "as in run: `on`, sync or off")
	flags.BoolVar(&f.list, "list", false, "list the targets and end")
	flags.BoolVar(&f.anew, "anew", false, "begin the duration anew instead of going on with a campaign that was stopped")
	flags.BoolVar(&f.json, "json", false, "write a summary as the last line of standard output, one JSON object")
	_ = cmd.RegisterFlagCompletionFunc("mode", cobra.FixedCompletions([]string{"nightly", "pr", "regression"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.MarkFlagDirname("output")
	_ = cmd.MarkFlagDirname("baseline")
}

// check refuses flags that make no sense, and puts them in the place of what the file has.
func (f *campaignFlags) check() (err error) {
	f.watch.webhooks.more = f.file.Webhooks
	if err := errors.Join(f.watch.check(), f.exchange.check(), checkJournal(f.journal)); err != nil {
		return err
	}
	for flag, d := range map[string]time.Duration{"--duration": f.duration, "--turn": f.turn} {
		if d != 0 && d < time.Second {
			return usageError("%s %s: choose a second or more", flag, d)
		}
	}
	if f.workers != 0 {
		if err := checkWorkers(f.workers); err != nil {
			return err
		}
	}
	if f.mode != "" {
		if f.file.Mode, err = campaign.ParseMode(f.mode); err != nil {
			return usageError("--mode: %w", err)
		}
	}
	switch {
	case f.baseline != "" && f.file.Mode != campaign.PR:
		return usageError("--baseline is of --mode pr only")
	case f.baseline != "" && !exists(f.baseline):
		return usageError("--baseline %s: there is no such directory; name the output directory of another campaign", f.baseline)
	}
	f.override()
	return nil
}

// override puts flags over the file.
func (f *campaignFlags) override() {
	file := f.file
	if f.duration != 0 {
		file.Duration = f.duration
	}
	if f.turn != 0 {
		file.Turn = f.turn
	}
	if f.workers != 0 {
		file.Workers = f.workers
	}
	if file.Workers == 0 {
		file.Workers = runtime.GOMAXPROCS(0)
	}
	if f.seed != 0 {
		file.Seed = f.seed
	}
	if f.out != "" {
		file.Output = f.out
	}
	if file.Output == "" {
		name := filepath.Base(file.Path)
		file.Output = filepath.Join("bpffuzz-out", strings.TrimSuffix(name, filepath.Ext(name)))
	}
}

func (f *campaignFlags) run(ctx context.Context, u *ui, path string) (err error) {
	if f.file, err = campaign.ReadFile(path); err != nil {
		return err
	}
	if err := f.check(); err != nil {
		return err
	}
	if err := f.plan(); err != nil {
		return err
	}
	if f.list {
		return f.show(u)
	}
	held, err := claimDir(f.file.Output)
	if err != nil {
		return err
	}
	err = f.work(ctx, u)
	return errors.Join(err, held.Close())
}

// plan finds out which targets there are.
func (f *campaignFlags) plan() (err error) {
	if f.targets, err = f.file.Plan(fuzzable); err != nil {
		return err
	}
	for i := range f.targets {
		if err := f.checkSetup(&f.targets[i]); err != nil {
			return err
		}
	}
	if len(f.only) == 0 {
		return nil
	}
	for _, pattern := range f.only {
		if !slices.ContainsFunc(f.targets, func(t campaign.Target) bool { return matches(pattern, t.Name) }) {
			return usageError("--only %s: no target has such a name; --list shows them", pattern)
		}
	}
	f.targets = slices.DeleteFunc(f.targets, func(t campaign.Target) bool {
		return !slices.ContainsFunc(f.only, func(pattern string) bool { return matches(pattern, t.Name) })
	})
	return nil
}

func matches(pattern, name string) bool {
	ok, err := filepath.Match(pattern, name)
	return pattern == name || err == nil && ok
}

// fuzzable lists the programs of an object that can be fuzzed.
func fuzzable(path string) ([]string, error) {
	object, err := bpf.Open(path)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, p := range object.Programs() {
		if p.Runnable == nil {
			names = append(names, p.Name)
		}
	}
	return names, nil
}

// checkSetup reads what is, or is going to be, the target's target file.
func (f *campaignFlags) checkSetup(t *campaign.Target) error {
	flags, err := f.read(t)
	if err == nil {
		_, err = flags.switches()
	}
	if err != nil {
		return t.Explain(f.setupPath(t), err)
	}
	return nil
}

// dir is the output directory of a target.
func (f *campaignFlags) dir(t *campaign.Target) string { return filepath.Join(f.file.Output, t.Name) }

// setupFile is the target file that a campaign writes for a target.
const setupFile = "target.yaml"

func (f *campaignFlags) setupPath(t *campaign.Target) string {
	return filepath.Join(f.dir(t), setupFile)
}

// newSeed is the seed of a campaign without a past.
func (f *campaignFlags) newSeed() uint64 {
	if f.file.Seed != 0 {
		return f.file.Seed
	}
	return rand.Uint64()
}
