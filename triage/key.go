package triage

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

// keyEdges is how many of the last edges are part of a key: enough to tell where
// a program decided, few enough that one bug reached on many paths stays one.
const keyEdges = 3

// maxKeyWord bounds the readable words in a key, so that it fits any file system.
const maxKeyWord = 40

// newKey names a failure by oracle, program and last edges: two readable words and
// 8 hexadecimal digits. Edges count by function and what their source lines say, so
// that a key outlives a rebuild that moves instructions and lines; by numbers of lines
// where the object does not have their text, and by offsets where it has no lines.
func newKey(oracle, program string, passed []cover.Edge) string {
	return keyAt(oracle, program, lastPlaces(program, passed))
}

// sited is an error that knows its place in the program better than the path does.
type sited interface {
	error
	site() string
}

// keyAt names a failure by oracle, program and places in it.
func keyAt(oracle, program string, places []string) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q\n", oracle, program)
	for _, place := range places {
		io.WriteString(h, place)
	}
	return fileWord(oracle) + "-" + fileWord(program) + "-" + hex.EncodeToString(h.Sum(nil)[:4])
}

// lastPlaces describes the last edges, those of the last step only: the program's
// entry ends them. Neighbours on the same lines, such as the parts of one
// condition, count once.
func lastPlaces(program string, passed []cover.Edge) []string {
	var places []string
	for i := len(passed) - 1; i >= 0 && len(places) < keyEdges; i-- {
		e := &passed[i]
		if p := EdgeName(e); len(places) == 0 || places[len(places)-1] != p {
			places = append(places, p)
		}
		if e.Kind == cover.Entry && e.Func == program {
			break
		}
	}
	return places
}

// EdgeName names an edge by its function and what its source lines say, as keys of findings do,
// so that it has the same name in another build.
func EdgeName(e *cover.Edge) string {
	if e.ToPos == (cover.Pos{}) {
		return fmt.Sprintf("%q %d %d\n", e.Func, e.From, e.To)
	}
	return fmt.Sprintf("%q %q %s %s\n", e.Func, filepath.Base(e.ToPos.File), lineName(&e.FromPos), lineName(&e.ToPos))
}

func lineName(p *cover.Pos) string {
	if p.Text == "" {
		return strconv.Itoa(p.Line)
	}
	return fmt.Sprintf("%q %d", p.Text, p.Nth)
}

// fileWord makes s safe in a file name on any system.
func fileWord(s string) string {
	word := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_':
			return r
		}
		return '-'
	}, s)
	if word = strings.Trim(word, "-"); word == "" {
		word = "x"
	}
	return word[:min(len(word), maxKeyWord)]
}
