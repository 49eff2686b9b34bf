package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/bpffuzz/bpffuzz/triage/report"
)

// replayCommand returns the line that replays a finding of a run with these
// flags. FINDING stands for the finding's directory.
func replayCommand(f *targetFlags) string {
	words := []string{program(), "replay"}
	if os.Getenv("SUDO_UID") != "" {
		words = append([]string{"sudo"}, words...)
	}
	option := func(flag, value string) {
		if value != "" {
			words = append(words, flag, report.ShellWord(value))
		}
	}
	option("-c", f.config)
	option("-p", f.program)
	for _, text := range f.invariants {
		option("--invariant", text)
	}
	for _, text := range f.oracles {
		option("--oracle", text)
	}
	if f.realHelpers {
		words = append(words, "--real-helpers")
	}
	if f.faults {
		words = append(words, "--faults")
	}
	if f.checkVerifier {
		words = append(words, "--check-verifier")
	}
	if f.maxInsns > 0 {
		words = append(words, "--max-insns", strconv.FormatUint(f.maxInsns, 10))
	}
	words = append(words, f.live.words()...)
	words = append(words, f.kernel.words()...)
	if f.object != "" {
		words = append(words, report.ShellWord(f.object))
	}
	return strings.Join(append(words, "FINDING"), " ")
}

// withFinding puts a finding's directory into a command of replayCommand.
func withFinding(command, path string) string {
	if before, ok := strings.CutSuffix(command, "FINDING"); ok {
		return before + report.ShellWord(path)
	}
	return command // of a finding without an input
}

// program is how the command was called, as far as that works again: a name that
// the shell finds, or a path.
func program() string {
	name := os.Args[0]
	if found, err := exec.LookPath(filepath.Base(name)); err == nil && filepath.IsAbs(name) && found == name {
		return report.ShellWord(filepath.Base(name))
	}
	return report.ShellWord(name)
}
