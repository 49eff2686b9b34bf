package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf"
	"github.com/bpffuzz/bpffuzz/triage/report/lines"
)

// coverFlags are the flags of cover.
type coverFlags struct {
	frontierFlags
	format, to string
	sources    []string
}

func newCover(u *ui) *cobra.Command {
	f := &coverFlags{}
	cmd := &cobra.Command{
		Use:   "cover [flags] [OBJECT] DIR",
		Short: "Show which source lines, functions and branches a corpus covers",
		Long: `Cover runs the corpus of an output directory once more, each input alone, and writes
how many inputs pass each source line and each branch. Formats are text, html (one
page: functions, and the source as a heat map), lcov (genhtml reads it), go (a cover
profile, which go tool cover -html reads), dot (control flow, for Graphviz) and json.

Text of lines comes from the source files where they are found as the object names
them, beside the object, or in a directory given with --source; else from the object,
which has that of lines with code.

What the verifier removed, since no run can reach it, is marked as such and does not
count, nor do lines that the compiler merged with others. lcov and go have no word for
either: they leave them out.

The program is the one that the directory is about, unless OBJECT or a target file
names it.`,
		Example: `  bpffuzz cover bpffuzz-out/firewall
  bpffuzz cover -o html --file cover.html bpffuzz-out/firewall
  bpffuzz cover -o lcov bpffuzz-out/firewall >fw.info && genhtml -o html --branch-coverage fw.info
  bpffuzz cover -o go --file fw.cov bpffuzz-out/firewall && go tool cover -html=fw.cov`,
		Args:              pointed(cobra.RangeArgs(1, 2)),
		ValidArgsFunction: completeObject,
		RunE:              func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), u, args) },
	}
	f.register(cmd)
	flags := cmd.Flags()
	flags.StringVarP(&f.format, "output", "o", "text", "`format`: "+strings.Join(coverFormats(), ", "))
	flags.StringVar(&f.to, "file", "", "write to a `file` in place of standard output")
	flags.StringArrayVar(&f.sources, "source", nil, "look for source files in this `directory` too (may be repeated)")
	flags.BoolVar(&f.json, "json", false, "write one JSON object, as -o json does")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(coverFormats(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.MarkFlagDirname("source")
	return cmd
}

func coverFormats() []string { return []string{"text", "html", "lcov", "go", "dot", "json"} }

func (f *coverFlags) run(ctx context.Context, u *ui, args []string) error {
	if f.json {
		f.format = "json"
	}
	if !slices.Contains(coverFormats(), f.format) {
		return usageError("-o %q: choose among %s", f.format, strings.Join(coverFormats(), ", "))
	}
	dir := args[len(args)-1]
	if err := f.adopt(dir, args[:len(args)-1]); err != nil {
		return err
	}
	if f.kernel.loaded() {
		return usageError("cover needs the object: a program that is loaded already (%s) cannot be instrumented", f.kernel.which)
	}
	all, err := readCorpus(u, dir)
	if err != nil {
		return err
	}
	s, err := f.load(u, longest(all))
	if err != nil {
		return err
	}
	f.warnOther(u, dir, s)
	if all, err = fitting(u, s, all); err != nil {
		return err
	}
	covered, err := replayCoverage(ctx, s.target, all)
	if err != nil {
		return err
	}
	code, err := f.code(s.target.Shape().Program)
	if err != nil {
		return err
	}
	return f.write(u, code, covered)
}

// warnOther says when the corpus is that of another program.
func (f *coverFlags) warnOther(u *ui, dir string, s *subject) {
	program := s.target.Shape().Program
	if who, err := readOwner(filepath.Join(dir, ownerFile)); err == nil && who.Program != program {
		u.warn("the inputs in %s are of a run on %s: what they cover of %s says little", dir, who, program)
	}
}

// write writes the report in the format that was asked for.
func (f *coverFlags) write(u *ui, code *bpf.Code, covered *coverage) error {
	if f.format == "dot" {
		text, err := newShownCode(code, covered).draw(false)
		if err != nil {
			return err
		}
		return f.put(u, text)
	}
	sources := newSources(f.path(), f.sources)
	r := newCoverReport(code, covered, sources)
	for _, note := range r.Notes {
		u.detail("note: %s", note)
	}
	if f.format == "json" && f.to == "" {
		return u.printJSON(r)
	}
	var b bytes.Buffer
	if err := writerOf(f.format, r)(&b); err != nil {
		return fmt.Errorf("writing coverage: %w", err)
	}
	return f.put(u, b.Bytes())
}

func writerOf(format string, r *lines.Report) func(io.Writer) error {
	switch format {
	case "html":
		return r.WriteHTML
	case "lcov":
		return r.WriteLCOV
	case "go":
		return r.WriteGoProfile
	case "json":
		return r.WriteJSON
	}
	return r.WriteText
}

// put writes to where --file says.
func (f *coverFlags) put(u *ui, text []byte) error {
	if f.to == "" || f.to == "-" {
		u.print(string(text))
		return nil
	}
	if err := explainFull(writeWhole(f.to, text)); err != nil {
		return fmt.Errorf("writing coverage: %w", err)
	}
	return nil
}
