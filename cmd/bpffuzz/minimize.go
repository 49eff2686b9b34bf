package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/pcap"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/triage"
)

// minimizeFlags are the flags of minimize.
type minimizeFlags struct {
	targetFlags
	out      string
	cover    bool
	sequence bool
	json     bool
}

func newMinimize(u *ui) *cobra.Command {
	f := &minimizeFlags{}
	cmd := &cobra.Command{
		Use:   "minimize [flags] [OBJECT] INPUT",
		Short: "Make an input smaller that does the same",
		Long: `Minimize removes steps, layers, fields and bytes from an input as long as it fails
in the same way: the same oracle objects after the same last edges. An input that
does not fail, or any with --cover, keeps its coverage instead.

The result is a corpus file, or a capture where the name ends in .pcap (of link type
Ethernet, or USER0 where a program takes payload without headers).`,
		Example: `  bpffuzz minimize -c target.yaml -o small crash.pcap
  bpffuzz minimize --cover -o small.pcap fw.o bpffuzz-out/fw/corpus/0123456789abcdef`,
		Args:              pointed(cobra.RangeArgs(1, 2)),
		ValidArgsFunction: completeObject,
		RunE:              func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), u, args) },
	}
	f.register(cmd)
	flags := cmd.Flags()
	flags.StringVarP(&f.out, "output", "o", "", "`file` to write (default: the input's name and .min, in the current directory)")
	flags.BoolVar(&f.cover, "cover", false, "keep the coverage, whether the input fails or not")
	flags.BoolVar(&f.sequence, "sequence", false, "take the packets of a capture as the steps of one input")
	flags.BoolVar(&f.json, "json", false, "write one JSON object to standard output")
	return cmd
}

// minimized says what came of minimizing.
type minimized struct {
	Input string `json:"input"`
	Path  string `json:"path"`
	// Kept is the oracle that objects, or "coverage".
	Kept        string `json:"kept"`
	Title       string `json:"title,omitempty"`
	BytesBefore int    `json:"bytes_before"`
	StepsBefore int    `json:"steps_before"`
	Bytes       int    `json:"bytes"`
	Steps       int    `json:"steps"`
	Execs       int    `json:"execs_done"`
	notes       []string
	form        pcap.Form
}

func (f *minimizeFlags) run(ctx context.Context, u *ui, args []string) error {
	paths, err := f.read(args)
	if err != nil {
		return err
	}
	all, err := f.readInputs(u, paths, f.sequence)
	if err != nil {
		return err
	}
	if len(all) > 1 {
		return usageError("%s has %d inputs: give one, or take its packets as one with --sequence", args[len(args)-1], len(all))
	}
	s, err := f.load(u, longest(all))
	if err != nil {
		return err
	}
	form := pcap.FormOf(s.target.Shape())
	if form == pcap.Nothing && isCapture(f.out) {
		return usageError("--output %s: no capture can be written, since programs of type %s take no packets; choose a name that does not end in .pcap for a corpus file", f.out, s.target.Shape().Type)
	}
	if all, err = fitting(u, s, all); err != nil {
		return err
	}
	result := &minimized{form: form, Input: all[0].name, Path: f.out, BytesBefore: all[0].in.Len(), StepsBefore: len(all[0].in.Steps)}
	if result.Path == "" {
		result.Path = filepath.Base(all[0].name) + ".min"
	}
	var small *corpus.Input
	err = withExecutor(s.target, func(exec fuzz.Executor) (err error) {
		p := newPlayer(exec, s.target.Shape())
		small, err = f.minimize(ctx, s, p, all[0].in, result)
		result.Execs = p.runs
		return err
	})
	if err != nil {
		return fmt.Errorf("minimizing %s: %w", all[0].name, err)
	}
	result.Bytes, result.Steps = small.Len(), len(small.Steps)
	return f.finish(u, small, result)
}

