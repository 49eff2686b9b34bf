package bpf

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/internal/strict"
)

// maxTargetFile bounds the size of a target file in bytes. Sixty thousand map
// entries of one line each fit in it.
const maxTargetFile = 4 << 20

// TargetFile says what to fuzz and how to set it up; docs/target-file.md describes
// its form. What a file does not mention has its zero value.
type TargetFile struct {
	// Path is the file that was read.
	Path string
	// Object and Program name the program. Object and Seeds are relative to the
	// directory of the target file in there, and resolved here.
	Object, Program string
	// Variables are values of constants and globals by name. They and the other
	// values of type any are Located.
	Variables map[string]any
	// Maps are initial contents.
	Maps MapContents
	// FuzzMaps are maps of which inputs bring initial entries.
	FuzzMaps MapBounds
	// TailCalls are programs by prog array and index.
	TailCalls map[string]map[uint32]string
	// places are "file:line" of the object ("object"), seeds ("seeds[0]"), prog arrays
	// ("tail_calls.NAME") and oracles ("oracles.NAME").
	places map[string]string
	// Type is what the program is loaded as, by bpftool's names; "" leaves that to its
	// section.
	Type string
	// Reuse are maps of the kernel that take the place of the object's.
	Reuse map[string]MapRef
	// Feedback names maps whose counters guide the fuzzer.
	Feedback []string
	// Seeds are files and directories of first inputs.
	Seeds []string
	// Invariants are expressions that have to hold after every run.
	Invariants []Invariant
	// Contexts are contexts of first inputs, by field name (see EncodeContexts).
	Contexts []any
	// MaxSteps bounds the packets of one input; 0 leaves the choice to
	// NewTarget.
	MaxSteps int
	// RealHelpers is as in Setup.
	RealHelpers bool
	// Faults is as in Setup.
	Faults bool
	// MaxInsns is how many instructions a step may execute; 0 means any number.
	MaxInsns uint64
	// State is what happens to map state, see Options.State; "" for the default.
	State string
	// Oracles switches oracles on or off by name, against their default.
	Oracles map[string]bool
}

// Invariant is an expression that is true as long as all is well.
type Invariant struct {
	Name, Expr string
	// Every asks it about every run, also where that takes one call for each input.
	Every bool
	// At is "file:line" of the expression.
	At string
}

// ReadTargetFile reads a target file. Errors name file and line.
func ReadTargetFile(path string) (*TargetFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read target file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxTargetFile+1))
	if err != nil {
		return nil, fmt.Errorf("read target file: %w", err)
	}
	if len(text) > maxTargetFile {
		return nil, fmt.Errorf("read target file %s: it is larger than %d MiB", path, maxTargetFile>>20)
	}
	return ParseTargetFile(path, text)
}

// ParseTargetFile reads the text of a target file. Path is for error messages and
// the base of relative paths.
func ParseTargetFile(path string, text []byte) (*TargetFile, error) {
	root, err := strict.Parse(path, text)
	if err != nil {
		return nil, err
	}
	t := &TargetFile{Path: path, places: map[string]string{}}
	if root == nil {
		return t, nil // an empty file, or comments only
	}
	r := yamlReader{strict.Reader{File: path}}
	if err := r.Object(root, "", t.keys(&r)); err != nil {
		return nil, err
	}
	return t, nil
}

// ObjectAt returns "file:line" of the object's name.
func (t *TargetFile) ObjectAt() string { return t.places["object"] }

// SeedAt returns "file:line" of one of Seeds.
func (t *TargetFile) SeedAt(i int) string { return t.places[seedPlace(i)] }

func seedPlace(i int) string { return fmt.Sprintf("seeds[%d]", i) }

// OracleAt returns "file:line" of the oracle's switch, "" where there is none.
func (t *TargetFile) OracleAt(name string) string { return t.places["oracles."+name] }

// relative resolves a path of the file.
func (t *TargetFile) relative(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(t.Path), path)
}

// EncodeContexts writes the contexts as the kernel lays them out, each of
// shape.ContextSize bytes. Errors name the field, its neighbours or its range.
func (t *TargetFile) EncodeContexts(shape *corpus.Shape) ([][]byte, error) {
	var out [][]byte
	for i, v := range t.Contexts {
		ctx, err := encodeFields(shape.Context, shape.ContextSize, fmt.Sprintf("contexts[%d]", i), v)
		if err != nil {
			return nil, err
		}
		out = append(out, ctx)
	}
	return out, nil
}
