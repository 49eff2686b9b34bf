// Package triage turns a failing input into a finding: oracles judge an outcome,
// then the failure is confirmed, minimised, named and written. Running an input
// again is a function that the package is given.
package triage

import (
	"context"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// Cadence says how often an oracle or a relation is asked.
type Cadence uint8

const (
	// Every execution is judged.
	Every Cadence = iota
	// Sampled executions are judged: each one that reached something new, and a
	// seeded sample of the others, alone and from the initial state.
	Sampled
)

// Oracle judges one outcome. It is immutable and safe for concurrent use.
type Oracle struct {
	// Name is part of every finding's key: lower case, words joined by "-".
	Name string
	// Need is what Judge reads; it is called only with outcomes that have it.
	Need corpus.Have
	When Cadence
	// Judge returns nil when nothing is wrong. It must not keep or change its
	// arguments, and must not allocate unless it returns an error.
	Judge func(in *corpus.Input, out *corpus.Outcome) error
	// Returns may be nil. Otherwise it reports whether Judge objects to no step that
	// ran and returned ret, whatever else there is of input and outcome: an oracle
	// that is asked about every execution costs next to nothing then. It is called
	// when a judge is made.
	Returns func(ret uint32) bool
	// weight may be nil. Otherwise it says how bad an outcome is to which Judge objects:
	// an investigation looks for a worse one nearby, and does not make it lighter when it
	// minimises.
	weight func(out *corpus.Outcome) uint64
	// packets may be nil. Otherwise it has the last word on a packet; sums says that it
	// looks at checksums, else it looks at lengths alone.
	packets *survival
	sums    bool
}

// Relation judges an input together with its twin.
type Relation struct {
	Name string
	Need corpus.Have
	When Cadence
	// Twin writes the twin of src, which gave out, into dst, a fresh Input, and reports
	// whether there is one. Nil means the same input again.
	Twin func(dst, src *corpus.Input, out *corpus.Outcome) bool
	// Base is flags that the input's own run has besides its own where it is compared
	// with the twin's, for both to differ in one thing.
	Base uint32
	// Pair makes two inputs of src to be compared in place of src and a twin, where it is
	// not nil, and reports whether there are any.
	Pair func(a, b, src *corpus.Input) bool
	// Judge gets the outcomes of the input and of its twin, both from the initial state.
	// Where there is a twin, it is also asked about the input's own run and that once
	// more: when it objects to those, it is not for what the twin has different, and what
	// it says of the twin counts for nothing.
	Judge func(a, b *corpus.Outcome) error
}

// Rerun runs an input alone, from the initial state. The outcome has at least
// want and is valid until the next call. The error is a failure of ours, never a
// finding.
type Rerun func(ctx context.Context, in *corpus.Input, want corpus.Have) (*corpus.Outcome, error)
