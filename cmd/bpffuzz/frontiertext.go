package main

import (
	"fmt"
	"strings"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/mutate/solve"
)

// shownFrontier is a frontier as it is printed.
type shownFrontier struct {
	Program     string        `json:"program"`
	Passed      int           `json:"edges_found"`
	Total       int           `json:"total_edges"`
	Unreachable int           `json:"unreachable_edges"`
	Saturated   bool          `json:"saturated"`
	Branches    []shownBranch `json:"branches"`
}

type shownBranch struct {
	// Edge names the edge, as show does.
	Edge string `json:"edge"`
	// State is "near", "never taken" where no operands are known, "never reached" or
	// "removed by the verifier".
	State string `json:"state"`
	// Wanted is what would have to hold, Nearest the operands that came nearest, and
	// Input the file that has them.
	Wanted  string `json:"wanted,omitempty"`
	Nearest string `json:"nearest,omitempty"`
	Input   string `json:"input,omitempty"`
	// Feeds is what the operands depend on.
	Feeds []string `json:"fed_by,omitempty"`
	// Key is the key that was asked for, with its map, and Keys are some that it has.
	Key  string   `json:"key,omitempty"`
	Keys []string `json:"wanted_keys,omitempty"`
}

func newShownFrontier(s *subject, f *fuzz.Frontier, names []string) *shownFrontier {
	shown := &shownFrontier{
		Program: s.target.Shape().Program, Passed: f.Passed, Total: f.Total,
		Unreachable: f.Unreachable, Saturated: f.Saturated(), Branches: []shownBranch{},
	}
	for i := range f.Branches {
		b := &f.Branches[i]
		one := shownBranch{Edge: s.target.Table().Edges[b.Edge].Label(), State: stateOf(b)}
		if c := b.Comparison; c != nil && !b.Unreachable {
			one.Wanted = wantedText(c, b.Taken)
		}
		if b.Evaluated && !b.Unreachable {
			one.Nearest, one.Input = nearestText(b), names[b.Input]
			for _, p := range b.Feeds {
				one.Feeds = append(one.Feeds, placeText(s, p))
			}
		}
		if b.Lookup != nil {
			one.Key = fmt.Sprintf("%x in map %s", b.Lookup.Key, b.Lookup.Map)
			for _, key := range b.Wanted {
				one.Keys = append(one.Keys, fmt.Sprintf("%x", key))
			}
		}
		shown.Branches = append(shown.Branches, one)
	}
	return shown
}

// States of a shownBranch that text tells apart.
const (
	near         = "near"
	neverReached = "never reached"
)

func stateOf(b *fuzz.Branch) string {
	switch {
	case b.Unreachable:
		return "removed by the verifier"
	case b.Evaluated:
		return near
	case b.Reached:
		return "never taken"
	}
	return neverReached
}

// wantedText says what would have to hold for a comparison to go that way.
func wantedText(c *cover.Comparison, taken bool) string {
	r := c.Relation
	if !taken {
		r = r.Negated()
	}
	if c.A.Source == cover.MapEntry && c.B.Source == cover.Fixed && c.B.Value == 0 {
		if r == cover.Equal {
			return "no entry in map " + c.A.Name
		}
		return "an entry in map " + c.A.Name
	}
	a, b := operandText(c, &c.A, "a value"), operandText(c, &c.B, "another")
	if c.Length && c.A.Source == cover.Elsewhere && c.B.Source == cover.Elsewhere {
		a, b = "the place in the packet", "its end"
		if c.Swapped {
			a, b = b, a
		}
	}
	switch r {
	case cover.AnyBit:
		return fmt.Sprintf("%s & %s != 0", a, b)
	case cover.NoBit:
		return fmt.Sprintf("%s & %s == 0", a, b)
	}
	return fmt.Sprintf("%s %s %s", a, r, b)
}

// operandText names an operand by where it comes from.
func operandText(c *cover.Comparison, o *cover.Operand, unknown string) string {
	at := "?"
	if o.Offset >= 0 {
		at = fmt.Sprint(o.Offset)
	}
	text := unknown
	switch o.Source {
	case cover.Fixed:
		return numberText(c, o.Value)
	case cover.PacketBytes:
		text = fmt.Sprintf("packet[%s:%d]", at, o.Size)
	case cover.MetaBytes:
		text = fmt.Sprintf("metadata[%s:%d]", at, o.Size)
	case cover.ContextField:
		if text = "ctx." + o.Name; o.Name == "" {
			text = fmt.Sprintf("ctx[%s:%d]", at, o.Size)
		}
	case cover.MapValueBytes:
		text = fmt.Sprintf("map %s[%s:%d]", o.Name, at, o.Size)
	case cover.HelperResult:
		text = o.Name + "()"
	case cover.PacketLength:
		text = "length of the packet"
	case cover.MapEntry:
		text = "entry in map " + o.Name
	}
	return text + transformsText(o.Transforms)
}

