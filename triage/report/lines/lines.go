// Package lines writes which source lines, functions and branches inputs pass: as
// text, HTML, LCOV and as a cover profile of Go. What it writes follows from the report
// alone.
package lines

import (
	"fmt"
	"path"
	"strings"
	"unicode"
)

// State is what is known of a line or a branch.
type State uint8

const (
	// None has no code.
	None State = iota
	// Covered was passed by some input.
	Covered
	// Partial is a line whose code stands in several places, some of which were passed.
	Partial
	// Missed is in the program, and no input came there.
	Missed
	// Removed was proved to be out of reach by the verifier, which took its code away.
	Removed
	// Unknown cannot be told: nothing observes it.
	Unknown
	// Merged is a statement without code of its own: the compiler merged it with other
	// lines.
	Merged
)

var stateNames = [...]string{"no code", "covered", "partly covered", "not covered", "removed by the verifier", "cannot be told", "merged by the compiler"}

func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// MarshalText writes the state as String does.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Counts says how many things of a kind were passed. Total is without those that were
// removed or cannot be told.
type Counts struct {
	Passed  int `json:"passed"`
	Total   int `json:"total"`
	Removed int `json:"removed"`
	Unknown int `json:"unknown"`
}

// Add counts one thing in that state.
func (c *Counts) Add(s State) {
	switch s {
	case Covered, Partial:
		c.Passed++
		c.Total++
	case Missed:
		c.Total++
	case Removed:
		c.Removed++
	case Unknown:
		c.Unknown++
	case None, Merged:
	}
}

func (c Counts) String() string {
	text := fmt.Sprintf("%d of %d", c.Passed, c.Total)
	if c.Total > 0 {
		text += fmt.Sprintf(" (%.1f %%)", 100*float64(c.Passed)/float64(c.Total))
	}
	if c.Removed > 0 {
		text += fmt.Sprintf(", %d removed by the verifier", c.Removed)
	}
	if c.Unknown > 0 {
		text += fmt.Sprintf(", %d cannot be told", c.Unknown)
	}
	return text
}

// Report is the coverage of one program. Its renderers do not change it.
type Report struct {
	Program string `json:"program"`
	// Inputs is how many inputs were run.
	Inputs int    `json:"inputs"`
	Edges  Counts `json:"edges"`
	// Lines counts lines of all files, those that are covered in part among the passed.
	Lines     Counts     `json:"lines"`
	Functions []Function `json:"functions"`
	Files     []File     `json:"files"`
	Notes     []string   `json:"notes"`
}

// Function is a function of the program; one that is inlined is part of its callers.
type Function struct {
	Name string `json:"name"`
	// File and Line are where it begins, "" and 0 where the object does not say.
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	// Inputs is how many inputs entered it.
	Inputs int    `json:"inputs"`
	State  State  `json:"state"`
	Edges  Counts `json:"edges"`
	// Unplaced is how many instructions have no line: the compiler merged the code of
	// several.
	Unplaced int `json:"instructions_without_line"`
}

// File is a source file. Lines are in ascending order, each once.
type File struct {
	// Name is the file's as the object has it, Path where it was found; "" when it was
	// not, and lines are those that the object has the text of.
	Name  string `json:"name"`
	Path  string `json:"path,omitempty"`
	Lines []Line `json:"lines"`
}

// place is how other programs find the file.
func (f *File) place() string {
	if f.Path != "" {
		return f.Path
	}
	return f.Name
}

// count counts the file's lines by state.
func (f *File) count() Counts {
	var c Counts
	for i := range f.Lines {
		c.Add(f.Lines[i].State)
	}
	return c
}

// Line is a source line.
type Line struct {
	Number int    `json:"number"`
	Text   string `json:"text"`
	State  State  `json:"state"`
	// Inputs is how many inputs passed some of its code.
	Inputs   int      `json:"inputs"`
	Branches []Branch `json:"branches,omitempty"`
}

// Branch is one way out of a line. Ways with the same Site leave the same instruction.
type Branch struct {
	Site   int    `json:"site"`
	Taken  bool   `json:"taken"`
	To     string `json:"to"`
	State  State  `json:"state"`
	Inputs int    `json:"inputs"`
	// Reached says that some input came to the instruction.
	Reached bool `json:"reached"`
}

func (b *Branch) kind() string {
	if b.Taken {
		return "taken"
	}
	return "fall-through"
}

// clean makes text fit for one line: what objects and files hold may be anything.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return r
		case r == unicode.ReplacementChar || !unicode.IsPrint(r):
			return '?'
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}

// plural returns "1 line", "2 lines" and the like.
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// placeText names a place in a file for people.
func placeText(file string, line int) string {
	if file == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d", path.Base(clean(file)), line)
}
