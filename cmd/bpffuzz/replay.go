package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf"
	"github.com/bpffuzz/bpffuzz/mutate"
)

// replayFlags are the flags of replay.
type replayFlags struct {
	targetFlags
	raw      rawFlags
	repeat   int
	sequence bool
	insns    bool
	json     bool
}

func newReplay(u *ui) *cobra.Command {
	f := &replayFlags{}
	cmd := &cobra.Command{
		Use:   "replay [flags] [OBJECT] [INPUT...]",
		Short: "Run inputs once and show what they do",
		Long: `Replay runs each input from the initial state and shows verdict, what became of
packet and context, the source lines that were passed in their order, and what
oracles and invariants say. An INPUT is a finding's directory, a corpus file, a
capture (each packet alone, or all as one sequence with --sequence), a raw
packet, or a directory of such. OBJECT may be left out where a target file names
it.

With --data-in or --ctx-in it does what bpftool prog run does: it runs the program
as it is, without instrumentation, on the bytes of a file, and writes what comes
back. The program may be one that is in the kernel already (--pinned, --id, --tag
or --name); its maps are in use, so what runs write to them stays.

The exit code is 1 when an oracle or an invariant objects to an input.`,
		Example: `  bpffuzz replay -c target.yaml bpffuzz-out/fw/findings/verdict-fw-1f2e3d4c
  bpffuzz replay fw.o packet.bin
  bpffuzz replay -p xdp_fw --invariant 'verdict != "XDP_ABORTED"' fw.o traffic.pcap
  bpffuzz replay --repeat 100 --json fw.o bpffuzz-out/fw/corpus
  bpffuzz replay --id 42 --data-in packet.bin --data-out - | xxd`,
		ValidArgsFunction: completeObject,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.raw.dataSizeSet, f.raw.ctxSizeSet = cmd.Flags().Changed("data-size-out"), cmd.Flags().Changed("ctx-size-out")
			return f.run(cmd.Context(), u, args)
		},
	}
	f.register(cmd)
	f.raw.register(cmd)
	cmd.Flags().IntVar(&f.repeat, "repeat", 1, "run each input so many `times` and say how often oracles object")
	cmd.Flags().BoolVar(&f.sequence, "sequence", false, "take the packets of all inputs as the steps of one, in order")
	cmd.Flags().BoolVar(&f.insns, "insns", false, "count the instructions that each step executes, and say on which lines most are")
	cmd.Flags().BoolVar(&f.json, "json", false, "write one JSON object instead of text")
	return cmd
}

func (f *replayFlags) run(ctx context.Context, u *ui, args []string) error {
	if f.repeat < 1 {
		return usageError("--repeat %d: choose 1 or more", f.repeat)
	}
	paths, err := f.read(args)
	if err != nil {
		return err
	}
	if err := f.raw.check(len(paths)); err != nil {
		return err
	}
	if f.raw.wanted() {
		return f.runRaw(ctx, u)
	}
	all, err := f.readInputs(u, paths, f.sequence)
	if err != nil {
		return err
	}
	s, err := f.load(u, longest(all))
	if err != nil {
		return err
	}
	if all, err = fitting(u, s, all); err != nil {
		return err
	}
	if f.insns {
		if err := s.target.TryCount(); err != nil {
			return err
		}
	}
	var results []*replayed
	play := func(exec fuzz.Executor) error {
		r := &replayer{subject: s, player: newPlayer(exec, s.target.Shape()), repeat: f.repeat, insns: f.insns}
		for _, one := range all {
			result, err := r.replay(ctx, one)
			if err != nil {
				return fmt.Errorf("replaying %s: %w", one.name, err)
			}
			if !f.json {
				u.print(result.text())
			}
			results = append(results, result)
		}
		return nil
	}
	program, err := f.countedLoaded(func() error { return withExecutor(s.target, play) })
	if err != nil {
		return err
	}
	if f.raw.profile {
		if err := f.profile(u, all, results); err != nil {
			return err
		}
	}
	live := s.target.LiveReport()
	sayLive(u, live)
	return f.finish(u, results, live, program)
}

func (f *replayFlags) finish(u *ui, results []*replayed, live *bpf.LiveReport, program *loadedSummary) error {
	failing := 0
	for _, r := range results {
		if r.failing() {
			failing++
		}
	}
	if f.json {
		err := u.printJSON(struct {
			Failing int             `json:"failing"`
			Inputs  []*replayed     `json:"inputs"`
			Live    *bpf.LiveReport `json:"live,omitempty"`
			Program *loadedSummary  `json:"program,omitempty"`
		}{failing, results, live, program})
		if err != nil {
			return err
		}
	} else {
		u.print(program.text())
		if len(results) > 1 {
			u.print(fmt.Sprintf("%s, %d failing\n", count(len(results), "input"), failing))
		}
	}
	if failing > 0 {
		return errFindings
	}
	return nil
}

// readInputs reads the inputs at the paths.
func (f *targetFlags) readInputs(u *ui, paths []string, sequence bool) ([]named, error) {
	if len(paths) == 0 {
		return nil, usageError("no input: name a finding's directory, a corpus file, a capture or a packet")
	}
	var all []named
	for _, path := range paths {
		inputs, err := readInputs(path, func(err error) { u.warn("%v", err) })
		if err != nil {
			return nil, err
		}
		noteRaw(u, path, inputs)
		all = append(all, inputs...)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no input in %s", paths[0])
	}
	if sequence {
		all = asSequence(paths[0], all)
	}
	return all, nil
}

// fitting returns the inputs that the program takes; it is an error if there is
// none.
func fitting(u *ui, s *subject, all []named) ([]named, error) {
	var fit []named
	var last error
	if all = unwrapped(u, "the capture", s.target.Shape(), all); len(all) == 0 {
		return nil, errors.New("no frame of the capture carries anything over TCP or UDP, and the program takes payload: give a file with the bytes themselves")
	}
	running := fmt.Sprintf("%s (%s)", s.target.Shape().Program, s.target.Shape().Type)
	for _, one := range all {
		if one.about != "" && one.about != running {
			u.warn("%s is a finding of %s: what %s does with it says nothing about that", one.name, one.about, running)
		}
		in, err := mutate.Fit(s.target.Shape(), one.in)
		if err != nil {
			last = fmt.Errorf("%s cannot be run: %w", one.name, err)
			if len(all) > 1 {
				u.warn("%v", last)
			}
			continue
		}
		fit = append(fit, named{name: one.name, in: in})
	}
	if len(fit) == 0 {
		return nil, errors.Join(last)
	}
	return fit, nil
}