func transformsText(transforms []cover.Transform) string {
	var b strings.Builder
	for _, t := range transforms {
		switch t.Action {
		case cover.And:
			fmt.Fprintf(&b, " & %#x", t.Value)
		case cover.Or:
			fmt.Fprintf(&b, " | %#x", t.Value)
		case cover.Xor:
			fmt.Fprintf(&b, " ^ %#x", t.Value)
		case cover.Add:
			if n := int64(t.Value); n < 0 {
				fmt.Fprintf(&b, " - %d", -n)
			} else {
				fmt.Fprintf(&b, " + %d", n)
			}
		case cover.Mul:
			fmt.Fprintf(&b, " * %#x", t.Value)
		case cover.Lsh:
			fmt.Fprintf(&b, " << %d", t.Value)
		case cover.Rsh, cover.Arsh:
			fmt.Fprintf(&b, " >> %d", t.Value)
		case cover.Swap:
			b.WriteString(" in network order")
		case cover.Neg:
			b.WriteString(" negated")
		case cover.Sext:
			b.WriteString(" signed")
		case cover.Cut:
		}
	}
	return b.String()
}

func numberText(c *cover.Comparison, v uint64) string {
	if c.Size == 4 {
		v = uint64(uint32(v))
	}
	switch signed := int64(v); {
	case c.Signed && c.Size == 4:
		return fmt.Sprint(int32(uint32(v)))
	case c.Signed:
		return fmt.Sprint(signed)
	case v < 256:
		return fmt.Sprint(v)
	}
	return fmt.Sprintf("%#x", v)
}

func nearestText(b *fuzz.Branch) string {
	c := b.Comparison
	if b.Lookup != nil && b.Lookup.Found {
		return "an entry"
	}
	if b.Lookup != nil {
		return "no entry"
	}
	return fmt.Sprintf("%s against %s", numberText(c, b.Nearest.A), numberText(c, b.Nearest.B))
}

func placeText(s *subject, p solve.Place) string {
	text := fmt.Sprintf("%s %d", p.Part, p.Offset)
	if p.Size > 1 {
		text = fmt.Sprintf("%s %d-%d", p.Part, p.Offset, p.Offset+p.Size-1)
	}
	if p.Part == "context" {
		for _, f := range s.target.Shape().Context {
			if p.Offset >= f.Offset && p.Offset < f.Offset+f.Size {
				text = "ctx." + f.Name
			}
		}
	}
	if p.Step > 0 {
		text += fmt.Sprintf(" of step %d", p.Step)
	}
	return text
}

func (f *shownFrontier) text() string {
	var b strings.Builder
	b.WriteString(f.headline() + "\n")
	for i := range f.Branches {
		one := &f.Branches[i]
		fmt.Fprintf(&b, "%s", one.Edge)
		if one.State != near {
			fmt.Fprintf(&b, ": %s", one.State)
		}
		b.WriteString("\n")
		if one.State == neverReached {
			continue // others have to be taken first
		}
		line := func(what, text string) {
			if text != "" {
				fmt.Fprintf(&b, "  %-8s%s\n", what, text)
			}
		}
		line("wanted", one.Wanted)
		if one.Nearest != "" {
			line("nearest", one.Nearest+", "+one.Input)
		}
		line("fed by", strings.Join(one.Feeds, ", "))
		line("key", one.Key)
		line("has", strings.Join(one.Keys, ", "))
	}
	return b.String()
}

// headline says how far the inputs got.
func (f *shownFrontier) headline() string {
	text := fmt.Sprintf("%s: %d of %s passed", f.Program, f.Passed, count(f.Total, "edge"))
	if f.Unreachable > 0 {
		text += fmt.Sprintf(", %d removed by the verifier", f.Unreachable)
	}
	if f.Saturated {
		text += ": saturated, nothing else can be reached"
	}
	return text
}
