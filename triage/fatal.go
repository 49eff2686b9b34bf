package triage

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// Fatal is the oracle of inputs that end the process or the machine which runs them.
// None is asked: whoever finds out is the next process.
const Fatal = "fatal"

// NewFatal describes an input during whose runs processes ended, so many of them. It
// is not run again: the finding has no outcome and no path, and its key is made of the
// input. Shape may be nil.
func NewFatal(shape *corpus.Shape, in *corpus.Input, ends int, machine bool) *Finding {
	f := &Finding{
		Oracle: Fatal, Input: in, Original: in.Clone(), Entries: entries(shape, in),
		Reliability: ends, Runs: ends, Count: ends,
		Notes: []string{"it is not minimised, and neither run nor --recheck run it again: replay it where that does no harm"},
	}
	what := "process"
	if machine {
		what = "machine"
	}
	f.Title = fmt.Sprintf("the %s ended while the input ran alone", what)
	if shape != nil {
		f.Program, f.Type, f.Payload = shape.Program, shape.Type, shape.Payload
	}
	sum := sha256.Sum256(corpus.Encode(in))
	f.Key = strings.Join([]string{fileWord(Fatal), fileWord(f.Program), hex.EncodeToString(sum[:4])}, "-")
	return f
}

// IsFatal reports whether a key is that of a fatal input.
func IsFatal(key string) bool { return strings.HasPrefix(key, Fatal+"-") }
