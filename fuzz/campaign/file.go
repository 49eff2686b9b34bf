package campaign

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/bpffuzz/bpffuzz/fuzz/internal/strict"
)

// maxFile bounds the size of a campaign file in bytes.
const maxFile = 4 << 20

// Mode is what a campaign is for.
type Mode string

// The modes of a campaign.
const (
	// Nightly fuzzes for long and fails for what is new.
	Nightly Mode = "nightly"
	// PR runs what is saved, then fuzzes for a short time, and fails for what a baseline
	// does not have.
	PR Mode = "pr"
	// Regression runs what is saved and nothing else.
	Regression Mode = "regression"
)

// ParseMode returns the mode of that name, Nightly for "".
func ParseMode(name string) (Mode, error) {
	switch m := Mode(name); m {
	case "":
		return Nightly, nil
	case Nightly, PR, Regression:
		return m, nil
	}
	return "", fmt.Errorf("unknown mode %q: choose %s, %s or %s", name, Nightly, PR, Regression)
}

// DefaultTurn is how long a turn takes where the file does not say so.
const DefaultTurn = time.Minute

// File is a campaign file; docs/campaign.md describes its form. What it does not mention
// has its zero value.
type File struct {
	// Path is the file that was read.
	Path string
	// Output is the campaign's directory. It and the other paths of the file are relative
	// to the directory of the file in there, and resolved here.
	Output string
	// Duration is how long to fuzz, over all targets; 0 means until interrupted.
	Duration time.Duration
	// Turn is how long a target is fuzzed at a time.
	Turn time.Duration
	// Workers run at once, over all targets; 0 leaves the choice to the machine.
	Workers int
	Mode    Mode
	// Seed determines the seeds of all turns; 0 leaves it to chance.
	Seed uint64
	// Retention limits what is kept on disk.
	Retention Retention
	// Webhooks are told of new findings, of targets that fail, and of the end.
	Webhooks []Webhook
	// Items are what the file lists under targets.
	Items []Item
}

// Retention limits what a target keeps. The zero value keeps everything.
type Retention struct {
	// Bytes and Entries limit the corpus of a target.
	Bytes   int64
	Entries int
	// Unconfirmed is how long failures that did not happen again are kept.
	Unconfirmed time.Duration
	// Plot limits plot.csv of a target, in bytes.
	Plot int64
}

// Item is an element of the file's list of targets: one target, or several that differ in
// object, program or variant.
type Item struct {
	// At is "file:line".
	At string
	// Name is "" where names follow from the objects.
	Name string
	// Object is the path of an object, or a pattern as filepath.Match has it; "" where the
	// target file names it. ObjectAt is where it is written.
	Object, ObjectAt string
	// Programs are those that are fuzzed, All means each that can be; without either it is
	// the target file's, or the only one.
	Programs []string
	All      bool
	// Config is the path of a target file, "" where there is none.
	Config, ConfigAt string
	// Weight is how much a gain of this target is worth against one of others; 0 means 1.
	Weight float64
	// Workers are at work on a target at once; 0 means as many as there are for each.
	Workers int
	// Seeds are files and directories of first inputs, besides those of target files.
	Seeds []string
	// Variants are set up differently; without any there is one.
	Variants []Variant

	inline *tree // what the item says in the place of a target file
}

// Variant is a way to set a program up.
type Variant struct {
	At, Name string
	more     tree // over the target file
}

// ReadFile reads a campaign file. Errors name file and line.
func ReadFile(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read campaign: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read campaign: %w", err)
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("read campaign %s: it is larger than %d MiB", path, maxFile>>20)
	}
	return ParseFile(path, text)
}

// ParseFile reads the text of a campaign file. Path is for errors and the base of
// relative paths.
func ParseFile(path string, text []byte) (*File, error) {
	root, err := strict.Parse(path, text)
	if err != nil {
		return nil, err
	}
	f := &File{Path: path, Turn: DefaultTurn, Mode: Nightly}
	if root != nil {
		r := &fileReader{strict.Reader{File: path}}
		if err := r.Object(root, "", f.keys(r)); err != nil {
			return nil, err
		}
	}
	if len(f.Items) == 0 {
		return nil, fmt.Errorf("%s: has no targets: list some under targets, each with an object or a config", path)
	}
	return f, nil
}

// relative resolves a path of the file.
func (f *File) relative(path string) string { return relativeTo(f.Path, path) }

// relativeTo resolves a path that a file has.
func relativeTo(file, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(file), path)
}
