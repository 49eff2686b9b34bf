package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newRoot(u *ui) *cobra.Command {
	root := &cobra.Command{
		Use:   "bpffuzz",
		Short: "Find bugs in eBPF programs",
		Long: `bpffuzz runs an eBPF program in the kernel with packets, contexts and packet
sequences that it derives from each other, keeps those that reach new code, and
reports what an oracle or one of your invariants objects to: confirmed,
minimised, and with the command that shows it again.

Exit codes: 0 nothing is wrong, 1 there are findings, 2 the command could not run.`,
		Example: `  bpffuzz run firewall.o                     # fuzz the only program of an object
  bpffuzz run -c target.yaml -d 1m           # as a target file says, for a minute
  bpffuzz replay -c target.yaml out/findings/verdict-fw-1f2e3d4c
  bpffuzz probe                              # what this kernel can do`,
		SilenceErrors:              true,
		SilenceUsage:               true,
		SuggestionsMinimumDistance: 2,
		Args:                       noCommand,
		RunE:                       func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetOut(u.stdout)
	root.SetErr(u.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())
	})
	root.PersistentFlags().BoolVarP(&u.verbose, "verbose", "v", false, "say more: notes, skipped seeds, whole verifier logs")
	root.AddCommand(newRun(u), newCampaign(u), newReplay(u), newFindings(u), newMinimize(u), newFrontier(u), newCover(u), newDiff(u), newBench(u), newInit(u), newMerge(u), newExport(u), newImport(u), newProbe(u), newShow(u), newVerify(u), newVersion(u))
	return root
}

// noCommand is called when the first word is no command.
func noCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("unknown command %q; see bpffuzz --help", args[0])
	if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
		text = fmt.Sprintf("unknown command %q; did you mean %s?", args[0], similar[0])
	}
	return usageError("%s", text)
}

// pointed makes check's error point to the help.
func pointed(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())
		}
		return nil
	}
}
