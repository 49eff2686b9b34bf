package fuzz

import "time"

// Stats is the state of a run at one moment.
type Stats struct {
	Elapsed time.Duration
	Workers int
	Seed    uint64
	// Executor is the executor's description of itself.
	Executor string
	// Execs counts executions of the program, those of triage included.
	Execs uint64
	// Edges of Total observable ones were passed.
	Edges, Total int
	// Corpus counts entries that are kept, on disk where there is one.
	Corpus int
	// Found counts those of them that were found by mutation: no seeds.
	Found int
	// Further counts the entries in memory that cover no more than others and are kept
	// for further features, at most cover.MaxFurther.
	Further int
	// Newest is the time since the newest entry was found.
	Newest time.Duration
	// Solved counts comparisons that went the other way because the bytes that decide
	// were known from what the program compares.
	Solved uint64
	// Findings counts distinct findings, Failing executions that an oracle objected
	// to, and Unconfirmed those among them that did not fail again alone.
	Findings             int
	Failing, Unconfirmed uint64
	// Stability is the share, 0 to 1, of the covered features that a second run of
	// the same input always covered again.
	Stability float64
}

// Rate returns executions per second.
func (s *Stats) Rate() float64 {
	if s.Elapsed <= 0 {
		return 0
	}
	return float64(s.Execs) / s.Elapsed.Seconds()
}
