package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
			words = append(words, flag, shellWord(value))
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
	words = append(words, f.live.words()...)
	words = append(words, f.kernel.words()...)
	if f.object != "" {
		words = append(words, shellWord(f.object))
	}
	return strings.Join(append(words, "FINDING"), " ")
}

// withFinding puts a finding's directory into a command of replayCommand.
func withFinding(command, path string) string {
	return strings.TrimSuffix(command, "FINDING") + shellWord(path)
}

// program is how the command was called, as far as that works again: a name that
// the shell finds, or a path.
func program() string {
	name := os.Args[0]
	if found, err := exec.LookPath(filepath.Base(name)); err == nil && filepath.IsAbs(name) && found == name {
		return shellWord(filepath.Base(name))
	}
	return shellWord(name)
}

// shellWord quotes s where a shell would read it as something else.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./:=@%+,", r)
	}
	if s != "" && strings.TrimFunc(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
