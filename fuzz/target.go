// Package fuzz is the engine: it picks an input, mutates it, has it executed,
// judges the outcome and keeps what is new. It knows no BPF; fuzz/bpf makes a
// Target of an eBPF program.
package fuzz

import (
	"context"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
)

// Target is a program that can be run. It is immutable and safe for concurrent use.
type Target interface {
	// Shape describes the inputs that the target accepts.
	Shape() *corpus.Shape
	// Table lists its edges.
	Table() *cover.Table
	// NewExecutor makes an executor with state of its own for one worker. It is
	// called on the goroutine that will use the executor, which the executor may
	// lock to its thread.
	NewExecutor(worker int) (Executor, error)
}

// Executor runs inputs. All its methods are called from the goroutine that made it.
type Executor interface {
	// Describe says in one line which executor this is and why it was chosen.
	Describe() string
	// Batch returns the executor's slots, the same value on each call.
	Batch() *Batch
	// Run executes every input of the batch, in order, and records return value,
	// errno and output packet of each step in it. An error is a failure of ours,
	// never a finding.
	Run(ctx context.Context) error
	// Cover returns the feature vector of the last batch as a whole, in the
	// executor's memory (for a kernel the mapped counters themselves); it is valid
	// until the executor runs again.
	Cover() []byte
	// Alone runs one input from the initial state. The outcome has at least want
	// and is valid until the executor runs again. The inputs of the batch stay as
	// they are, so in may be one of them; their outcomes do not.
	Alone(ctx context.Context, in *corpus.Input, want corpus.Have) (*corpus.Outcome, error)
	// Recreate makes programs and maps anew, for state that cannot be put back.
	Recreate(ctx context.Context) error
	// Close gives back every program, map, namespace and thread.
	Close() error
}

// Comparer is an Executor that can tell what a run compared. The comparisons are
// those of the target's table.
type Comparer interface {
	// Compare runs one input from the initial state and appends to dst, step by step and
	// in the order of the table, the operands of each comparison that was evaluated: those
	// of the last evaluations, oldest first, where there were several. The batch is left
	// alone as by Alone.
	Compare(ctx context.Context, in *corpus.Input, dst []cover.Compared) ([]cover.Compared, error)
}

// Scorer is an Executor that can tell how near the inputs of a batch came to making
// comparisons go the other way.
type Scorer interface {
	// Scored lists the comparisons, as indices in the target's table and in ascending
	// order, of which Score can tell. There may be none. Where the kernel's limits leave out
	// some, short says so in one line.
	Scored() (sites []int, short string, err error)
	// Score is Run, and brings scores, which has an element for each comparison of
	// the table, up to date: the Distance that an element has is the one to beat, 0
	// for comparisons that are of no interest. Elements that no input has beaten keep their
	// Distance and get -1 as Input.
	Score(ctx context.Context, scores []Score) error
}

// Score is how near an input came to making a comparison go the other way.
type Score struct {
	// Distance is the bits in which operands differ that are compared for equality, the
	// bits that they have in common where these are compared, else the difference. It
	// says nothing about on which side of the comparison they are.
	Distance uint64
	// Input is the index in the batch of the first input with that distance, -1 for none.
	Input int
}

// KeyLogger is a Comparer that can also tell what a run looked up in maps.
type KeyLogger interface {
	// Keys appends to dst the lookups of the last Compare, in the order of the code and
	// for each call site those that came last, oldest first. Their bytes are the
	// executor's and valid until it runs again.
	Keys(dst []cover.Lookup) []cover.Lookup
}
