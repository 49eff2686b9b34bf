package exchange

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// Finding is a finding as it is shared.
type Finding struct {
	// Key is the finding's, Oracle the one that objects, Title its reason.
	Key, Oracle, Title string
	// Program and Type name the program.
	Program, Type string
	// Node is the machine that found it first, and At when.
	Node string
	At   time.Time
	// Input is the minimised input as corpus.Encode writes it.
	Input []byte
}

// Stats is how a node stands with a target.
type Stats struct {
	Node          string
	At            time.Time
	Execs         uint64
	Rate          float64 // executions per second
	Edges, Total  int
	Corpus        int
	Findings      map[string]int // how often each was met, by key
	Elapsed       time.Duration
	Announced     uint64 // entries that it was the first to share
	Received, Ran uint64 // entries of others
}

// Topic names what makes corpora interchangeable: program, type and form of the inputs,
// but not the build. It is a word of a subject.
func Topic(shape *corpus.Shape) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %d %d %t", shape.Program, shape.Type, shape.ContextSize, shape.Hidden, shape.Payload)
	for i := range shape.Maps {
		if m := &shape.Maps[i]; m.Fuzz != nil {
			fmt.Fprintf(h, " %q %d %d", m.Name, m.KeySize, m.ValueSize)
		}
	}
	return word(shape.Program) + "-" + word(shape.Type) + "-" + hex.EncodeToString(h.Sum(nil)[:6])
}

// word makes a name one word of a subject.
func word(name string) string {
	const most = 40
	w := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '-':
			return r
		}
		return '_'
	}, name)
	if w == "" {
		w = "_"
	}
	return w[:min(len(w), most)]
}

// nodeWord is the word of a node: names that read the same stay apart.
func nodeWord(name string) string {
	sum := sha256.Sum256([]byte(name))
	return word(name) + "-" + hex.EncodeToString(sum[:4])
}

// hash tells entries apart by their encoding.
type hash [16]byte

func hashOf(encoded []byte) hash {
	sum := sha256.Sum256(encoded)
	return hash(sum[:16])
}

func (h hash) String() string { return hex.EncodeToString(h[:]) }

var errCorrupt = errors.New("its contents are not those that its subject names")

// entry reads the message of a corpus entry, of which only the subject's last word is
// believed once the contents agree.
func entry(subject string, data []byte) (*corpus.Input, hash, error) {
	h := hashOf(data)
	if named, _, ok := parseName(lastWord(subject)); !ok || named != h {
		return nil, h, errCorrupt
	}
	in := corpus.Decode(data)
	if string(corpus.Encode(in)) != string(data) {
		return nil, h, errCorrupt // decoding is total, so anything is some input
	}
	return in, h, nil
}

func lastWord(subject string) string { return subject[strings.LastIndexByte(subject, '.')+1:] }

// jsonOf reads a foreign message into to.
func jsonOf(data []byte, to any) error {
	if len(data) > maxPayload {
		return errCorrupt
	}
	if err := json.Unmarshal(data, to); err != nil {
		return fmt.Errorf("%w: %w", errCorrupt, err)
	}
	return nil
}
