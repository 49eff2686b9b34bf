package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/bpffuzz/bpffuzz/corpus"
)

func newExport(u *ui) *cobra.Command {
	f := &exportFlags{}
	cmd := &cobra.Command{
		Use:   "export --go DIRECTORY FROM... | --finding DIR [OBJECT]",
		Short: "Write inputs where go test reads them, or the files of findings anew",
		Long: `Export --go writes the inputs of FROM to a directory of go test: testdata/fuzz/FuzzXxx of
a package, whose files every go test runs, or the fuzz cache, where go test -fuzz
starts from. FROM is an output directory of bpffuzz run (its corpus and its
findings), a corpus directory, a corpus file, a capture or a raw packet.

The files are named by their contents: an input that is there is not written again, and
none is overwritten or removed.

Export --finding runs findings that are there again and writes their reports and
exports anew (repro_test.go, repro.sh, repro.c ...), by the object, target file and
oracles that are given, else those of the run. DIR is one finding or an output directory.`,
		Example: `  bpffuzz export --go testdata/fuzz/FuzzFirewall bpffuzz-out/firewall
  bpffuzz export --finding bpffuzz-out/firewall/findings/verdict-firewall-1f2e3d4c
  bpffuzz export --go testdata/fuzz/FuzzFirewall bpffuzz-out/firewall/findings/verdict-firewall-1f2e3d4c`,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case f.finding != "" && f.to != "":
				return usageError("choose one of --go and --finding")
			case f.finding != "":
				return f.exportFinding(cmd.Context(), u, args)
			case f.to == "":
				return usageError("no destination: name a directory with --go, such as testdata/fuzz/FuzzXxx, or findings with --finding")
			case len(args) == 0:
				return usageError("nothing to export: name an output directory, a corpus file, a capture or a packet")
			}
			return exchange(u, f.to, args)
		},
	}
	f.register(cmd)
	cmd.Flags().StringVar(&f.finding, "finding", "", "finding or output `directory` whose reports and exports are written anew")
	_ = cmd.MarkFlagDirname("finding")
	cmd.Flags().StringVar(&f.to, "go", "", "`directory` of corpus files of go test, which is made if it is missing")
	_ = cmd.MarkFlagDirname("go")
	return cmd
}

func newImport(u *ui) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "import -o DIRECTORY FROM...",
		Short: "Take inputs of go test, captures and packets into an output directory",
		Long: `Import writes the inputs of FROM to the corpus of an output directory, from which the
next bpffuzz run there goes on. FROM is testdata/fuzz/FuzzXxx of a package, a directory
of Go's fuzz cache ($(go env GOCACHE)/fuzz/PACKAGE/FuzzXxx), a corpus file, a
capture or a raw packet. Files that are no input are left out with a warning.`,
		Example: `  bpffuzz import -o bpffuzz-out/firewall testdata/fuzz/FuzzFirewall
  bpffuzz import -o bpffuzz-out/firewall traffic.pcap`,
		Args: pointed(cobra.MinimumNArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			if out == "" {
				return usageError("no destination: name an output directory with -o, such as bpffuzz-out/PROGRAM")
			}
			return exchange(u, filepath.Join(out, "corpus"), args)
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "output `directory` of bpffuzz run, which is made if it is missing")
	_ = cmd.MarkFlagDirname("output")
	return cmd
}

// exchange copies inputs into a directory of corpus files.
func exchange(u *ui, to string, from []string) error {
	var inputs []*corpus.Input
	for _, path := range from {
		all, err := readAnyInputs(path, func(err error) { u.warn("%v", err) })
		if err != nil {
			return err
		}
		for _, one := range all {
			inputs = append(inputs, one.in)
		}
	}
	if len(inputs) == 0 {
		return fmt.Errorf("no input in %s", from[0])
	}
	dir, err := corpus.OpenDir(to)
	if err != nil {
		return err
	}
	fresh, err := absent(dir, inputs)
	if err != nil {
		return err
	}
	if err := dir.Add(fresh...); err != nil {
		return explainFull(err)
	}
	u.say("%s written to %s, %d were there", count(len(fresh), "input"), to, len(inputs)-len(fresh))
	return nil
}

// absent returns the inputs that a directory does not have, each once.
func absent(dir *corpus.Dir, inputs []*corpus.Input) ([]*corpus.Input, error) {
	var fresh []*corpus.Input
	names := map[string]bool{}
	for _, in := range inputs {
		name := corpus.FileName(corpus.MarshalFile(in))
		_, err := os.Stat(filepath.Join(dir.Path(), name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("looking for input %s: %w", name, err)
		}
		if err != nil && !names[name] {
			fresh = append(fresh, in)
		}
		names[name] = true
	}
	return fresh, nil
}

// readAnyInputs is readInputs for output directories as well, which have inputs in their
// corpus and their findings.
func readAnyInputs(path string, warn func(error)) ([]named, error) {
	corpora, _ := filepath.Glob(filepath.Join(globQuote(path), "corpus"))
	findings, _ := filepath.Glob(filepath.Join(globQuote(path), "findings", "*", "input"))
	parts := slices.Concat(corpora, findings)
	if len(parts) == 0 {
		return readInputs(path, warn)
	}
	var all []named
	for _, part := range parts {
		inputs, err := readInputs(part, warn)
		if err != nil {
			return nil, err
		}
		all = append(all, inputs...)
	}
	return all, nil
}

// globQuote makes a pattern of a path that stands for it alone.
func globQuote(path string) string {
	var quoted []byte
	for i := range len(path) {
		if c := path[i]; c == '*' || c == '?' || c == '[' || c == '\\' {
			quoted = append(quoted, '\\')
		}
		quoted = append(quoted, path[i])
	}
	return string(quoted)
}
