// Package expr compiles invariants, expressions of which true means that the
// invariant holds, to oracles. The grammar is that of expr-lang; the names and
// the rules for what is absent are described in docs/invariants.md.
package expr

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/triage"
)

// Compile makes an oracle of an invariant about targets of the given shape. It is
// asked about each step, or about the last one where it names map, steps or nsteps
// and so is about the whole input. The oracle objects to outcomes for which the expression is false; it does not object
// where what the expression reads is absent and its value depends on that. It
// reads and has recorded only what the expression names, and allocates only to
// object.
//
// The oracle's name is "invariant-" and the name in lower case with everything
// but letters and digits replaced by "-", or a hash of the text for an empty name.
// It is asked on every execution if it reads verdicts, errors and packets only,
// else on samples.
//
// Errors name the line and column of what is wrong, and names that a misspelt one
// may stand for. The shape is not kept.
func Compile(name, text string, shape *corpus.Shape) (triage.Oracle, error) {
	o, err := newOracle(name, text, shape)
	if err != nil && name != "" {
		return triage.Oracle{}, fmt.Errorf("invariant %q: %w", name, err)
	}
	if err != nil {
		return triage.Oracle{}, fmt.Errorf("invariant: %w", err)
	}
	return o, nil
}

func newOracle(name, text string, shape *corpus.Shape) (triage.Oracle, error) {
	root, err := parse(text)
	if err != nil {
		return triage.Oracle{}, err
	}
	c := &compiler{text: text, shape: shape, slots: map[side]int{}}
	holds, err := c.booleanAs(root, "an invariant")
	if err != nil {
		return triage.Oracle{}, err
	}
	if len(c.reads) == 0 {
		return triage.Oracle{}, fmt.Errorf("the expression reads nothing of a run: name at least one of %s", enumerate(c.rootNames(), "and", 12))
	}
	when := triage.Every
	if c.need&^(corpus.HaveRet|corpus.HavePacket) != 0 {
		when = triage.Sampled
	}
	r := &report{name: name, text: strings.Join(strings.Fields(text), " "), reads: c.reads}
	o := triage.Oracle{Name: oracleName(name, text), Need: c.need, When: when, Judge: c.judge(holds, r)}
	if c.readsReturns() {
		o.Returns = returns(o.Judge)
	}
	return o, nil
}

// readsReturns reports whether the expression is about a step's return value only.
func (c *compiler) readsReturns() bool {
	return !c.whole && !slices.ContainsFunc(c.reads, func(r read) bool { return r.name != "ret" && r.name != "verdict" })
}

// returns asks judge about a step of which there is nothing but a return value.
func returns(judge func(*corpus.Input, *corpus.Outcome) error) func(uint32) bool {
	return func(ret uint32) bool {
		in := &corpus.Input{Steps: make([]corpus.Step, 1)}
		return judge(in, &corpus.Outcome{Have: corpus.HaveRet, Steps: []corpus.StepOutcome{{Ret: ret}}}) == nil
	}
}

// judge returns the oracle's function. Expressions that remember nothing between
// two reads do without a state.
func (c *compiler) judge(holds func(s scope) truth, r *report) func(*corpus.Input, *corpus.Outcome) error {
	whole := c.whole
	if len(c.slots) == 0 && !c.maps {
		return func(in *corpus.Input, out *corpus.Outcome) error {
			for at := firstStep(out, whole); at < len(out.Steps); at++ {
				if s := (scope{in: in, out: out, at: at}); holds(s) == no {
					return r.broken(s)
				}
			}
			return nil
		}
	}
	pool := newPool(len(c.slots), c.keySize, c.valueSize)
	return func(in *corpus.Input, out *corpus.Outcome) error {
		st := pool.Get().(*state)
		var err error
		for at := firstStep(out, whole); at < len(out.Steps) && err == nil; at++ {
			if s := (scope{in: in, out: out, at: at, state: st}); holds(s) == no {
				err = r.broken(s)
			}
			st.reset()
		}
		pool.Put(st)
		return err
	}
}

// firstStep returns the first step that is judged: the last one where the
// expression is about the whole sequence.
func firstStep(out *corpus.Outcome, whole bool) int {
	if whole {
		return max(len(out.Steps)-1, 0)
	}
	return 0
}

// oracleName makes a part of a file name.
func oracleName(name, text string) string {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9')
	})
	safe := strings.Join(words, "-")
	if len(safe) > 64 {
		safe = strings.TrimRight(safe[:64], "-")
	}
	if safe == "" {
		safe = fmt.Sprintf("%x", sha256.Sum256([]byte(name+text)))[:8]
	}
	return "invariant-" + safe
}
