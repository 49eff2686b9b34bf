package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func newVersion(u *ui) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  bpffuzz version",
		Args:    pointed(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			u.print(fmt.Sprintf("bpffuzz %s %s %s/%s\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH))
			return nil
		},
	}
}

// version is the module's, with the revision where it was built in a checkout.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	text := info.Main.Version
	if text == "" {
		text = "(devel)"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && text == "(devel)" {
			text += " " + s.Value[:min(len(s.Value), 12)]
		}
	}
	return text
}
