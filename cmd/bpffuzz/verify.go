package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf"
)

// verifyFlags are the flags of verify.
type verifyFlags struct {
	targetFlags
	budget float64
	json   bool
}

func newVerify(u *ui) *cobra.Command {
	f := &verifyFlags{}
	cmd := &cobra.Command{
		Use:   "verify [flags] [OBJECT]",
		Short: "Show what the kernel's verifier says of a program",
		Long: `Verify loads a program, those that it tail-calls, and the variants of them that
are run to be fuzzed, and shows what that cost the verifier: instructions that it
looked at, of the million that it looks at most; states that it kept, in all, at a
time and at one instruction; bytes of stack; time. Nothing is run.

Findings, for which the exit code is 1:

  load      the kernel rejects the program as it is
  verifier  the verifier contradicts itself, in its log or in the kernel's
  limit     the program as it is takes more than --budget percent of the limit

Each has the lines of the log that decide.`,
		Example: `  bpffuzz verify firewall.o
  bpffuzz verify --budget 50 -c target.yaml
  bpffuzz verify --json lb.o | jq '.programs[] | select(.variant == "plain") | .processed'`,
		Args:              pointed(cobra.MaximumNArgs(1)),
		ValidArgsFunction: completeObject,
		RunE:              func(_ *cobra.Command, args []string) error { return f.run(u, args) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.config, "config", "c", "", "target `file` in YAML that names object and program, maps and variables")
	flags.StringVarP(&f.program, "program", "p", "", "`name` of the program (default: the only one that can be run)")
	flags.Float64Var(&f.budget, "budget", 0, "make a program a finding that takes more than so many `percent` of the verifier's limit (default: a note above 80)")
	flags.BoolVar(&f.json, "json", false, "write one JSON object instead of a table")
	_ = cmd.RegisterFlagCompletionFunc("program", f.completePrograms)
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
	return cmd
}

func (f *verifyFlags) run(u *ui, args []string) error {
	if !(f.budget >= 0 && f.budget <= 100) {
		return usageError("--budget %g: choose 0 to 100 percent", f.budget)
	}
	if _, err := f.read(args); err != nil {
		return err
	}
	object, err := f.openObject()
	if err != nil {
		return err
	}
	opts, err := f.options()
	if err != nil {
		return err
	}
	verified, err := bpf.Verify(object, opts, f.budget/100)
	if err != nil {
		return err
	}
	for _, note := range verified.Notes {
		u.say("note: %s", note)
	}
	for i := range verified.Findings {
		u.say("%s", loadFinding(&verified.Findings[i]))
	}
	if f.json {
		err = u.printJSON(newVerifiedJSON(verified))
	} else if len(verified.Programs) > 0 {
		u.print(verifiedTable(verified.Programs))
	}
	if err == nil && len(verified.Findings) > 0 {
		return errFindings
	}
	return err
}

// loadFinding is a finding with the lines of the log that decide, indented.
func loadFinding(f *bpf.LoadFinding) string {
	of := ""
	if f.Program != "" {
		of = fmt.Sprintf(", program %q, %s", f.Program, f.Variant)
	}
	return strings.Join(append([]string{fmt.Sprintf("finding: %s%s: %s", f.Kind, of, f.Title)}, f.Lines...), "\n\t")
}

func verifiedTable(programs []bpf.Verification) string {
	rows := [][]string{{"PROGRAM", "VARIANT", "INSNS", "OF LIMIT", "STATES", "AT A TIME", "AT ONE INSN", "STACK", "TIME"}}
	for i := range programs {
		p := &programs[i]
		rows = append(rows, []string{
			printable(p.Program), p.Variant, fmt.Sprint(p.Processed), fmt.Sprintf("%.1f%%", 100*p.Share()), fmt.Sprint(p.TotalStates),
			fmt.Sprint(p.PeakStates), fmt.Sprint(p.MaxStates), stackText(p.Stack), p.Time.Round(time.Microsecond).String(),
		})
	}
	var b strings.Builder
	writeTable(&b, rows)
	return strings.TrimSuffix(b.String(), "\n") // the table's empty line
}

// stackText writes the stacks of functions as the verifier does: 32+0+16.
func stackText(stack []int) string {
	var parts []string
	for _, n := range stack {
		parts = append(parts, fmt.Sprint(n))
	}
	return strings.Join(parts, "+")
}

// sayVerified shows with -v what the verifier says of a target that is run.
func sayVerified(u *ui, target *bpf.Target) error {
	if !u.verbose {
		return nil
	}
	v, err := target.Verified()
	if err != nil {
		return err
	}
	for i := range v.Programs {
		p := &v.Programs[i]
		u.say("verifier: %s, %s: %d instructions of at most %d (%.1f %%), %d states, %d at a time, %d at one instruction, stack %s, %s",
			p.Program, p.Variant, p.Processed, p.Limit, 100*p.Share(), p.TotalStates, p.PeakStates, p.MaxStates, stackText(p.Stack), p.Time)
	}
	for _, note := range v.Notes {
		u.say("note: %s", note)
	}
	for i := range v.Findings {
		u.warn("%s", v.Findings[i].Title)
	}
	return nil
}

// verifiedJSON is what verify --json shows.
type verifiedJSON struct {
	Programs []verifiedProgram `json:"programs"`
	Findings []verifiedFinding `json:"findings"`
	Notes    []string          `json:"notes"`
}

// verifiedProgram has names of the verifier's log.
type verifiedProgram struct {
	Program     string   `json:"program"`
	Variant     string   `json:"variant"`
	Processed   int      `json:"processed"`
	Limit       int      `json:"limit"`
	TotalStates int      `json:"total_states"`
	PeakStates  int      `json:"peak_states"`
	MaxStates   int      `json:"max_states_per_insn"`
	Stack       []int    `json:"stack_depth"`
	Time        int64    `json:"verification_time_usec"`
	Warnings    []string `json:"warnings"`
}

type verifiedFinding struct {
	Kind    string   `json:"kind"`
	Program string   `json:"program,omitempty"`
	Variant string   `json:"variant,omitempty"`
	Title   string   `json:"title"`
	Lines   []string `json:"lines"`
}

func newVerifiedJSON(v *bpf.Verified) *verifiedJSON {
	j := &verifiedJSON{Programs: []verifiedProgram{}, Findings: []verifiedFinding{}, Notes: append([]string{}, v.Notes...)}
	for i := range v.Programs {
		p := &v.Programs[i]
		j.Programs = append(j.Programs, verifiedProgram{
			Program: p.Program, Variant: p.Variant, Processed: p.Processed, Limit: p.Limit, TotalStates: p.TotalStates,
			PeakStates: p.PeakStates, MaxStates: p.MaxStates, Stack: append([]int{}, p.Stack...), Time: p.Time.Microseconds(),
			Warnings: append([]string{}, p.Warnings...),
		})
	}
	for _, f := range v.Findings {
		j.Findings = append(j.Findings, verifiedFinding{Kind: f.Kind, Program: f.Program, Variant: f.Variant, Title: f.Title, Lines: append([]string{}, f.Lines...)})
	}
	return j
}
