package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/fuzz"
)

// frontierFlags are the flags of frontier.
type frontierFlags struct {
	targetFlags
	json bool
}

func newFrontier(u *ui) *cobra.Command {
	f := &frontierFlags{}
	cmd := &cobra.Command{
		Use:   "frontier [flags] [OBJECT] DIR",
		Short: "List the branches that no input takes, the nearest first",
		Long: `Frontier runs the corpus of an output directory once more and lists the branches
that no input takes: where they are in the source, what is compared there, which
value is wanted and which came nearest, and the bytes of the packet, fields of the
context or keys of maps that it depends on. What the verifier removed, since no
run can reach it, comes last.

The program is the one that the directory is about, unless OBJECT or a target file
names it.`,
		Example: `  bpffuzz frontier bpffuzz-out/firewall
  bpffuzz frontier -c target.yaml bpffuzz-out/firewall`,
		Args:              pointed(cobra.RangeArgs(1, 2)),
		ValidArgsFunction: completeObject,
		RunE:              func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), u, args) },
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&f.json, "json", false, "write one JSON object to standard output")
	return cmd
}

func (f *frontierFlags) run(ctx context.Context, u *ui, args []string) error {
	dir := args[len(args)-1]
	if err := f.adopt(dir, args[:len(args)-1]); err != nil {
		return err
	}
	all, err := readCorpus(u, dir)
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
	names, inputs := make([]string, len(all)), make([]*corpus.Input, len(all))
	for i, one := range all {
		names[i], inputs[i] = filepath.Join("corpus", filepath.Base(one.name)), one.in
	}
	frontier, err := findFrontier(ctx, s, inputs)
	if err != nil {
		return err
	}
	shown := newShownFrontier(s, frontier, names)
	if f.json {
		return u.printJSON(shown)
	}
	u.print(shown.text())
	return nil
}

// adopt takes the program from the arguments, or else from the output directory.
func (f *frontierFlags) adopt(dir string, args []string) error {
	if len(args) == 0 && f.config == "" && !f.kernel.loaded() {
		path := filepath.Join(dir, ownerFile)
		o, err := readOwner(path)
		if err != nil {
			return fmt.Errorf("finding out what %s is about: %w; name the object, or a target file with -c", dir, err)
		}
		if f.config = o.Config; f.program == "" {
			f.program = o.Program
		}
		if f.config == "" {
			args = []string{o.Object}
		}
	}
	_, err := f.read(args)
	return err
}

// readCorpus reads the inputs that a run kept.
func readCorpus(u *ui, dir string) ([]named, error) {
	path := filepath.Join(dir, "corpus")
	all, err := readInputs(path, func(err error) { u.warn("%v", err) })
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s has no corpus; give the directory that run -o wrote: %w", dir, err)
	}
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("no input in %s", path)
	}
	return all, err
}

// sayFrontier says at the end of a run when nothing is left to be reached, and with -v
// what is.
func (f *runFlags) sayFrontier(u *ui, out *output, s *subject, result *fuzz.Result) {
	if saturated(s, result) {
		u.say("saturated: every edge that the verifier left in the program was passed")
		return
	}
	if !u.verbose || len(result.Entries) == 0 {
		return
	}
	inputs, names := make([]*corpus.Input, len(result.Entries)), make([]string, len(result.Entries))
	for i, e := range result.Entries {
		inputs[i], names[i] = e.Input, filepath.Join("corpus", corpus.FileName(corpus.MarshalFile(e.Input)))
	}
	frontier, err := findFrontier(context.Background(), s, inputs)
	if err != nil {
		u.warn("what is left could not be found out: %v", err)
		return
	}
	u.detail("frontier: %s", strings.TrimSuffix(newShownFrontier(s, frontier, names).text(), "\n"))
}

// saturated reports whether all edges were passed that can be.
func saturated(s *subject, result *fuzz.Result) bool {
	gone, err := s.target.Unreachable()
	if gone == nil || err != nil {
		return false
	}
	table := s.target.Table()
	seen := cover.NewSeen(table.Len())
	for _, e := range result.Entries {
		seen.Merge(e.Cover)
	}
	for i, passed := range table.Expand(nil, seen.Bytes()) {
		if !passed && !gone[i] && table.Edges[i].Skipped == "" {
			return false
		}
	}
	return len(table.Edges) > 0
}

func findFrontier(ctx context.Context, s *subject, inputs []*corpus.Input) (frontier *fuzz.Frontier, err error) {
	err = withExecutor(s.target, func(exec fuzz.Executor) (err error) {
		frontier, err = fuzz.FindFrontier(ctx, s.target, exec, inputs)
		return err
	})
	return frontier, err
}
