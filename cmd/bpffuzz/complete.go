package main

import (
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf"
	"github.com/bpffuzz/bpffuzz/triage"
)

// largestToComplete is the largest object, in bytes, that is read while a person
// waits for a completion.
const largestToComplete = 8 << 20

// completePrograms completes -p from the object that the line names.
func (f *targetFlags) completePrograms(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if _, err := f.read(args); err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	info, err := os.Stat(f.path())
	if err != nil || info.Size() > largestToComplete {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	object, err := bpf.Open(f.path())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, p := range object.Programs() {
		if p.Runnable == nil {
			names = append(names, p.Name+"\t"+p.Section)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func completeOracles(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	if strings.Contains(typed, "=") {
		name, _, _ := strings.Cut(typed, "=")
		return []string{name + "=on", name + "=off"}, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, name := range triage.OracleNames() {
		names = append(names, name+"=")
	}
	return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// completeObject completes the first argument with object files, the others with
// any file.
func completeObject(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return []string{"o", "elf"}, cobra.ShellCompDirectiveFilterFileExt
	}
	return nil, cobra.ShellCompDirectiveDefault
}
