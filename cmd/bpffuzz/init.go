package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf"
	"github.com/bpffuzz/bpffuzz/triage/report"
)

// initFlags are the flags of init.
type initFlags struct {
	program, dir string
	header       bool
}

func newInit(u *ui) *cobra.Command {
	f := &initFlags{}
	cmd := &cobra.Command{
		Use:   "init [flags] OBJECT",
		Short: "Write a fuzz test and a target file for an object",
		Long: `Init writes two files beside OBJECT, or into a directory of your choice: PROGRAM.yaml,
a target file with a place for each map and variable of the program, and
PROGRAM_fuzz_test.go, a fuzz target of go test that compiles as it is. Say in them
what the maps hold and what has to be true. Nothing is overwritten, and the kernel
is not asked.

With --header and a directory, it writes bpffuzz.h there instead: with bpffuzz_assert(cond),
a program says itself what has to be true.`,
		Example: `  bpffuzz init firewall_bpfel.o
  bpffuzz init -p xdp_balance -o fuzz lb.o
  bpffuzz init --header src`,
		Args:              pointed(cobra.ExactArgs(1)),
		ValidArgsFunction: completeObject,
		RunE: func(_ *cobra.Command, args []string) error {
			if f.header {
				return writeHeader(u, args[0])
			}
			return f.run(u, args[0])
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.program, "program", "p", "", "`name` of the program (default: the only one that can be run)")
	flags.StringVarP(&f.dir, "output", "o", "", "`directory` of the package (default: that of the object)")
	_ = cmd.MarkFlagDirname("output")
	flags.BoolVar(&f.header, "header", false, "write bpffuzz.h with bpffuzz_assert into the directory that is named")
	cmd.MarkFlagsMutuallyExclusive("header", "program")
	cmd.MarkFlagsMutuallyExclusive("header", "output")
	return cmd
}

// writeHeader writes bpffuzz.h into a directory, or leaves one that is the same.
func writeHeader(u *ui, dir string) error {
	path, text := filepath.Join(dir, "bpffuzz.h"), []byte(bpf.Header())
	switch have, err := os.ReadFile(path); {
	case err == nil && bytes.Equal(have, text):
		u.say("%s is there already", path)
		return nil
	case err == nil:
		return fmt.Errorf("%s is there already and has another text: remove it first", path)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("writing bpffuzz.h: %w", err)
	}
	if err := writeWhole(path, text); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	u.say("%s written: bpffuzz_assert(cond) is judged in objects compiled with -DBPFFUZZ", path)
	return nil
}

func (f *initFlags) run(u *ui, object string) error {
	obj, err := bpf.Open(object)
	if err != nil {
		return err
	}
	s := &scaffold{object: object, dir: f.dir}
	if s.program, s.maps, s.variables, err = obj.Contents(f.program); err != nil {
		return err
	}
	if s.dir == "" {
		s.dir = filepath.Dir(object)
	}
	for _, p := range obj.Programs() {
		if p.Name == s.program {
			s.kind = p.Type
		}
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return fmt.Errorf("making directory %s: %w", s.dir, err)
	}
	if s.object, err = relativeTo(s.dir, object); err != nil {
		return err
	}
	if err := s.write(); err != nil {
		return err
	}
	s.say(u)
	return nil
}

// relativeTo returns how the object is named in the target file.
func relativeTo(dir, path string) (string, error) {
	from, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("naming the object: %w", err)
	}
	to, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("naming the object: %w", err)
	}
	return filepath.Rel(from, to)
}

// write writes both files or none.
func (s *scaffold) write() error {
	files := []struct{ path, text string }{
		{s.path(s.fileName() + ".yaml"), s.targetFile()},
		{s.path(s.fileName() + "_fuzz_test.go"), s.testFile()},
	}
	for _, f := range files {
		if _, err := os.Lstat(f.path); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is there already: remove it, or choose another directory with -o", f.path)
		}
	}
	for _, f := range files {
		if err := writeWhole(f.path, []byte(f.text)); err != nil {
			return fmt.Errorf("writing %s: %w", f.path, err)
		}
	}
	return nil
}

// say says what to do next.
func (s *scaffold) say(u *ui) {
	name := s.fileName()
	u.say("%s written: what the program is set up with", s.path(name+".yaml"))
	u.say("%s written: what has to be true", s.path(name+"_fuzz_test.go"))
	if !s.requires() {
		u.say("the package needs this module: go get %s", module)
	}
	for _, path := range s.sources() {
		u.say("%s: go test wants no C files beside Go files: write //go:build ignore in its first line", path)
	}
	there := ""
	if s.dir != "." {
		there = "cd " + report.ShellWord(s.dir) + " && "
	}
	u.say("fuzz it with: %ssudo go test -fuzz %s", there, s.funcName())
}

const module = "github.com/bpffuzz/bpffuzz"

// requires reports whether the module of the directory is this one or requires it.
func (s *scaffold) requires() bool {
	dir, err := filepath.Abs(s.dir)
	for err == nil {
		text, readErr := os.ReadFile(filepath.Join(dir, "go.mod"))
		if readErr == nil {
			return strings.Contains(string(text), module)
		}
		if dir == filepath.Dir(dir) {
			return false
		}
		dir = filepath.Dir(dir)
	}
	return false
}

// sources lists the C files in the directory that Go would take for its own.
func (s *scaffold) sources() []string {
	files, _ := filepath.Glob(filepath.Join(globQuote(s.dir), "*.c"))
	var all []string
	for _, path := range files {
		if text, err := os.ReadFile(path); err == nil && !strings.Contains("\n"+string(text), "\n//go:build ") {
			all = append(all, path)
		}
	}
	return all
}