func (f *minimizeFlags) minimize(ctx context.Context, s *subject, p *player, in *corpus.Input, result *minimized) (*corpus.Input, error) {
	if !f.cover {
		found, err := triage.Investigate(ctx, p.rerun, s.judge(), in, triage.Options{
			Table: s.target.Table(), Shape: s.target.Shape(), Recreate: p.exec.Recreate, StudyExecs: -1,
		}, nil)
		if err == nil {
			result.Kept, result.Title, result.notes = found.Oracle, found.Title, found.Notes
			return found.Input, nil
		}
		if !errors.Is(err, triage.ErrUnconfirmed) {
			return nil, err
		}
	}
	result.Kept = "coverage"
	small, err := sameCover(ctx, s.target.Shape(), p, in)
	switch {
	case small == nil || err == nil:
		return small, err
	case errors.Is(err, errEnough):
		result.notes = append(result.notes, fmt.Sprintf("stopped after %d executions: a smaller input may exist", triage.DefaultMaxExecs))
	case ctx.Err() != nil:
		result.notes = append(result.notes, "interrupted: a smaller input may exist")
	default:
		return nil, err
	}
	return small, nil
}

// errEnough ends minimization.
var errEnough = errors.New("enough executions")

// sameCover returns the smallest input that covers what in covers in each of two
// runs; with an error the smallest so far, which is nil before there was any.
func sameCover(ctx context.Context, shape *corpus.Shape, p *player, in *corpus.Input) (*corpus.Input, error) {
	var wanted []byte
	for n := range 2 {
		out, err := p.rerun(ctx, in, corpus.HaveCover)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			wanted = bytes.Clone(out.Cover)
		}
		for i := range wanted {
			wanted[i] &= out.Cover[i]
		}
	}
	return triage.Minimise(in, func(candidate *corpus.Input) (bool, error) {
		if shape.Check(candidate) != nil {
			return false, nil
		}
		if p.runs >= triage.DefaultMaxExecs {
			return false, errEnough
		}
		if err := ctx.Err(); err != nil {
			return false, err
		}
		out, err := p.rerun(ctx, candidate, corpus.HaveCover)
		if err != nil {
			return false, err
		}
		for i := range wanted {
			if wanted[i]&^out.Cover[i] != 0 {
				return false, nil
			}
		}
		return true, nil
	})
}

func (f *minimizeFlags) finish(u *ui, small *corpus.Input, result *minimized) error {
	contents := corpus.MarshalFile(small)
	if isCapture(result.Path) {
		var capture bytes.Buffer
		if err := pcap.Write(&capture, small, result.form); err != nil {
			return err
		}
		contents = capture.Bytes()
		if !onlyPackets(small) {
			u.warn("a capture has packets only: context, metadata and map contents are not in %s", result.Path)
		}
	}
	if err := writeWhole(result.Path, contents); err != nil {
		return fmt.Errorf("writing the smaller input: %w; choose another file with -o", err)
	}
	for _, note := range result.notes {
		u.say("note: %s", note)
	}
	kept := "the same coverage"
	if result.Title != "" {
		kept = fmt.Sprintf("the same failure, %s: %s", result.Kept, result.Title)
	}
	u.say("%s with %s", describe(result.BytesBefore, result.StepsBefore)+" to "+describe(result.Bytes, result.Steps), kept)
	u.say("written to %s after %d runs", result.Path, result.Execs)
	if f.json {
		return u.printJSON(result)
	}
	return nil
}

// isCapture reports whether a name asks for a capture.
func isCapture(path string) bool { return strings.HasSuffix(path, ".pcap") }

func describe(bytes, steps int) string {
	return fmt.Sprintf("%s in %s", count(bytes, "byte"), count(steps, "step"))
}

func onlyPackets(in *corpus.Input) bool {
	for i := range in.Steps {
		s := &in.Steps[i]
		if len(s.Meta)+len(s.Context)+len(s.Chance) > 0 || s.Flags != 0 || s.Fault != 0 {
			return false
		}
	}
	return len(in.Maps) == 0
}
