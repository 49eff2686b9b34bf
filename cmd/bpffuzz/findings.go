package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bpffuzz/bpffuzz/triage/report"
)

// findingsFlags are the flags of findings.
type findingsFlags struct {
	targetFlags
	format         string
	json, recheck  bool
	repeat         int
	known, unknown []string
}

func newFindings(u *ui) *cobra.Command {
	f := &findingsFlags{}
	cmd := &cobra.Command{
		Use:   "findings [flags] DIR [KEY] [OBJECT]",
		Short: "List findings, show one, and check them against a rebuilt object",
		Long: `Findings lists what runs left in an output directory, or shows the report of the
finding with that key. DIR may be a finding's own directory as well.

With --recheck each finding is run again, by OBJECT, or by the object of the
target file or of the run that found it: it is fixed, still failing, flaky (it
fails in some runs), changed (it no longer fails, but another oracle objects), or
regressed (it fails, and was fixed before: the findings say when).

A finding that is marked as known stays in the list, and neither run nor
--recheck fail for it.

The exit code is 1 when --recheck meets a finding that is not fixed and not known.`,
		Example: `  bpffuzz findings bpffuzz-out/fw
  bpffuzz findings bpffuzz-out/fw verdict-fw-1f2e3d4c
  bpffuzz findings --recheck -c target.yaml bpffuzz-out/fw
  bpffuzz findings --known verdict-fw-1f2e3d4c bpffuzz-out/fw
  bpffuzz findings --recheck -o junit bpffuzz-out/fw fw.o >findings.xml`,
		Args: pointed(cobra.RangeArgs(1, 3)),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), u, args) },
	}
	f.register(cmd)
	flags := cmd.Flags()
	flags.StringVarP(&f.format, "output", "o", "text", "`format`: text, json, sarif (2.1.0) or junit")
	flags.BoolVar(&f.json, "json", false, "write one JSON object, as -o json does")
	flags.BoolVar(&f.recheck, "recheck", false, "run each finding again and say what became of it")
	flags.IntVar(&f.repeat, "repeat", 10, "run each so many `times` with --recheck")
	flags.StringArrayVar(&f.known, "known", nil, "mark the finding with this `key` as known (may be repeated)")
	flags.StringArrayVar(&f.unknown, "unknown", nil, "take the mark from the finding with this `key` (may be repeated)")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json", "sarif", "junit"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (f *findingsFlags) check() error {
	if f.json {
		f.format = "json"
	}
	switch f.format {
	case "text", "json", "sarif", "junit":
	default:
		return usageError("-o %q: choose text, json, sarif or junit", f.format)
	}
	if f.repeat < 1 || f.repeat > 1_000_000 {
		return usageError("--repeat %d: choose 1 to 1000000", f.repeat)
	}
	if f.recheck && f.kernel.loaded() {
		return usageError("--recheck with a program that is loaded already (%s): name the rebuilt object", f.kernel.which)
	}
	return nil
}

func (f *findingsFlags) run(ctx context.Context, u *ui, args []string) error {
	if err := f.check(); err != nil {
		return err
	}
	dir, err := openFindings(args[0])
	if err != nil {
		return err
	}
	key, err := f.takeArgs(args[1:])
	if err != nil {
		return err
	}
	if err := dir.mark(f.known, f.unknown); err != nil {
		return err
	}
	all, left, err := dir.read(cmp.Or(key, dir.key))
	if err != nil {
		return err
	}
	for _, err := range left {
		u.warn("%v", err)
	}
	if f.recheck && len(all) > 0 {
		if err := f.checkAgain(ctx, u, dir, all); err != nil {
			return err
		}
		if err := dir.record(u, all, time.Now()); err != nil {
			return err
		}
	}
	if err := f.show(u, dir, all, cmp.Or(key, dir.key) != ""); err != nil {
		return err
	}
	return f.verdict(all, left)
}

// takeArgs tells a key from an object and returns the key, "" for none.
func (f *findingsFlags) takeArgs(args []string) (key string, err error) {
	for _, arg := range args {
		switch {
		case isELF(arg) && f.object == "":
			f.object = arg
		case key == "":
			key = arg
		default:
			return "", usageError("%s is one argument too many, or no compiled BPF object; see bpffuzz findings --help", arg)
		}
	}
	if f.object != "" && !f.recheck {
		return "", usageError("object %s: it is only needed with --recheck", f.object)
	}
	return key, nil
}

func (f *findingsFlags) show(u *ui, dir *findingsDir, all []*report.Status, one bool) error {
	var b []byte
	var err error
	switch f.format {
	case "json":
		return u.printJSON(struct {
			Findings []*report.Status `json:"findings"`
		}{all})
	case "sarif":
		b, err = report.SARIF(version(), all)
	case "junit":
		b, err = report.JUnit(all)
	default:
		if one && !f.recheck && len(all) == 1 {
			b, err = dir.text(all[0])
			break
		}
		b = []byte(findingsText(all))
	}
	if err == nil {
		u.print(string(b))
	}
	return err
}

// verdict is the command's error once everything was shown.
func (f *findingsFlags) verdict(all []*report.Status, left []error) error {
	unchecked := 0
	for _, s := range all {
		if s.State == report.Unchecked {
			unchecked++
			continue
		}
		if f.recheck && s.Counts() {
			return errFindings
		}
	}
	switch {
	case unchecked > 0:
		return fmt.Errorf("%s could not be checked: the list says why", count(unchecked, "finding"))
	case len(left) > 0:
		return fmt.Errorf("%s could not be read: remove what is no finding", count(len(left), "directory entry"))
	}
	return nil
}

// findingsText lists findings for people.
func findingsText(all []*report.Status) string {
	if len(all) == 0 {
		return "no findings\n"
	}
	var b strings.Builder
	states := map[string]int{}
	for _, s := range all {
		fmt.Fprintf(&b, "%s  %s\n", s.Key, s.Text())
		fmt.Fprintf(&b, "  %s: %s\n", s.Kind, s.Title)
		fmt.Fprintf(&b, "  found %s, met %s", s.Found, count(s.Count, "time"))
		if s.File != "" {
			fmt.Fprintf(&b, ", at %s:%d", s.File, s.Line)
		}
		b.WriteString("\n")
		if s.Detail != "" && s.Detail != s.Title {
			fmt.Fprintf(&b, "  %s\n", s.Detail)
		}
		if s.Known {
			states["known"]++
			continue
		}
		states[string(s.State)]++
	}
	parts := []string{}
	for _, state := range []string{"open", "regressed", "still failing", "flaky", "changed", "unchecked", "fixed", "known"} {
		if n := states[state]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, state))
		}
	}
	fmt.Fprintf(&b, "%s: %s\n", count(len(all), "finding"), strings.Join(parts, ", "))
	return b.String()
}
